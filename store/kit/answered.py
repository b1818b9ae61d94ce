"""Each request has a number, which its answer and every line of the log about it bear, and one line of
its own: what was asked for by its rule, never by its address, and how it was answered.

No network stands in it, no query, no browser: it may be kept, and says nothing of who asked.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from random import getrandbits
from typing import Any

from flask import Flask, request

from store.kit.happenings import Happening, tell
from store.kit.logs import Facts, begin_request, end_request, say_plainly

log = logging.getLogger("store.access")

HEADER = "X-Request-Id"
_RULE = "colophon.rule"
# What anybody may write there is no word of ours.
_METHODS = {"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"}
# Said at debug alone: they are many and tell nothing.
_QUIET = {"/static/<name>", "/healthz"}
_MILLISECOND = timedelta(milliseconds=1)


def init_app(app: Flask) -> None:
    """Number the requests of this application; before anything else looks at them."""
    app.before_request(_keep_rule)
    app.wsgi_app = Numbered(app.wsgi_app)  # type: ignore[method-assign]


def _keep_rule() -> None:
    # Flask lets go of its request before the server is done with the answer.
    if request.url_rule is not None:
        request.environ[_RULE] = request.url_rule.rule


class Numbered:
    """Gives each request its number, made here: whatever somebody sends in its place is not looked at."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        number = f"{getrandbits(48):012x}"
        begin_request(number)

        def start(status: str, headers: list[tuple[str, str]], *fault: Any) -> Any:
            headers.append((HEADER, number))
            return start_response(status, headers, *fault)

        return self._app(environ, start)


def note_fault(exc_info: Any) -> None:
    """Tell of a page that failed, with the traceback."""
    environ = request.environ
    rule, method = environ.get(_RULE, "-"), _method(environ)
    tell(Happening.PAGE_FAILED, fault=exc_info, rule=rule, method=method)


def _method(environ: dict[str, Any]) -> str:
    method: str = environ.get("REQUEST_METHOD", "")
    return method if method in _METHODS else "other"


def note(environ: dict[str, Any], status: str, sent: int, took: timedelta) -> None:
    """Write the line of a request that was answered so (`200 OK`), or broke off, after so many octets."""
    path = environ.get(_RULE, "-")
    is_quiet = path in _QUIET
    if log.isEnabledFor(logging.DEBUG if is_quiet else logging.INFO):
        facts: Facts = {
            "event": Happening.PAGE_ANSWERED.value,
            "method": _method(environ),
            "rule": path,
            "status": int(status[:3]) if status[:3].isdigit() else 0,
            "bytes": sent,
            "ms": took // _MILLISECOND,
        }
        say_plainly(log.name, facts)
    end_request()
