"""Forms: what was typed, kept for the page that shows it again, and read for the rules; and the box
behind a mailed link, before what costs something or cannot be undone.

Robots open letters and send forms as they stand, so a form without the tick does nothing.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from flask import Response, render_template, request

from store.kit.errors import InvalidFields
from store.kit.money import InvalidPrice, UnknownCurrency, parse_price
from store.kit.paging import Place
from store.kit.text import read_day, read_number
from store.kit.web import private_page

SURE = "sure"
# More than a line may hold, so that the page can say how long it is.
MOST_TYPED = 400


class Typed(dict[str, Any]):
    """Values of a form by field; a field without one is empty."""

    def __missing__(self, _name: str) -> str:
        return ""

    def cut(self, name: str, most: int = MOST_TYPED) -> str:
        """What was typed, up to so many characters."""
        return str(self[name])[:most]

    def matching(self, name: str, pattern: str) -> str:
        """What a page of ours wrote into a field; "" where it is not of this pattern."""
        text = str(self[name])
        return text if re.fullmatch(pattern, text, re.ASCII) else ""

    def is_ticked(self, name: str = SURE) -> bool:
        return bool(self[name] == "yes")


def sent() -> Typed:
    """What was sent just now, first value of each field."""
    return Typed(request.form.items())


def typed() -> Typed:
    """The same for a page that shows it again: no password and no token among it."""
    secret = {"csrf_token", "password", "new_password", "code"}
    return Typed((name, text) for name, text in sent().items() if name not in secret)


def searched() -> str:
    """What a list is searched for: `?q=`, or `?email=` as other programs write it."""
    return (request.args.get("q") or request.args.get("email") or "").strip()


def place_in_list(prefix: str = "") -> Place:
    """Which part of a list is asked for: `?after=` or `?before=`, behind the prefix of one of several
    lists of a page. Where an address counts pages, as they once did, the list begins."""
    return Place.read(request.args.get(f"{prefix}after"), request.args.get(f"{prefix}before"))


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
        try:
            return read_number(self.values[name])
        except ValueError:
            self.faults[name] = sentence
            return None

    def day(self, name: str, sentence: str, *, needed: bool = False) -> date | None:
        """A day like 2027-03-31; none where nothing was typed, unless one is needed."""
        try:
            day = read_day(self.values[name])
        except ValueError:
            day, needed = None, True
        if day is None and needed:
            self.faults[name] = sentence
        return day

    def amount(self, name: str, currency: str, *, needed: bool = False) -> int | None:
        """Money in minor units; none where nothing was typed, unless it is needed."""
        text = self.values[name].strip()
        try:
            return parse_price(text, currency, noun="amount") if needed or text else None
        except InvalidPrice as refusal:
            self.faults[name] = refusal.sentence
            return None

    def price(self, name: str, currency_name: str) -> int | None:
        """A price in minor units, beside the currency of another field."""
        text = self.values[name]
        try:
            return parse_price(text, self.values[currency_name])
        except UnknownCurrency as refusal:
            self.faults[currency_name] = refusal.sentence
        except InvalidPrice as refusal:
            self.faults[name] = refusal.sentence if text.strip() else "Enter the price."
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


def sure_page(template: str, unticked: str, *, box: str = SURE, **shown: Any) -> Response:
    """The page with the box; where its form was sent without the tick, with the sentence
    `unticked` at the box (422)."""
    errors = {box: unticked} if request.method == "POST" else {}
    return private_page(render_template(template, errors=errors, **shown), status(errors))
