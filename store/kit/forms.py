"""Forms of the desk: what was typed, kept for the page that shows it again, and read for the rules."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from flask import request

from store.kit.errors import InvalidFields
from store.kit.money import InvalidPrice, parse_price


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


@dataclass
class Reader:
    """Reads fields as rules take them, and keeps a sentence for each that cannot be read."""

    values: Typed
    faults: dict[str, str] = field(default_factory=dict)

    def number(self, name: str, sentence: str) -> int | None:
        """A whole number; none where nothing was typed."""
        text = self.values[name].strip()
        if text and not (text.isdecimal() and len(text) < 9):
            self.faults[name] = sentence
            return None
        return int(text) if text else None

    def day(self, name: str, sentence: str, *, needed: bool = False) -> date | None:
        """A day like 2027-03-31; none where nothing was typed, unless one is needed."""
        text = self.values[name].strip()
        try:
            return date.fromisoformat(text) if needed or text else None
        except ValueError:
            self.faults[name] = sentence
            return None

    def amount(self, name: str, currency: str, *, needed: bool = False) -> int | None:
        """Money in minor units; none where nothing was typed, unless it is needed."""
        text = self.values[name].strip()
        try:
            return parse_price(text, currency) if needed or text else None
        except InvalidPrice as refusal:
            self.faults[name] = refusal.sentence.replace("The price", "The amount", 1)
            return None

    def check(self) -> None:
        """Refuse (`InvalidFields`) what could not be read."""
        if self.faults:
            raise InvalidFields(self.faults)


def fresh_key() -> str:
    """The random value that makes one act of a form pressed twice."""
    return secrets.token_urlsafe(16)


def status(errors: Mapping[str, Any]) -> int:
    """422 for a page that says what is wrong, else 200."""
    return 422 if errors else 200
