"""Tables that a run prints at its end, one row from each test that has one to tell."""

from collections.abc import Callable
from typing import Any

import pytest

Note = Callable[[str, dict[str, object]], None]
MARK = "a row of: "


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Note:
    """Keep a row for the table of that title; it is printed, too, where the test then fails."""

    def keep(title: str, row: dict[str, object]) -> None:
        record_property(MARK + title, {name: str(value) for name, value in row.items()})

    return keep


def print_tables(reporter: Any) -> None:
    """Print what the tests of this run kept, however many processes ran them."""
    tables: dict[str, list[dict[str, str]]] = {}
    for reports in reporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                for name, row in report.user_properties:
                    if name.startswith(MARK):
                        tables.setdefault(name.removeprefix(MARK), []).append(row)
    for title, rows in sorted(tables.items()):
        reporter.write_line("")
        reporter.write_line(title)
        for line in lines(rows):
            reporter.write_line(line)


def lines(rows: list[dict[str, str]]) -> list[str]:
    """A table of rows that have the same names."""
    names = list(rows[0])
    cells = [names, *sorted([row.get(name, "") for name in names] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(names))]
    padded = [" | ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
    return [padded[0], "-+-".join("-" * width for width in widths), *padded[1:]]
