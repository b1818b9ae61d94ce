"""Letters that say the same to many: filled in once, and encoded once but for the lines in which
each reader's own values stand."""

import re
import threading
from collections.abc import Collection
from datetime import date
from functools import lru_cache
from itertools import groupby
from typing import Any

from markupsafe import escape

from store.kit.text import clean_line
from store.mail import letters, mime
from store.mail.mime import EncodedText, LetterText

_PLAIN = (str, int, bool, float, date, type(None))

_cutting = threading.Lock()

# What the last letter of each kind was cut from, and the cut: to compare costs less than to hash.
_last: dict[str, tuple[tuple[Any, ...], "Cut"]] = {}


def cut_letter(
    kind: str, context: dict[str, Any], own: Collection[str]
) -> LetterText | EncodedText:
    """The same as `render_letter`, with the values that `own` names put in as they stand.

    A template shows those verbatim or asks whether they are empty; it never shapes them. The rest
    is filled in once for as long as every other value stays the same, `seller` and `face`, rows of
    plain values, among them; where one of them is not plain, nothing is kept.
    """
    mine = {name: str(context[name]) for name in own if context[name]}
    rest = {name: value for name, value in context.items() if name not in mine}
    sold_by = rest.pop("seller")
    made_of = (mine.keys(), rest, sold_by)
    before = _last.get(kind)
    if before is not None and before[0] == made_of:
        return before[1].filled(mine)
    if not all(map(_is_plain, [*rest.values(), *sold_by])):
        return letters.render_letter(kind, context)
    with _cutting:  # the connections of a process come to a new letter at once
        cut = _cut(kind, tuple(sorted(mine)), tuple(sorted(rest.items())), sold_by)
    _last[kind] = (made_of, cut)
    return cut.filled(mine)


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, tuple) and all(map(_is_plain, value)))


class Cut:
    """A letter with a mark where each of a reader's own values, `own` their names, goes."""

    def __init__(self, text: LetterText, own: Collection[str]) -> None:
        marks = {_mark(name): name for name in own}
        self._subject = _Piece(text.subject, marks)
        self._text = _Body(b"plain", text.text, marks)
        self._html = _Body(b"html", text.html, marks)

    def filled(self, values: dict[str, str]) -> EncodedText:
        """For one reader."""
        escaped = {name: str(escape(value)) for name, value in values.items()}
        return EncodedText(
            clean_line(self._subject.filled(values)),
            self._text.filled(values),
            self._html.filled(escaped),
        )


class _Piece:
    """Text by turns with the names of the values that stand between."""

    def __init__(self, text: str, marks: dict[str, str]) -> None:
        pattern = "|".join(marks) or "(?!)"  # which is nowhere
        self._said, *others = re.split(f"({pattern})", text)
        self._after = [
            (marks[mark], said) for mark, said in zip(others[::2], others[1::2], strict=True)
        ]

    def filled(self, values: dict[str, str]) -> str:
        """In one pass, so that a value which looks like a mark stays as it is."""
        found = [self._said]
        for name, said in self._after:
            found += (values[name], said)
        return "".join(found)


class _Body:
    """One body. Quoted-printable looks at no line but the one it writes, so those without a mark
    are written once."""

    def __init__(self, subtype: bytes, text: str, marks: dict[str, str]) -> None:
        self._subtype = subtype
        self._whole = _Piece(text, marks)
        self._pieces: list[bytes | _Piece] = []
        self._fixed = 0  # octets of the lines that are written already, before that
        for has_mark, lines in groupby(
            mime.lines_of(text), lambda line: any(mark in line for mark in marks)
        ):
            some = "".join(lines)
            if has_mark:
                self._pieces.append(_Piece(some, marks))
            else:
                octets = mime.octets_of(some)
                self._pieces.append(mime.quoted(octets))
                self._fixed += len(octets)

    def filled(self, values: dict[str, str]) -> bytes:
        """As `mime.part` would write the whole."""
        size, written = self._fixed, []
        for piece in self._pieces:
            if isinstance(piece, _Piece):
                octets = mime.octets_of(piece.filled(values))
                size += len(octets)
                written.append(mime.quoted(octets))
            else:
                written.append(piece)
        encoded = b"".join(written)
        if mime.is_shorter_in_base64(encoded, size):
            return mime.part(self._subtype, self._whole.filled(values))
        return mime.quoted_part(self._subtype, encoded)


@lru_cache(maxsize=64)
def _cut(kind: str, own: tuple[str, ...], rest: tuple[tuple[str, Any], ...], sold_by: Any) -> Cut:
    marks = {name: _mark(name) for name in own}
    return Cut(letters.render_letter(kind, dict(rest) | marks | {"seller": sold_by}), own)


def _mark(name: str) -> str:
    # Letters and digits alone: no escaping, inlining or wrapping changes them.
    return f"q7Zk{name.encode().hex()}Xw3v"


def forget() -> None:
    """Cut every letter afresh."""
    _last.clear()
    _cut.cache_clear()
