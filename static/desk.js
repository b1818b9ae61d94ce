// Everything at the desk works without this file. "/" leads to the search of the head, unless one turned it off;
// the menu closes on Escape, on a press beside it, and when the focus leaves it.
(() => {
  "use strict";
  const menu = () => document.querySelector(".menu[open]");
  const close = (focus) => {
    const open = menu();
    if (!open) return;
    open.open = false;
    if (focus) open.querySelector("summary").focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close(true);
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    const find = document.querySelector("#find[aria-keyshortcuts]");
    if (event.key !== "/" || !plain || !find || event.target.closest("input, textarea, select")) return;
    event.preventDefault();
    find.focus();
    find.select();
  });
  for (const kind of ["pointerdown", "focusin"]) {
    document.addEventListener(kind, (event) => {
      const open = menu();
      if (open && !open.contains(event.target)) close(false);
    });
  }
})();
