"""What the rows say is stored, beside what is stored: nothing missing, cut short or changed, and what no
row names."""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import sqlalchemy as sa

from store.catalog.models import Asset, Face, Publication, Sample
from store.kit.database import db, end_read
from store.kit.formatting import format_size
from store.kit.storage import storage

# How many files are read where not all of them are, and how many bytes of them at most.
SAMPLE_FILES, SAMPLE_BYTES = 10, 250_000_000
_TOLD = 5
# Where what rows name lies; what else a bucket holds is not ours to judge.
_OURS = ("assets/", "covers/", "faces/")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Named:
    """A file that a row names: its size where the row knows it, and the SHA-256 of its bytes."""

    key: str
    size: int | None
    sha256: str


@dataclass
class Compared:
    """What was found: `faults` in words, how many files rows name, how many of them were read, and
    what no row names, with its bytes."""

    named: int = 0
    read: int = 0
    faults: list[str] = field(default_factory=list)
    unnamed: list[tuple[str, int]] = field(default_factory=list)

    def said(self) -> str:
        """The words where nothing is wrong."""
        if self.read == self.named:
            return f"{self.named} stored and whole, each was read"
        read = (
            f"; {self.read} of them, taken at random, were read and are whole" if self.read else ""
        )
        return f"{self.named} stored, each with its size{read}"

    def noted(self) -> str:
        """What no row names, or nothing."""
        if not self.unnamed:
            return ""
        size = format_size(sum(octets for _, octets in self.unnamed))
        files = "1 file" if len(self.unnamed) == 1 else f"{len(self.unnamed)} files"
        return (
            f"{files} that no row names ({size}): {_some([key for key, _ in self.unnamed])}. "
            "Leave them: letters in mailboxes may show an earlier cover."
        )

    def wrong(self) -> str:
        """What is at fault, or nothing."""
        if not self.faults:
            return ""
        return f"{len(self.faults)} of {self.named}: {_some(self.faults)}. Put them back from a backup (`store restore DIR --files-only`)"


def compare(read: int | None, said: Progress = lambda _done, _all: None) -> Compared:
    """Look at every file that a row names and read `read` of them, taken at random, or all (None).

    `said` is told how many of how many have been read. Raises what the storage raises.
    """
    named = {one.key: one for one in _named()}
    end_read()  # a million files take their time, and the database is not to wait
    stored = dict(storage().listed())
    # What was uploaded meanwhile is in the list and not among the rows read before it.
    named |= {one.key: one for one in _named()}
    end_read()
    found = Compared(named=len(named))
    right = []
    for one in named.values():
        fault = _fault_of(one, stored.get(one.key))
        if fault:
            found.faults.append(fault)
        else:
            right.append(one)
    chosen = right if read is None else _chosen(right, stored, read)
    for done, one in enumerate(chosen, 1):
        if _digest(one.key, stored[one.key]) != one.sha256:
            found.faults.append(f"{one.key[:19]}… has its size and other bytes")
        found.read += 1
        said(done, len(chosen))
    found.unnamed = sorted(
        (key, size)
        for key, size in stored.items()
        if key.startswith(_OURS) and _original(key) not in named
    )
    return found


def named_files() -> list[Named]:
    """Each file that a row names, by its key."""
    named = {one.key: one for one in _named()}
    end_read()
    return [named[key] for key in sorted(named)]


def is_stored(one: Named) -> bool:
    """Whether it is stored, with the bytes of then; all of it is read."""
    size = storage().size(one.key)
    return size is not None and _digest(one.key, size) == one.sha256


def _named() -> Iterator[Named]:
    """Each file once, however many rows name it."""
    sized = sa.select(Asset.sha256, Asset.size).union(sa.select(Sample.sha256, Sample.size))
    for sha256, size in db.session.execute(sized):
        yield Named(f"assets/{sha256}", size, sha256)
    covers = sa.select(Publication.cover_sha256).union(sa.select(Asset.cover_sha256))
    for cover in db.session.scalars(covers):
        if cover:
            yield Named(f"covers/{cover}", None, cover)
    for logo, shared in db.session.execute(sa.select(Face.logo_sha256, Face.social_sha256)):
        for digest, kind in ((logo, "png"), (shared, "jpg")):
            if digest:
                yield Named(f"faces/{digest}.{kind}", None, digest)


def _fault_of(one: Named, size: int | None) -> str:
    # A file may have come between the list and the rows.
    size = storage().size(one.key) if size is None else size
    shown = f"{one.key[:19]}…"
    if size is None:
        return f"{shown} is missing"
    if size == 0 or (one.size is not None and size != one.size):
        return f"{shown} has {size} bytes, not {one.size or 'those of a picture'}"
    return ""


def _chosen(right: list[Named], stored: dict[str, int], count: int) -> list[Named]:
    chosen: list[Named] = []
    left = SAMPLE_BYTES
    for one in random.sample(right, min(count, len(right))):
        left -= stored.get(one.key, 0)
        if left >= 0 or not chosen:
            chosen.append(one)
    return chosen


def _digest(key: str, size: int) -> str:
    digest = hashlib.sha256()
    for piece in storage().chunks(key, 0, size):
        digest.update(piece)
    return digest.hexdigest()


def _original(key: str) -> str:
    """The key of the row's file; a picture that was made of a cover is known by the cover's name."""
    return key.partition(".")[0] if key.startswith("covers/") else key


def _some(words: Iterable[str]) -> str:
    told = list(words)
    more = f" and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
    return "; ".join(told[:_TOLD]) + more
