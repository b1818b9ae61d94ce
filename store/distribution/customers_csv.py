"""Customers in a spreadsheet's CSV, read whole or not at all: its encoding, separator, columns,
then each row."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from store.distribution.csv_columns import PLAIN, FileUnclear, Layout, bare, is_heading, layout_of
from store.kit import clock
from store.kit.config import config
from store.kit.mailboxes import address_key
from store.kit.spreadsheets import plain_cell
from store.kit.text import clean_line
from store.orders.customers import InvalidAddress, parse_address

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
LONGEST_NAME = 200
TWICE, ANOTHER = "twice in the file", "another product"
_UTC = ZoneInfo("UTC")
# A day, perhaps with a time, perhaps with an offset; 03/04/2027 could be two days.
_MOMENT = r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d)?(?:\.\d+)?)\s*(UTC|GMT|Z|[+-]\d\d:?\d\d)?)?"
# What stands between letters in names written by word processors.
_PUNCTUATION = frozenset("‘’‚“”„–—…·«»‹›´`¨°ºª§©®™€£ \u00a0\u00ad")
_ADDRESS_ALONE = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+\.[^\s@,;<>]+")


@dataclass(frozen=True)
class Row:
    """One customer as the file has it, with the line where the row begins (from 1)."""

    line: int
    email: str
    name: str
    ordered_at: datetime | None = None  # where the file says when


@dataclass(frozen=True)
class LeftOut:
    """One row that is not taken, or not wholly: where, what stands there, why; and the `group` of
    those that are left out for the same, where the reason names what stands there."""

    line: int
    value: str
    reason: str
    group: str = field(default="", compare=False)

    @property
    def kind(self) -> str:
        """What is counted together."""
        return self.group or self.reason

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `--json`, and for a row of its own."""
        return {"line": self.line, "value": self.value, "reason": self.reason}


@dataclass(frozen=True)
class CustomerRows:
    """What a file holds. Every row under the heading is in one of the first two lists; `remarks`
    are about rows that are taken."""

    rows: list[Row]
    left_out: list[LeftOut]
    remarks: list[LeftOut] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many rows stand under the heading."""
        return len(self.rows) + len(self.left_out)


def read_customers(
    data: bytes, columns: Mapping[str, str] | None = None, item: str = ""
) -> CustomerRows:
    """Read the rows of a CSV file with the columns `email` and (where there is one) `name`, or of an
    export that we know (`csv_columns`).

    `columns` names the file's own headings, as `{"email": "Contact"}`, also for `name`, `item` and
    `ordered_on`; capitals, blanks and signs make no difference. Where a column says what was
    bought, only rows of `item` are taken. UTF-8, UTF-16 and Windows-1252; comma, semicolon or tab.
    Refuses (`FileUnclear`) the whole file where encoding, separator or a column is not clear.
    """
    columns = columns or {}
    wanted = (bare(columns["email"]),) if columns.get("email") else PLAIN.email
    table = open_table(data, wanted)
    _, heading = next(table, (1, []))
    layout = layout_of(heading, columns)
    reader = _Reader(layout, _places(heading, layout, columns), len(heading), item)
    for line, cells in table:
        reader.read(line, cells)
    return CustomerRows(list(reader.rows.values()), reader.left_out, reader.remarks)


def open_table(
    data: bytes, wanted: Sequence[str], *, is_by_rows: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Each row, the heading first, with the line that it begins on. `wanted` are bare headings of
    which one is there; `is_by_rows` tells the separator by an address in the rows where none is.

    Refuses (`FileUnclear`) where encoding or separator is not clear.
    """
    text = _decode(data)
    # Excel may name the separator on a first line of its own: `sep=;`.
    named = re.match(r'"?sep=(.)"?(\r\n|\r|\n)', text, re.IGNORECASE)
    if named:
        separator, text = named[1], text[named.end() :]
        if separator not in SEPARATORS:
            raise FileUnclear(
                f"The file names “{separator}” as its separator. Use a comma, semicolon or tab."
            )
    else:
        separator = _find_separator(text, wanted, is_by_rows=is_by_rows)
    return ((line + bool(named), cells) for line, cells in _rows(text, separator))


def _decode(data: bytes) -> str:
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if data.startswith(mark):
            return _strictly(data, encoding)
    if b"\x00" in data:
        big = data[:2].startswith(b"\x00")
        return _strictly(data, "utf-16-be" if big else "utf-16-le")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_windows(data)


