"""What people type and paste, cleaned of characters that nobody sees."""

import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import Any

# Zero-width characters, joiners and marks, the byte order mark, soft hyphen, and the
# bidirectional controls that can make a name read backwards (Unicode TR36).
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_APOSTROPHES = re.compile("['\u2018\u2019\u201b\u02b9\u02bb\u02bc\u00b4`\u2032\uff07\uff40]")
_ACCENTS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
# Letters that Unicode takes for whole, and people for another with something to it.
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"}
)
_PLAIN_CAPITALS = str.maketrans(
    {chr(small).upper(): plain.capitalize() for small, plain in _PLAIN.items() if chr(small) != "ı"}
    | {
        "ß": "ss",
        "ẞ": "SS",
        "–": "-",
        "—": "-",
        "\u2010": "-",
        "’": "'",
        "‘": "'",
        "“": "",
        "”": "",
    }
)
_LONGEST_KEY = 1_000
# Where a title pauses: before its second half, or what stands in brackets.
_PAUSES = re.compile("[:;,]| [–—(-]")
_SMALL_WORDS = re.compile(r"(?: \w{1,3})+$")

# What may stand in a name beside letters and their combining marks.
_NAME_MARKS = frozenset(" '\u2019-\u2010\u2011.")
_NO_ASCII_NAME = re.compile("[^A-Za-z '.-]+")
_LONGEST_NAME = 60
# What staff note of an act: why a copy is given, whose transfer came. Their columns hold as much.
LONGEST_NOTE = 300


def clean_line(text: str) -> str:
    """One line as it was meant: composed (NFC), no control or bidirectional characters, no
    outer blanks, inner runs of blanks as one."""
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFC", text)
        text = _CONTROL.sub(" ", _INVISIBLE.sub("", text))
    return " ".join(text.split())


def plain_name(text: str) -> str:
    """A name that somebody typed, as a letter may repeat it to somebody else: letters of any
    script, blanks, apostrophes, hyphens and full stops, at most 60 characters; all else is left
    out. A full stop ends a word, so that no address stands in it that could be clicked.
    """
    line = clean_line(text)
    if line.isascii():
        kept = _NO_ASCII_NAME.sub("", line)
    else:
        kept = "".join(
            one for one in line if one in _NAME_MARKS or unicodedata.category(one)[0] in "LM"
        )
    name = " ".join(re.sub(r"\.+", ". ", kept).split())
    if len(name) > _LONGEST_NAME:
        cut = name[: _LONGEST_NAME + 1]
        name = cut.rpartition(" ")[0] or cut[:_LONGEST_NAME]
    return name if any(one.isalpha() for one in name) else ""


def cut_line(line: str, longest: int) -> str:
    """A line of at most so many characters: a longer one ends with an ellipsis behind a whole word of
    more than three letters, or before a bracket, colon or dash in its last third."""
    if len(line) <= longest:
        return line
    room = line[:longest]
    ends = [at.start() for at in _PAUSES.finditer(room) if at.start() * 3 > longest * 2]
    end = ends[-1] if ends else room.rfind(" ")
    kept = _SMALL_WORDS.sub("", room[:end]) if end * 2 > longest else room[: longest - 1]
    return kept.rstrip(" ,;:.-–—(") + "…"


def clean_text(text: str) -> str:
    """Several lines, cleaned alike; line ends become `\\n`, tabs and paragraphs stay."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    text = _INVISIBLE.sub("", text)
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", " ", text).strip()


def without_invisible(text: str) -> str:
    """The text without characters that take no room; everything visible stays as typed."""
    return _INVISIBLE.sub("", text)


def search_key(*texts: str) -> str:
    """What all spellings of some texts share: without case, accents and apostrophes, full-width and
    other compatibility forms (NFKC) as plain ones, blanks as one. Accents are those of alphabets; the
    vowel signs of other scripts stay."""
    text = unicodedata.normalize("NFKC", _APOSTROPHES.sub("", clean_line(" ".join(texts))))
    text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    text = _APOSTROPHES.sub("", unicodedata.normalize("NFC", text)).translate(_PLAIN)
    return " ".join(text.split())[:_LONGEST_KEY]


def without_accents(text: str) -> str:
    """The text with plain letters for those with accents and for ligatures; its case stays."""
    folded = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    return folded.translate(_PLAIN | _PLAIN_CAPITALS)


def read_number(text: str) -> int | None:
    """A whole number, none where nothing was typed. Raises `ValueError`."""
    text = text.strip()
    if text and not (text.isdecimal() and len(text) < 9):
        raise ValueError(text)
    return int(text) if text else None


def read_day(text: str) -> date | None:
    """A day like 2027-03-31, none where nothing was typed. Raises `ValueError`, also for the first
    and the last year there are, where clocks of other zones show a day that there is not."""
    day = date.fromisoformat(text.strip()) if text.strip() else None
    if day is not None and day.year in (date.min.year, date.max.year):
        raise ValueError(text)
    return day


def listed(words: list[str]) -> str:
    """`one, two and three`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def length_faults(
    values: Mapping[str, Any], longest: Mapping[str, tuple[int, str]]
) -> dict[str, str]:
    """A sentence for each value with more characters than `longest` gives it, under its label."""
    return {
        name: f"{label} can have at most {most} characters; this has {len(values[name])}."
        for name, (most, label) in longest.items()
        if len(values.get(name) or "") > most
    }


def note_fault(note: str, label: str) -> str:
    """Why a note, under its label, is too long to be kept; empty where it is not."""
    if len(note) <= LONGEST_NOTE:
        return ""
    return f"{label} can have at most {LONGEST_NOTE} characters."
