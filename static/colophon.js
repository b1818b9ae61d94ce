// Everything works without this file. It guards against a second press, leads to the errors, shows the way of an
// upload and fetches living parts of a page again.
(() => {
  "use strict";
  const at = (selector, root = document) => root.querySelector(selector);
  const parse = (text) => new DOMParser().parseFromString(text, "text/html");
  const make = (name, props, ...children) => {
    const element = Object.assign(document.createElement(name), props);
    element.append(...children);
    return element;
  };
  const size = (bytes) => (bytes / 1e6).toFixed(1) + " MB";
  const errorsFirst = () => {
    const summary = at("[data-focus]");
    if (summary) summary.focus();
    return summary;
  };

  // A form that was sent is not sent again until the page comes back or enough time has passed.
  const hold = (form, held) => {
    if (held) form.dataset.sent = "1";
    else delete form.dataset.sent;
    for (const button of form.querySelectorAll("button:not([type=button])")) {
      if (held) button.setAttribute("aria-disabled", "true");
      else button.removeAttribute("aria-disabled");
    }
  };

  // The answer to an upload takes the place of the page; files already chosen stay chosen.
  const replacePage = (answer, url, chosen) => {
    const next = parse(answer);
    if (url !== location.href) {
      history.replaceState({ fresh: 1 }, "");
      history.pushState({ fresh: 1 }, "", url);
    }
    document.title = next.title;
    document.body.replaceWith(next.body);
    for (const old of chosen) {
      const input = old.id && document.getElementById(old.id);
      if (!input || input.type !== "file") continue;
      for (const name of ["aria-invalid", "aria-describedby"]) {
        if (input.hasAttribute(name)) old.setAttribute(name, input.getAttribute(name));
        else old.removeAttribute(name);
      }
      input.replaceWith(old);
    }
    scrollTo(0, 0);
    const heading = at("h1");
    if (!errorsFirst() && heading) {
      heading.tabIndex = -1;
      heading.focus();
    }
    watch();
  };

  const upload = (form, submitter) => {
    const chosen = [...form.querySelectorAll("input[type=file]")];
    const data = new FormData(form);
    if (submitter && submitter.name) data.append(submitter.name, submitter.value);
    // What was wrong with the try before is over.
    document.title = document.title.replace(/^Error: /, "");
    for (const gone of document.querySelectorAll(".upload, [data-focus], main .error")) gone.remove();
    for (const input of chosen) input.removeAttribute("aria-invalid");
    const bar = make("progress", { max: 1, value: 0, ariaLabel: "Upload" });
    const figures = make("p", { className: "small" });
    const status = make("p");
    status.setAttribute("role", "status");
    const cancel = make("button", { type: "button", className: "second", textContent: "Cancel the upload" });
    const box = make("div", { className: "upload" }, bar, figures, status, cancel);
    form.append(box);
    const say = (words) => {
      if (status.textContent !== words) status.textContent = words;
    };
    const fail = (words) => {
      hold(form, false);
      bar.remove();
      figures.remove();
      cancel.remove();
      say(words);
      status.className = "error";
    };
    const request = new XMLHttpRequest();
    const began = Date.now();
    request.upload.onprogress = ({ loaded, total }) => {
      const left = Math.ceil(((Date.now() - began) / 1000 / loaded) * (total - loaded));
      bar.value = loaded / total;
      figures.textContent = `${size(loaded)} of ${size(total)}, about ${left} ${left === 1 ? "second" : "seconds"} left`;
      if (loaded * 2 > total && loaded < total) say("More than half is there.");
    };
    request.upload.onload = () => {
      figures.textContent = "";
      bar.removeAttribute("value");
      say("All of it has arrived. It is being checked.");
    };
    request.onload = () => {
      const next = parse(request.responseText);
      const heading = at("h1", next);
      if (request.status < 400 || at("[data-focus]", next)) {
        replacePage(request.responseText, request.responseURL || location.href, chosen);
      } else {
        const why = at("main p", next);
        fail([heading, why].map((part) => (part ? part.textContent.trim() : "")).join(". ") || "It could not be uploaded.");
      }
    };
    request.onerror = () => fail("It could not be uploaded: the connection broke off. Your file is still chosen; try again.");
    request.onabort = () => fail("Cancelled. Nothing was kept. Your file is still chosen.");
    cancel.onclick = () => request.abort();
    request.open("POST", form.action);
    request.send(data);
    say("The upload has begun.");
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    const files = [...form.querySelectorAll("input[type=file]")].some((input) => input.files.length);
    if (files) {
      event.preventDefault();
      upload(form, event.submitter);
    }
    hold(form, true);
    if (!files) setTimeout(() => hold(form, false), 10000);
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) for (const form of document.forms) hold(form, false);
  });
  addEventListener("popstate", (event) => {
    if (event.state && event.state.fresh) location.reload();
  });

  // A part with data-poll (seconds) and an id is fetched again, from data-from where it has an address of its own, for
  // as long as the server marks it so, its buttons with it; a form that is under way stays, and the focus stays on
  // what says the same. Nothing is asked for by a page that nobody sees.
  const bare = (part) => part.outerHTML.replace(/value="[^"]{40,}"/g, "");
  const swap = (part, fresh) => {
    const active = part.contains(document.activeElement) && document.activeElement;
    part.replaceWith(fresh);
    if (!active) return;
    const twin = [...fresh.querySelectorAll("a, button, [id]")].find((one) =>
      active.id ? one.id === active.id : one.textContent === active.textContent,
    );
    const next = twin || at("h1", fresh);
    if (next && !twin) next.tabIndex = -1;
    if (next) next.focus();
  };
  const refresh = async (id, wait) => {
    const part = document.getElementById(id);
    if (!part || !part.dataset.poll) return;
    try {
      if (!document.hidden) {
        const ask = (url) => fetch(url, { headers: { Accept: "text/html" } });
        const answer = await ask(part.dataset.from || location.href);
        const fresh = answer.ok && parse(await answer.text()).getElementById(id);
        if (fresh && !at("form[data-sent]", part) && bare(fresh) !== bare(part)) {
          // Where the state is another, the rest of the page is, too.
          const isOther = fresh.dataset.state !== part.dataset.state;
          const whole = isOther && at("main", parse(await (await ask(location.href)).text()));
          if (whole) swap(at("main"), whole);
          else swap(part, fresh);
        }
        wait = answer.ok ? 1 : wait * 2;
      }
    } catch {
      wait *= 2;
    }
    follow(id, Math.min(wait, 20));
  };
  const follow = (id, wait) => {
    const part = document.getElementById(id);
    if (part && part.dataset.poll) setTimeout(refresh, part.dataset.poll * 1000 * wait, id, wait);
  };
  const watch = () => {
    for (const part of document.querySelectorAll("[data-poll][id]")) follow(part.id, 1);
  };

  errorsFirst();
  watch();
})();
