"""What every page shares: static files by content, filters, security headers, refusals as pages."""

import gzip
import hashlib
import mimetypes
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from babel.dates import format_date
from flask import Flask, Request, Response, make_response, render_template, request
from jinja2 import StrictUndefined
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from store.kit.config import config
from store.kit.errors import Refusal
from store.kit.markup import plain_lines, render_markdown
from store.kit.money import format_money

YEAR_SECONDS = 31_536_000
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class ForeignForm(Refusal):
    """A form that was sent from somebody else's page."""

    status = 403
    sentence = "This form was sent from another site. Open our page and send it from there."


class StaticFiles:
    """The few files beside the templates, read once, named by their content."""

    def __init__(self, folder: Path) -> None:
        self._named: dict[str, tuple[bytes, bytes, str]] = {}
        self.names: dict[str, str] = {}
        for path in sorted(folder.glob("*.*")):
            data = path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()[:12]
            hashed = f"{path.stem}.{digest}{path.suffix}"
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            self.names[path.name] = hashed
            self._named[hashed] = (data, gzip.compress(data, mtime=0), kind)

    def url(self, name: str) -> str:
        """The address of a file by its plain name."""
        return f"/static/{self.names[name]}"

    def serve(self, name: str) -> Response:
        """The file, compressed where that is asked for, to be kept for a year."""
        if name not in self._named:
            return Response(status=404)
        data, packed, kind = self._named[name]
        wants_gzip = request.accept_encodings["gzip"] > 0
        answer = Response(packed if wants_gzip else data, content_type=kind)
        if wants_gzip:
            answer.headers["Content-Encoding"] = "gzip"
        answer.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"
        answer.headers["Vary"] = "Accept-Encoding"
        return answer


def init_app(app: Flask, static_folder: Path) -> None:
    """Filters, static files, headers and refusal pages for this application."""
    files = StaticFiles(static_folder)
    app.add_url_rule("/static/<name>", "static", files.serve)
    app.jinja_env.globals["asset"] = files.url
    app.jinja_env.filters.update(FILTERS)
    app.jinja_env.undefined = StrictUndefined  # a misspelt name in a template is a fault, not a gap
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_error_handler(Refusal, refusal_page)
    app.register_error_handler(HTTPException, _http_error)
    app.after_request(_secure)


def refusal_page(refusal: Refusal) -> Response:
    """The page that says what was refused, why, and the way out."""
    url, label = refusal.way_out or ("", "")
    is_desk = request.path.startswith("/admin")
    page = render_template(
        "refusal.html",
        heading=refusal.heading,
        sentence=refusal.sentence,
        way_out_url=url,
        way_out_label=label,
        layout="admin/base.html" if is_desk else "base.html",
    )
    answer = private_page(page)
    answer.status_code = refusal.status
    return answer


def same_site(asked: Request) -> None:
    """Refuse (`ForeignForm`) a POST from another site; public pages have no cookie and no token.

    Browsers say where a request comes from: Sec-Fetch-Site, else Origin (Fetch standard).
    """
    where = asked.headers.get("Sec-Fetch-Site")
    origin = asked.headers.get("Origin")
    if where is not None:
        ok = where in {"same-origin", "none"}
    else:
        ok = origin is None or urlsplit(origin).netloc == asked.host
    if not ok:
        raise ForeignForm


def private_page(answer: Response | str) -> Response:
    """A page behind a link: kept by no cache, listed by no search engine."""
    answer = make_response(answer)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer


class PageRefusal(Refusal):
    """What the web layer itself refuses, by its HTTP status."""

    heading = "This page did not work"
    way_out = ("/", "Go to the front page")

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(SENTENCES.get(status, SENTENCES[500]))


class PageUnknown(PageRefusal):
    """An address without a page."""

    heading = "Page not found"


SENTENCES = {
    400: "We could not read that request.",
    403: "This page is not for you.",
    404: "There is no page at this address.",
    405: "This address does not take that kind of request.",
    413: "That is larger than we can take.",
    429: "That was asked for too often from here. Wait some minutes and try again.",
    500: "Something went wrong on our side. Nothing was lost; please try again.",
}


def _http_error(error: HTTPException) -> Response:
    code = error.code or 500
    original = error.get_response()
    if code < 400:
        return make_response(original)
    answer = refusal_page(PageUnknown(code) if code == 404 else PageRefusal(code))
    for name in ("Allow", "Retry-After"):
        if name in original.headers:
            answer.headers[name] = original.headers[name]
    return answer


def _secure(answer: Response) -> Response:
    headers = answer.headers
    headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("X-Frame-Options", "DENY")
    # `no-referrer` would make the desk's form protection refuse every POST over https.
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
    if config().base_url.startswith("https://"):
        headers.setdefault("Strict-Transport-Security", f"max-age={YEAR_SECONDS}")
    return answer


def format_day(value: date | datetime) -> str:
    """`3 March 2027`, in the shop's zone."""
    if isinstance(value, datetime):
        value = value.astimezone(config().zone).date()
    return format_date(value, "d MMMM y", locale="en_GB")


def format_moment(value: datetime) -> str:
    """`3 March 2027, 09:00 GMT`, in the shop's zone."""
    local = value.astimezone(config().zone)
    return f"{format_day(value)}, {local:%H:%M %Z}"


def format_size(size: int) -> str:
    """`1.9 MB`: decimal, as systems show it."""
    if size < 1_000:
        return f"{size} bytes"
    if size < 999_500:
        return f"{size / 1_000:.0f} kB"
    return f"{size / 1_000_000:.1f} MB"


def _markdown(text: str) -> Markup:
    return render_markdown(text)


FILTERS: dict[str, Callable[..., Any]] = {
    "money": format_money,
    "date": format_day,
    "datetime": format_moment,
    "filesize": format_size,
    "markdown": _markdown,
    "plain": plain_lines,
}
