"""A spreadsheet's CSV read whole or not at all: its encoding, separator, columns, then each row."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from store.distribution.spreadsheet import plain_cell
from store.kit.errors import Refusal
from store.kit.text import clean_line
from store.orders.customers import InvalidAddress, address_key, parse_address

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
LONGEST_NAME = 200
_KNOWN_AS = {"email": {"email", "emailaddress", "mail"}, "name": {"name", "fullname"}}
# What stands between letters in names written by word processors.
_PUNCTUATION = frozenset("‘’‚“”„–—…·«»‹›´`¨°ºª§©®™€£ \u00a0\u00ad")


class FileUnclear(Refusal):
    """A file that cannot be read without guessing; nothing of it is taken."""

    status = 422


@dataclass(frozen=True)
class Row:
    """One customer as the file has it, with the line where the row begins (from 1)."""

    line: int
    email: str
    name: str


@dataclass(frozen=True)
class LeftOut:
    """One row that is not taken: where, what stands there, why."""

    line: int
    value: str
    reason: str


@dataclass(frozen=True)
class CustomerRows:
    """What a file holds. Every row under the heading is in one of both lists."""

    rows: list[Row]
    left_out: list[LeftOut]

    @property
    def total(self) -> int:
        """How many rows stand under the heading."""
        return len(self.rows) + len(self.left_out)


def read_customers(data: bytes, columns: Mapping[str, str] | None = None) -> CustomerRows:
    """Read the rows of a CSV file with the columns `email` and (where there is one) `name`.

    `columns` names the file's own headings, as `{"email": "Contact"}`; capitals, blanks and
    hyphens make no difference. UTF-8, UTF-16 and Windows-1252; comma, semicolon or tab. Refuses
    (`FileUnclear`) the whole file where encoding, separator or a column is not clear.
    """
    text = _decode(data)
    separator, text, skipped = _named_separator(text)
    wanted = {name: {_bare(chosen)} for name, chosen in (columns or {}).items()}
    wanted = _KNOWN_AS | wanted
    separator = separator or _find_separator(text, wanted)
    return _sort_rows(text, separator, wanted, skipped, chosen=set(columns or ()))


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
    text = _strictly(data, "windows-1252")
    odd_sign = any(
        letter > "\x7f" and not letter.isalpha() and letter not in _PUNCTUATION for letter in text
    )
    runs_on = re.search(r"[À-žŒœŠšŸŽ]{3}", text)
    if odd_sign or runs_on or _capital_inside(text):
        raise _unclear_encoding()
    return text


def _capital_inside(text: str) -> bool:
    """An accented capital after a small letter, or between a letter and a small one."""
    threes = zip(text, text[1:], f"{text[2:]} ", strict=False)
    return any(
        b > "\x7f" and b.isupper() and a.isalpha() and (a.islower() or c.islower())
        for a, b, c in threes
    )


def _unclear_encoding() -> FileUnclear:
    return FileUnclear(
        "The encoding of this file is not clear, so letters like ü could go wrong. Save it as "
        "“CSV UTF-8” and try again."
    )


def _named_separator(text: str) -> tuple[str | None, str, int]:
    """Excel may name the separator on a first line of its own: `sep=;`."""
    found = re.match(r'"?sep=(.)"?(\r\n|\r|\n)', text, re.IGNORECASE)
    if not found:
        return None, text, 0
    if found[1] not in SEPARATORS:
        raise FileUnclear(
            f"The file names “{found[1]}” as its separator. Use a comma, semicolon or tab."
        )
    return found[1], text[found.end() :], 1


def _find_separator(text: str, wanted: Mapping[str, set[str]]) -> str:
    """The one separator that makes the heading hold the e-mail column."""
    fits: dict[str, list[str]] = {}
    for separator in SEPARATORS:
        heading = next(_rows(text, separator), (1, []))[1]
        if _place(heading, wanted["email"]) is not None:
            fits[separator] = heading
    if not fits:
        raise _no_column(text)
    widest = max(len(heading) for heading in fits.values())
    if widest == 1:
        return ","
    best = [separator for separator, heading in fits.items() if len(heading) > 1]
    if len(best) > 1:
        names = " or ".join(SEPARATORS[separator] for separator in best)
        raise FileUnclear(f"The separator of this file is not clear: it could be {names}.")
    return best[0]


def _no_column(text: str) -> FileUnclear:
    heading = clean_line(next(iter(text.splitlines()), ""))[:200]
    return FileUnclear(
        f"No column with e-mail addresses was found. The first line is “{heading}”. Name the "
        "column with --column email=…, and check that commas, semicolons or tabs separate columns."
    )


def _sort_rows(
    text: str, separator: str, wanted: Mapping[str, set[str]], skipped: int, chosen: set[str]
) -> CustomerRows:
    table = _rows(text, separator)
    _, heading = next(table, (1, []))
    places = {name: _place(heading, known) for name, known in wanted.items()}
    if places["email"] is None or any(places.get(name) is None for name in chosen):
        raise _no_column(text)
    rows: list[Row] = []
    left_out: list[LeftOut] = []
    seen: dict[str, int] = {}
    for line, cells in table:
        found = _judge(line + skipped, cells, len(heading), places, seen)
        if isinstance(found, Row):
            rows.append(found)
        else:
            left_out.append(found)
    return CustomerRows(rows, left_out)


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


def _judge(
    line: int,
    cells: list[str],
    width: int,
    places: Mapping[str, int | None],
    seen: dict[str, int],
) -> Row | LeftOut:
    shown = " | ".join(clean_line(cell) for cell in cells)[:200]
    if not any(cell.strip() for cell in cells):
        return LeftOut(line, "", "empty line")
    if len(cells) != width:
        fields = f"{len(cells)} field" + ("s" if len(cells) != 1 else "")
        return LeftOut(line, shown, f"{fields} where the heading has {width}")
    place = places.get("name")
    name = clean_line(plain_cell(cells[place])) if place is not None else ""
    return _judge_person(line, plain_cell(cells[places["email"] or 0]), name, seen)


def _judge_person(line: int, typed: str, name: str, seen: dict[str, int]) -> Row | LeftOut:
    try:
        email = parse_address(typed)
    except InvalidAddress as refusal:
        return LeftOut(line, clean_line(typed)[:200], refusal.sentence)
    if len(name) > LONGEST_NAME:
        return LeftOut(line, email, f"the name has more than {LONGEST_NAME} characters")
    first = seen.setdefault(address_key(email), line)
    if first != line:
        return LeftOut(line, email, f"the same address as on line {first}")
    return Row(line, email, name)


def _place(heading: list[str], known: set[str]) -> int | None:
    places = [place for place, cell in enumerate(heading) if _bare(cell) in known]
    if len(places) > 1:
        raise FileUnclear(f"Two columns are called “{clean_line(heading[places[0]])}”.")
    return places[0] if places else None


def _bare(heading: str) -> str:
    plain = unicodedata.normalize("NFKC", clean_line(heading)).casefold()
    return "".join(letter for letter in plain if letter.isalnum())
