"""What every page shares: who may send a form, refusals as pages, security headers."""

import logging
import time
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Flask, Request, Response, make_response, redirect, render_template, request
from jinja2 import StrictUndefined
from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.wrappers import Response as BaseResponse

from store.kit import asked, logs, measures, patience, revision, space
from store.kit.away import StoreAway
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.formatting import FILTERS
from store.kit.packed import pack
from store.kit.static_files import YEAR_SECONDS, StaticFiles
from store.kit.storage import FilesAway

log = logging.getLogger(__name__)

# When a request came in, by `time.perf_counter`.
BEGUN = "colophon.begun"
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Of a page that shows another one of ours in a frame.
FRAMING_POLICY = f"{PAGE_POLICY}; frame-src 'self'"


class ForeignForm(Refusal):
    """A form that was sent from somebody else's page."""

    status = 403
    sentence = "This form was sent from another site. Open our page and send it from there."


class PageRefusal(Refusal):
    """What the web layer itself refuses, by its HTTP status."""

    heading = "This page did not work"
    way_out = ("/", "Go to the front page")

    def __init__(self, status: int) -> None:
        self.status = status
        sentence = SENTENCES.get(status, SENTENCES[500])
        number = logs.request_number() if status >= 500 else ""
        if number:
            sentence += f" If it goes on, write to us, and give this number: {number}."
        super().__init__(sentence)


class PageUnknown(PageRefusal):
    """An address without a page."""

    heading = "Page not found"


SENTENCES = {
    400: "We could not read that request.",
    403: "This page is not for you.",
    404: "There is no page at this address.",
    405: "This address does not take that kind of request.",
    413: "That is larger than we can take.",
    500: "Something went wrong on our side. Nothing was lost; please try again.",
}


def init_app(app: Flask, static_folder: Path) -> None:
    """Filters, static files, headers and refusal pages for this application."""
    # The first of all and, as these go backwards, the last of all.
    app.before_request(_begin)
    app.after_request(_measure)
    asked.init_app(app)
    files = StaticFiles(static_folder)
    app.add_url_rule("/static/<name>", "static", files.serve)
    app.jinja_env.globals["asset"] = files.url
    app.jinja_env.filters.update(FILTERS)
    app.jinja_env.undefined = StrictUndefined  # a misspelt name in a template is a fault, not a gap
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_error_handler(Refusal, refusal_page)
    app.register_error_handler(HTTPException, http_error_page)
    app.register_error_handler(BadRequest, _unreadable)
    app.register_error_handler(sa.exc.DataError, _untakable)
    for fault in (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError):
        app.register_error_handler(fault, _not_written)
    app.before_request(lambda: revision.refuse(request.endpoint))
    app.before_request(patience.begin_page)
    app.teardown_request(patience.end_page)
    app.after_request(_secure)
    app.after_request(pack)


def same_site(given: Request) -> None:
    """Refuse (`ForeignForm`) a POST from another site; public pages have no cookie and no token.

    Browsers say where a request comes from: Sec-Fetch-Site, else Origin (Fetch standard).
    """
    where = given.headers.get("Sec-Fetch-Site")
    origin = given.headers.get("Origin")
    if where is not None:
        ok = where in {"same-origin", "none"}
    else:
        ok = origin is None or urlsplit(origin).netloc == given.host
    if not ok:
        raise ForeignForm


def public_page(page: str | bytes) -> Response:
    """A page that is the same for everybody: kept by anybody who asks each time whether it still holds."""
    return Response(page, headers={"Cache-Control": "public, max-age=0, must-revalidate"})


def private_page(answer: BaseResponse | str, status: int | None = None) -> Response:
    """A page behind a link, with this status or the one it has: kept by no cache, listed by no
    search engine."""
    answer = make_response(answer)
    answer.status_code = status or answer.status_code
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer


def shut_in(html: str, allowed: str = "") -> Response:
    """Somebody else's page, to stand in a frame of ours: no scripts, no forms, no origin of ours, no
    pictures but the shop's, and of what a sandbox forbids only what is `allowed`."""
    answer = private_page(html)
    sandbox = f"sandbox {allowed}".rstrip()
    answer.headers["Content-Security-Policy"] = (
        f"{sandbox}; default-src 'none'; style-src 'unsafe-inline'; img-src {config().base_url}; "
        "form-action 'none'; "
        "frame-ancestors 'self'"
    )
    answer.headers["X-Frame-Options"] = "SAMEORIGIN"
    # A sandboxed page with an opener policy is refused by browsers when opened by itself.
    answer.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"
    return answer


