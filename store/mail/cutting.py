"""A letter cut once for a whole batch: what differs from reader to reader is put in afterwards."""

import re
from collections.abc import Collection
from datetime import date
from functools import lru_cache
from typing import Any

from markupsafe import escape

from store.kit.text import clean_line
from store.mail.mime import LetterText
from store.mail.rendering import render_letter

_MARK = re.compile(r"q7Zk[0-9a-f]+Xw3v")
_PLAIN = (str, int, bool, float, date, type(None))


def cut_letter(kind: str, context: dict[str, Any], own: Collection[str]) -> LetterText:
    """The same as `render_letter`, with the values that `own` names put in as they stand.

    A template shows those verbatim or asks whether they are empty; it never shapes them. The rest
    is filled in once for as long as every other value stays the same, `seller` a row of plain
    values among them; where one of them is not plain, nothing is kept.
    """
    mine = {name: str(context[name]) for name in own if context[name]}
    rest = {name: value for name, value in context.items() if name not in mine}
    seller = rest.pop("seller")
    if not all(isinstance(value, _PLAIN) for value in [*rest.values(), *seller]):
        return render_letter(kind, context)
    cut = _cut(kind, tuple(sorted(mine)), tuple(sorted(rest.items())), seller)
    return LetterText(
        subject=clean_line(_filled(cut.subject, mine)),
        text=_filled(cut.text, mine),
        html=_filled(cut.html, {name: str(escape(value)) for name, value in mine.items()}),
    )


@lru_cache(maxsize=64)
def _cut(
    kind: str, own: tuple[str, ...], rest: tuple[tuple[str, Any], ...], seller: Any
) -> LetterText:
    marks = {name: _mark(name) for name in own}
    return render_letter(kind, dict(rest) | marks | {"seller": seller})


def _mark(name: str) -> str:
    # Letters and digits alone: no escaping, inlining or wrapping changes them.
    return f"q7Zk{name.encode().hex()}Xw3v"


def _filled(text: str, values: dict[str, str]) -> str:
    """In one pass, so that a value which looks like a mark stays as it is."""
    marked = {_mark(name): value for name, value in values.items()}
    return _MARK.sub(lambda found: marked.get(found[0], found[0]), text)
