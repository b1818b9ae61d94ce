"""The columns of a customers file as a person is asked about them: heading, first rows, meaning."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from store.distribution.csv_columns import PLAIN, FileUnclear, Layout, bare, known_layout
from store.distribution.customers_csv import is_address, open_table
from store.kit.text import clean_line

# What a column may be; "" is left out.
MEANINGS = {
    "email": "e-mail address",
    "name": "whole name",
    "first_name": "first name",
    "last_name": "last name",
    "item": "product",
    "ordered_on": "day of the order",
    "": "leave it out",
}
SAMPLES = 3
_TRIED = 20
_MOST_COLUMNS = 200


@dataclass(frozen=True)
class Column:
    """A heading, the first values under it, and what it is taken for (a key of `MEANINGS`)."""

    heading: str
    samples: list[str]
    meaning: str


@dataclass(frozen=True)
class Columns:
    """The columns of a file; of one that a known shop wrote nobody needs to be asked."""

    shop: str
    columns: list[Column]

    @property
    def chosen(self) -> dict[str, str]:
        """A heading for each meaning, as `read_customers` takes them; none for a known shop."""
        if self.shop:
            return {}
        found = {one.meaning: one.heading for one in reversed(self.columns) if one.meaning}
        return {meaning: found.get(meaning, "") for meaning in MEANINGS if meaning}


def columns_of(data: bytes, chosen: Mapping[str, str] | None = None) -> Columns:
    """The columns of a file, each with its meaning: the `chosen` one, else by common headings, and
    an address by how it looks. Refuses (`FileUnclear`) a file that cannot be read at all."""
    table = open_table(data, PLAIN.email, is_by_rows=True)
    heading = [clean_line(cell) for cell in next(table, (1, []))[1]]
    if len(heading) > _MOST_COLUMNS:
        raise FileUnclear(f"This file has more than {_MOST_COLUMNS} columns. Keep those you need.")
    rows = [cells for _, cells in islice(table, _TRIED) if any(cell.strip() for cell in cells)]
    layout = known_layout(heading)
    found = []
    for place, text in enumerate(heading):
        values = [clean_line(cells[place]) for cells in rows if place < len(cells)]
        samples = [value[:60] for value in values[:SAMPLES] if value]
        found.append(Column(text, samples, _meaning(text, layout, chosen)))
    if chosen is None and not layout.shop:
        found = _with_address(found, rows)
    return Columns(layout.shop, found)


def _meaning(heading: str, layout: Layout, chosen: Mapping[str, str] | None) -> str:
    if chosen:
        return next((one for one, text in chosen.items() if text == heading), "")
    for meaning in MEANINGS:
        if meaning and bare(heading) in getattr(layout, meaning):
            return meaning
    return ""


def _with_address(columns: list[Column], rows: list[list[str]]) -> list[Column]:
    """One column of addresses: the first that is called so, else the first that has some."""
    places = [place for place, one in enumerate(columns) if one.meaning == "email"]
    if not places:
        places = [
            place
            for place, one in enumerate(columns)
            if not one.meaning
            and any(is_address(cells[place]) for cells in rows if place < len(cells))
        ]
    return [
        Column(
            one.heading,
            one.samples,
            "email" if place in places[:1] else "" if one.meaning == "email" else one.meaning,
        )
        for place, one in enumerate(columns)
    ]
