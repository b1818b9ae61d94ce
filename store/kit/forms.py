"""What the desk's forms share: what was typed, kept for the page that shows it again."""

import secrets
from collections.abc import Mapping
from typing import Any

from flask import request


class Typed(dict[str, Any]):
    """Values of a form by field; a field without one is empty."""

    def __missing__(self, _name: str) -> str:
        return ""


def typed() -> Typed:
    """What was sent just now, first value of each field; no password and no token among it."""
    return Typed(
        (name, text)
        for name, text in request.form.items()
        if name not in {"csrf_token", "password", "new_password", "code"}
    )


def of_row(row: Any, names: tuple[str, ...]) -> Typed:
    """The fields of a row as a form shows them."""
    values = {name: getattr(row, name) for name in names}
    return Typed((name, "" if value is None else value) for name, value in values.items())


def fresh_key() -> str:
    """The random value that makes one act of a form pressed twice."""
    return secrets.token_urlsafe(16)


def status(errors: Mapping[str, Any]) -> int:
    """422 for a page that says what is wrong, else 200."""
    return 422 if errors else 200
