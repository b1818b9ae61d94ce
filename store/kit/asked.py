"""Requests as they may come from anybody: what nobody types is refused before a door sees it.

That is NUL in an address, field or header, broken chunks, numbers beyond a column: 400 or 404 and one
line in the log. (Signed JSON nested deeper than any message is refused by `gateways.signatures`.) What a
database refuses all the same is a 400 too.
"""

from collections.abc import Iterable
from typing import Any

from flask import Flask, Request, request
from werkzeug.exceptions import BadRequest
from werkzeug.routing import IntegerConverter

# The largest number that a column of ours holds.
MOST = 2**31 - 1


class Asked(Request):
    """A request whose fields hold no NUL: PostgreSQL takes none, and no keyboard makes one."""

    def _load_form_data(self) -> None:
        if "form" in self.__dict__:
            return
        super()._load_form_data()
        _refuse_nul(text for pair in self.form.items(multi=True) for text in pair)
        _refuse_nul(str(file.filename) for file in self.files.values())


class RowNumber(IntegerConverter):
    """`<int:…>` in an address: a number that a column could hold, else there is no such page."""

    def __init__(self, map: Any, **given: Any) -> None:
        super().__init__(map, **({"max": MOST} | given))


def init_app(app: Flask) -> None:
    """Read requests like this in this application; before its addresses are added."""
    app.request_class = Asked
    app.url_map.converters["int"] = RowNumber
    app.before_request(_look_over)


def _look_over() -> None:
    # The path, decoded, and every header are among the values of WSGI.
    _refuse_nul(value for value in request.environ.values() if isinstance(value, str))
    if request.query_string:
        _refuse_nul(text for pair in request.args.items(multi=True) for text in pair)
    # Looked at as it is read. The desk reads its own, once it knows who asks; a gateway's message
    # is no form, and its door says how long it may be.
    is_form = request.mimetype in {"application/x-www-form-urlencoded", "multipart/form-data"}
    if is_form and not request.path.startswith("/admin"):
        _ = request.form


def _refuse_nul(texts: Iterable[str]) -> None:
    if any("\0" in text for text in texts):
        raise BadRequest