def _strictly(data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise _unclear_encoding() from None
    if "\x00" in text:
        raise _unclear_encoding()
    return text


def _decode_windows(data: bytes) -> str:
    """Windows-1252 where what comes out reads like names; other old encodings come out as signs
    inside words, capitals after small letters, or long runs of accents."""
    # charset-normalizer was tried on the samples of the tests: left free it takes a short file of
    # Windows-1252 for GB 18030; held to Windows-1252, it takes Cyrillic, Greek and Mac Roman for it.
    text = _strictly(data, "windows-1252")
    odd_sign = any(
        letter > "\x7f" and not letter.isalpha() and letter not in _PUNCTUATION for letter in text
    )
    runs_on = re.search(r"[À-žŒœŠšŸŽ]{3}", text)
    # An accented capital after a small letter, or between a letter and a small one.
    capital_inside = any(
        b > "\x7f" and b.isupper() and a.isalpha() and (a.islower() or c.islower())
        for a, b, c in zip(text, text[1:], f"{text[2:]} ", strict=False)
    )
    if odd_sign or runs_on or capital_inside:
        raise _unclear_encoding()
    return text


def _unclear_encoding() -> FileUnclear:
    return FileUnclear(
        "The encoding of this file is not clear, so letters like ü could go wrong. Save it as "
        "“CSV UTF-8” and try again."
    )


def _find_separator(text: str, wanted: Sequence[str], *, is_by_rows: bool) -> str:
    """The one separator that makes the first line a heading that can be read."""
    fits: dict[str, int] = {}
    for separator in SEPARATORS:
        heading = next(_rows(text, separator), (1, []))[1]
        if is_heading(heading, wanted):
            fits[separator] = len(heading)
    if not fits and is_by_rows:
        fits = _widths_with_addresses(text)
    if not fits:
        raise _no_column(clean_line(next(iter(text.splitlines()), "")))
    if max(fits.values()) == 1:
        return ","
    best = [separator for separator, width in fits.items() if width > 1]
    if len(best) > 1:
        names = " or ".join(SEPARATORS[separator] for separator in best)
        raise FileUnclear(f"The separator of this file is not clear: it could be {names}.")
    return best[0]


def _widths_with_addresses(text: str) -> dict[str, int]:
    """By separator, how many cells the rows have of which one alone is an address."""
    widths = {}
    for separator in SEPARATORS:
        rows = [cells for _, cells in islice(_rows(text, separator), 1, 6) if any(cells)]
        if any(is_address(cell) for cells in rows for cell in cells):
            widths[separator] = len(rows[0])
    return widths


def is_address(cell: str) -> bool:
    """Whether a cell looks like an address and nothing else."""
    return _ADDRESS_ALONE.fullmatch(cell.strip()) is not None


def _no_column(heading: str) -> FileUnclear:
    return FileUnclear(
        f"No column with e-mail addresses was found. The first line is “{heading[:200]}”. Say "
        "which column it is, and check that commas, semicolons or tabs separate the columns."
    )


def _places(heading: list[str], layout: Layout, columns: Mapping[str, str]) -> dict[str, int]:
    """Where each heading stands. Refuses (`FileUnclear`) a chosen one that is not there, one that
    is there twice, and a file without addresses or with two columns of them."""
    places: dict[str, int] = {}
    for place, cell in enumerate(heading):
        if bare(cell) in places and bare(cell) in layout.used:
            raise FileUnclear(f"Two columns are called “{clean_line(cell)}”.")
        places.setdefault(bare(cell), place)
    for one in columns.values():
        if one and bare(one) not in places:
            shown = ", ".join(f"“{clean_line(cell)[:60]}”" for cell in heading[:20])
            raise FileUnclear(f"The file has no column “{one[:60]}”. Its columns are {shown}.")
    addresses = [one for one in layout.email if one in places]
    if not addresses and layout.shop:
        raise FileUnclear(
            f"This file of {layout.shop} has no column with e-mail addresses. Export it again with "
            "that column."
        )
    if not addresses:
        raise _no_column(" | ".join(clean_line(one) for one in heading))
    if len(addresses) > 1 and not layout.shop:
        names = " and ".join(f"“{clean_line(heading[places[one]])}”" for one in addresses)
        raise FileUnclear(f"Two columns may hold the addresses: {names}. Say which one does.")
    return places


def _rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line it begins on; a line break inside quotes belongs to its cell."""
    # A line of CR alone ends a row too (old Macs); the reader knows it only as a whole line end.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    begins = 1
    try:
        for cells in reader:
            yield begins, cells
            begins = reader.line_num + 1
    except csv.Error:
        raise FileUnclear(f"The row that begins on line {begins} cannot be read.") from None


class _Reader:
    """One file, row by row; the rows that are taken by the key of their address."""

    def __init__(self, layout: Layout, places: dict[str, int], width: int, item: str) -> None:
        self.layout, self.places, self.width = layout, places, width
        self.item = bare(item)
        self.rows: dict[str, Row] = {}
        self.left_out: list[LeftOut] = []
        self.remarks: list[LeftOut] = []
        self._first_lines: dict[str, dict[str, str]] = {}

    def read(self, line: int, cells: list[str]) -> None:
        """Take one row, or say why not."""
        shown = " | ".join(clean_line(cell) for cell in cells)[:200]
        if not any(cell.strip() for cell in cells):
            self.left_out.append(LeftOut(line, "", "empty line"))
            return
        if len(cells) != self.width:
            fields = f"{len(cells)} field" + ("s" if len(cells) != 1 else "")
            reason = f"{fields} where the heading has {self.width}"
            self.left_out.append(LeftOut(line, shown, reason, "too few or too many fields"))
            return
        named = {one: plain_cell(cells[place]) for one, place in self.places.items()}
        self._carry(named)
        gift = _filled(named, self.layout.gift)
        typed = gift or _filled(named, self.layout.email)
        name = "" if gift else self._name(named)
        group, ordered_at = "", None
        try:
            reason = self._why_not(named)
            if not reason:
                group = "no day of the order that can be read"
                ordered_at = self._ordered_at(named)
        except ValueError as fault:
            reason = str(fault)
        if reason:
            value = clean_line(typed)[:200] or shown
            group = ANOTHER if reason.startswith(ANOTHER) else group
            self.left_out.append(LeftOut(line, value, reason, group))
        else:
            self._take(line, typed, name, ordered_at, _filled(named, self.layout.quantity))

    def _carry(self, named: dict[str, str]) -> None:
        """What an order says on its first line alone holds for its other lines too."""
        number = named.get(self.layout.order, "") if self.layout.order else ""
        if not number:
            return
        first = self._first_lines.setdefault(number, dict(named))
        # A first line has its status; on one that has none, blanks are filled.
        for heading in self.layout.carried if not named.get("financialstatus") else ():
            named[heading] = named.get(heading) or first.get(heading, "")

    def _name(self, named: dict[str, str]) -> str:
        whole = _filled(named, self.layout.name)
        parts = [_filled(named, one) for one in (self.layout.first_name, self.layout.last_name)]
        return clean_line(whole or " ".join(parts))

    def _why_not(self, named: dict[str, str]) -> str:
        if reason := self.layout.judge(named):
            return reason
        bought = _filled(named, self.layout.item)
        if self.layout.item and self.item and bare(bought) != self.item:
            return f"{ANOTHER}: “{clean_line(bought)[:80]}”"
        quantity = _filled(named, self.layout.quantity) or "1"
        if not quantity.isdecimal():
            return f"the quantity “{quantity[:20]}” is no number"
        return "quantity 0" if int(quantity) == 0 else ""

    def _ordered_at(self, named: dict[str, str]) -> datetime | None:
        columns = [one for one in self.layout.ordered_on if one in self.places]
        if not columns:
            return None
        return read_moment(_filled(named, columns), is_utc=self.layout.is_utc)

    def _take(
        self, line: int, typed: str, name: str, ordered_at: datetime | None, quantity: str
    ) -> None:
        try:
            email = parse_address(typed)
        except InvalidAddress as refusal:
            value = clean_line(typed)[:200]
            self.left_out.append(LeftOut(line, value, refusal.sentence, "not an e-mail address"))
            return
        if len(name) > LONGEST_NAME:
            reason = f"the name has more than {LONGEST_NAME} characters"
            self.left_out.append(LeftOut(line, email, reason))
            return
        key = address_key(email)
        first = self.rows.setdefault(key, Row(line, email, name, ordered_at))
        if first.line != line:
            reason = f"the same address as on line {first.line}"
            self.left_out.append(LeftOut(line, email, reason, TWICE))
            # Of two orders the later one brought the later copy.
            if ordered_at and first.ordered_at and ordered_at > first.ordered_at:
                self.rows[key] = replace(first, ordered_at=ordered_at)
        elif quantity not in {"", "1"}:
            reason = f"ordered {quantity} copies: the address gets one"
            self.remarks.append(LeftOut(line, email, reason))


def read_moment(text: str, *, is_utc: bool) -> datetime:
    """The moment (UTC) of a date, or of a date and time, as ISO 8601 and its neighbours write it; a
    day counts to its end. Without an offset it is of the shop's zone, or `is_utc`.

    Raises `ValueError` with a sentence for what could be read in two ways, or lies ahead.
    """
    found = re.fullmatch(_MOMENT, text.strip(), re.IGNORECASE)
    if not found:
        shown = clean_line(text)[:40]
        raise ValueError(
            f"the date “{shown}” is not written like 2027-03-31"
            if shown
            else "no date of the order"
        )
    day, time, offset = found[1], found[2], (found[3] or "").upper()
    zone = _UTC if is_utc or offset in {"UTC", "GMT", "Z"} else config().zone
    try:
        if time is None:
            at = clock.end_of(date.fromisoformat(day), zone) - timedelta(microseconds=1)
        elif offset and zone is not _UTC:
            at = datetime.fromisoformat(f"{day}T{time}{offset}")
        else:
            at = datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=zone)
        at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"there is no date “{clean_line(text)[:40]}”") from None
    if at > clock.now() + timedelta(days=1):
        raise ValueError(f"the date “{clean_line(text)[:40]}” is still to come")
    return at


def _filled(named: Mapping[str, str], headings: Iterable[str]) -> str:
    return next((named[one].strip() for one in headings if named.get(one, "").strip()), "")
