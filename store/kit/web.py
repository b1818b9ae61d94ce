"""What every page shares: security headers, refusals as pages, who may send a form."""

import logging
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Flask, Request, Response, request
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException

from store.kit import patience, reading_requests, space
from store.kit.config import config
from store.kit.database import db
from store.kit.drawn_covers import draw_cover
from store.kit.errors import Refusal
from store.kit.formatting import FILTERS
from store.kit.refusal_pages import http_error_page, refusal_page
from store.kit.static_files import YEAR_SECONDS, StaticFiles

log = logging.getLogger(__name__)

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class ForeignForm(Refusal):
    """A form that was sent from somebody else's page."""

    status = 403
    sentence = "This form was sent from another site. Open our page and send it from there."


def init_app(app: Flask, static_folder: Path) -> None:
    """Filters, static files, headers and refusal pages for this application."""
    reading_requests.init_app(app)
    files = StaticFiles(static_folder)
    app.add_url_rule("/static/<name>", "static", files.serve)
    app.jinja_env.globals["asset"] = files.url
    app.jinja_env.globals["draw_cover"] = draw_cover
    app.jinja_env.filters.update(FILTERS)
    app.jinja_env.undefined = StrictUndefined  # a misspelt name in a template is a fault, not a gap
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_error_handler(Refusal, refusal_page)
    app.register_error_handler(HTTPException, http_error_page)
    for fault in (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError):
        app.register_error_handler(fault, _not_written)
    app.before_request(patience.begin_page)
    app.teardown_request(patience.end_page)
    app.after_request(_secure)


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
    raise fault


def _secure(answer: Response) -> Response:
    headers = answer.headers
    # Browsers hold the way on after a form, too, against form-action.
    ways = f"form-action 'self' {config().payment_origin}".rstrip()
    headers.setdefault("Content-Security-Policy", PAGE_POLICY.replace("form-action 'self'", ways))
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("X-Frame-Options", "DENY")
    # `no-referrer` would make the desk's form protection refuse every POST over https.
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    # Nothing comes from elsewhere, so it costs nothing.
    headers.setdefault("Cross-Origin-Embedder-Policy", "require-corp")
    headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
    if config().base_url.startswith("https://"):
        headers.setdefault("Strict-Transport-Security", f"max-age={YEAR_SECONDS}")
    return answer
