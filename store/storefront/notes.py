"""What changed in editions, as far as a page has room for it, and the rest of it on pages of its own.
Notes may have 600,000 characters, and a page is to weigh 40 kB at most."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple, Protocol

from flask import Response, make_response, render_template, request

from store.catalog.models import Edition
from store.catalog.released import ReleasedEdition
from store.kit.errors import NotFound
from store.kit.markup import parts_of
from store.kit.paging import Page, id_in

# In characters: what one page, or one title in a library, has of all notes; what it has of those that find no
# more room; what a page has that shows nothing else.
ROOM = 9_000
LONGEST_BEGINNING = 1_200
_PART = 8_000
_WORDS = ("Before that", "Read on")


class Told(NamedTuple):
    """The notes of one edition as a page shows them, in Markdown, and whether there is more."""

    text: str
    is_cut: bool = False


class Noted(Protocol):
    """An edition that was released, with what changed in it."""

    @property
    def number(self) -> int: ...
    @property
    def released_at(self) -> datetime | None: ...
    @property
    def notes(self) -> str: ...


class NoPart(NotFound):
    """An edition that is not there, or a part that its notes do not have."""

    heading = "Nothing changed here"
    sentence = "There are no notes of an edition at this address."


def told(editions: Iterable[Edition | ReleasedEdition], room: int = ROOM) -> dict[int, Told]:
    """By id of the edition its notes, the first ones first, as far as there is room."""
    found: dict[int, Told] = {}
    for edition in editions:
        notes = edition.notes
        if len(notes) > room:
            one = Told(beginning_of(notes, min(room, LONGEST_BEGINNING)), is_cut=True)
        else:
            one = Told(notes)
        room -= len(one.text)
        found[edition.id] = one
    return found


def beginning_of(notes: str, most: int = LONGEST_BEGINNING) -> str:
    """Whole lines, as half a line may be half a link; whole words where the first line is too long."""
    cut = notes[:most]
    lines = cut.rpartition("\n")[0].rstrip()
    return lines or (f"{cut.rpartition(' ')[0] or cut} …" if cut else "")


def edition_asked_for() -> int | None:
    """Which edition the address wants all notes of (`?edition=`)."""
    return id_in(request.args.get("edition"))


def notes_page(
    edition: Noted | None, title: str, path: str, *, back: str = "Back to your copies"
) -> Response:
    """One part of all that changed in the edition that was asked for, with the way `back` to `path`.
    Refuses (`NoPart`)."""
    parts = parts_of(edition.notes, _PART) if edition else []
    number = id_in(request.args.get("part", "1")) or 0
    if edition is None or not 0 < number <= len(parts):
        raise NoPart
    here = f"{path}?edition={edition_asked_for()}"
    on = f"{here}&part={number + 1}" if number < len(parts) else None
    before = (f"{here}&part={number - 1}" if number > 2 else here) if number > 1 else None
    page = render_template(
        "storefront/notes.html",
        edition=edition,
        title=title,
        path=path,
        back=back,
        text=parts[number - 1],
        number=number,
        parts=len(parts),
        page=Page(parts, _WORDS, previous_url=before, next_url=on),
    )
    return make_response(page)
