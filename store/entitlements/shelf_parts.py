"""A long library, some titles at a time: as many as make a page of 40 kB, which is eight of one edition each.
A part begins beside a title that its address names, as it stood when the address was written: taking a
file moves a title down, and nothing may be passed over for that."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from store.entitlements.shelves import Shelf, place_of
from store.kit.paging import Page

# In letters of HTML, about: what one part may have, a title, each edition before its newest.
_PART, _TITLE, _EARLIER = 35_000, 4_000, 700
# In characters: no title shows more of its notes (`storefront.notes.ROOM`).
_NOTES = 9_000
_WORDS = ("Titles before", "More titles")
_SAID = re.compile(r"([0-2])-([0-9]{1,9})", re.ASCII)


class Spot(NamedTuple):
    """A title by the id of its publication, and the rank that it had."""

    rank: int
    publication_id: int

    @classmethod
    def read(cls, text: str | None) -> "Spot | None":
        """As an address says it; what says no spot is none."""
        found = _SAID.fullmatch(text or "")
        return cls(int(found[1]), int(found[2])) if found else None

    def __str__(self) -> str:
        return f"{self.rank}-{self.publication_id}"


class Part(NamedTuple):
    """Some titles of a library, the number of the first, how many there are, and the spots behind which
    these begin, before which others end, and behind which others follow."""

    shelves: Sequence[Shelf]
    first: int
    total: int
    behind: Spot | None
    before: Spot | None
    after: Spot | None

    @property
    def last(self) -> int:
        """The number of the last title."""
        return self.first + len(self.shelves) - 1

    @property
    def query(self) -> str:
        """What leads to this very part, to stand behind an address; nothing at the beginning."""
        return f"?after={self.behind}" if self.behind else ""

    def linked(self, path: str) -> Page[Shelf]:
        """The same with the addresses of its neighbours, as the pagination macro wants it."""
        back = f"{path}?before={self.before}" if self.before else None
        on = f"{path}?after={self.after}" if self.after else None
        return Page(self.shelves, _WORDS, previous_url=back, next_url=on)


def part_of(
    library: Sequence[Shelf], after: Spot | None = None, before: Spot | None = None
) -> Part:
    """The titles of a library, in its order, behind a spot or before it: those at its beginning where
    neither is said, the title is not there, or none is left."""
    start = 0
    if after is not None:
        start = _index(library, after, is_behind=True)
    elif before is not None:
        there = _index(library, before)
        start = there - _room(reversed(library[:there]))
    if start >= len(library):
        start = 0
    end = start + _room(library[start:])
    return Part(
        library[start:end],
        start + 1,
        len(library),
        _spot(library[start - 1]) if start else None,
        _spot(library[start]) if start else None,
        _spot(library[end - 1]) if end < len(library) else None,
    )


def _room(shelves: Iterable[Shelf]) -> int:
    """How many of these titles, from the first on, one part has room for: one at the least."""
    count, left = 0, _PART
    for shelf in shelves:
        left -= _TITLE + _EARLIER * len(shelf.editions[1:])
        left -= min(_NOTES, sum(len(edition.notes) for edition in shelf.editions)) * 5 // 4
        if count and left < 0:
            break
        count += 1
    return count


def _index(library: Sequence[Shelf], spot: Spot, *, is_behind: bool = False) -> int:
    """How many titles stand before a spot, the title itself counted where that is asked."""
    named = [shelf for shelf in library if shelf.publication.id == spot.publication_id]
    if not named:
        return 0
    place = place_of(named[0], spot.rank)
    places = (place_of(shelf, shelf.rank) for shelf in library)
    return sum(one >= place if is_behind else one > place for one in places)


def _spot(shelf: Shelf) -> Spot:
    return Spot(shelf.rank, shelf.publication.id)
