"""Rows as CSV, so that a spreadsheet shows them as they are."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal

from flask import Response, stream_with_context

# What Excel, LibreOffice and Google Sheets take for the beginning of a formula (OWASP, CSV
# injection), the wide signs of East Asia among them. A program that divides by another sign than
# ours begins a cell behind that, too. Text that has apostrophes there already gets one more, so that
# reading is exact.
_BEGINS = r"(^|[;|\t\r\n])"
_FORMULA = r"('*)(?=[=+\-@\t\r\n＝＋－＠])"
_BARE = re.compile(_BEGINS + _FORMULA)
_MADE_TEXT = re.compile(_BEGINS + "'" + _FORMULA)

Cell = str | int | Decimal | date | datetime | None


def to_csv(rows: Iterable[Sequence[Cell]]) -> str:
    """Rows as CSV with commas; write it with `utf-8-sig`, so that Excel keeps every letter.

    Numbers stay numbers; text that looks like a formula is made text.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows([safe_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


def csv_file(pieces: Iterable[str], name: str) -> Response:
    """A file of this name that is written while it is read, so that no list is too long."""
    answer = Response(stream_with_context(_octets(pieces)), content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _octets(pieces: Iterable[str]) -> Iterator[bytes]:
    """With a mark in front, so that Excel keeps every letter."""
    yield codecs.BOM_UTF8
    for piece in pieces:
        yield piece.encode()


def safe_cell(cell: Cell) -> str:
    """One value as it is written: `=1+1` becomes `'=1+1`, the number -5.00 stays."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return _BARE.sub(r"\1'\2", cell)
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def plain_cell(text: str) -> str:
    """The text that `safe_cell` was given."""
    return _MADE_TEXT.sub(r"\1\2", text)