def see_other(url: str) -> Response:
    """On to another page by GET, from a private one; without the page that says where, since
    addresses hold tokens."""
    answer = redirect(url, 303)
    answer.set_data(b"")
    return private_page(answer)


def refusal_page(refusal: Refusal, way_out: tuple[str, str] | None = None) -> Response:
    """The page that says what was refused, why, and the way out: the refusal's own, or this
    address and what its button says."""
    url, label = way_out or refusal.way_out or ("", "")
    is_desk = request.path.startswith("/admin")
    page = render_template(
        "refusal.html",
        heading=refusal.heading,
        sentence=refusal.sentence,
        way_out_url=url,
        way_out_label=label,
        layout="admin/base.html" if is_desk else "base.html",
    )
    answer = private_page(page, refusal.status)
    if refusal.retry_after is not None:
        answer.headers["Retry-After"] = str(refusal.retry_after)
    return answer


def http_error_page(error: HTTPException) -> Response:
    """What the web layer refuses, in our words, with the headers that belong to the status."""
    code = error.code or 500
    original = error.get_response()
    if code < 400:
        return make_response(original)
    answer = refusal_page(PageUnknown(code) if code == 404 else PageRefusal(code))
    for name in ("Allow", "Retry-After"):
        if name in original.headers:
            answer.headers[name] = original.headers[name]
    return answer


def _begin() -> None:
    request.environ[BEGUN] = time.perf_counter()


def _measure(answer: Response) -> Response:
    """How long the page took until its head was ready, by its rule: addresses hold tokens."""
    begun = request.environ.get(BEGUN)
    if begun is not None:
        rule = request.url_rule.rule if request.url_rule else "none"
        measures.took(measures.PAGES, rule, time.perf_counter() - begun)
        # A monitor that is told no is an answer, and no error.
        if answer.status_code >= 500 and rule != "/readyz":
            measures.failed(str(answer.status_code))
    return answer


def _unreadable(error: BadRequest) -> Response:
    # The rule and not the address, which holds tokens.
    log.warning("a request to %s that cannot be read was refused", request.url_rule or "no page")
    return http_error_page(error)


def _untakable(_fault: sa.exc.DataError) -> Response:
    """What the database itself refuses, as a number too large for its column."""
    db.session.rollback()
    return _unreadable(BadRequest())


def _not_written(fault: Exception) -> Response:
    """What cannot be written now is said in words; any other fault goes on as it was."""
    if space.is_full(fault):
        db.session.rollback()
        space.tell()
        is_desk = request.path.startswith("/admin")
        return refusal_page(space.NoSpace() if is_desk else space.NothingStored())
    if space.is_busy(fault):
        db.session.rollback()
        log.warning("a request to %s was not taken in time", request.url_rule)
        return refusal_page(space.Busy())
    if isinstance(fault, StoreAway):
        log.error("a request to %s found no files: %s", request.url_rule, fault)
        return refusal_page(FilesAway())
    raise fault


def _secure(answer: Response) -> Response:
    headers = answer.headers
    said = {name.lower() for name, _ in headers}
    settings = config()
    for name, value in _secure_headers(settings.payment_origin, settings.base_url):
        if name.lower() not in said:
            headers.add(name, value)
    return answer


@lru_cache(maxsize=16)
def _secure_headers(payment_origin: str, base_url: str) -> tuple[tuple[str, str], ...]:
    """What every answer of this shop says, unless its door says otherwise."""
    # Browsers hold the way on after a form, too, against form-action.
    ways = f"form-action 'self' {payment_origin}".rstrip()
    headers = {
        "Content-Security-Policy": PAGE_POLICY.replace("form-action 'self'", ways),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        # `no-referrer` would make the desk's form protection refuse every POST over https.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        # Nothing comes from elsewhere, so it costs nothing.
        "Cross-Origin-Embedder-Policy": "require-corp",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    }
    if base_url.startswith("https://"):
        headers["Strict-Transport-Security"] = f"max-age={YEAR_SECONDS}"
    return tuple(headers.items())
