"""The journal: a file outside the database of what a backup must not undo, so that a database which is
put back from one is told again. A line is numbers and a moment; no address stands there.

Customers who were erased, erasures that were asked for or stopped, links and second addresses that ended,
objections of mailboxes, what was chosen of news, and staff who left. Its head says which database it is
of and for which time it tells all, and is written over each minute.
"""

import fcntl
import json
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from store.kit.config import config


@dataclass(frozen=True)
class Line:
    """One erasure: of whom, by number, and when (UTC)."""

    customers: tuple[int, ...]
    at: datetime


@dataclass(frozen=True)
class Head:
    """From when until when (UTC) the file tells all that became of a database, and where in the
    file that stands."""

    since: datetime
    until: datetime
    place: int


@dataclass(frozen=True)
class Choice:
    """What a customer chose to hear of a publication, and when (UTC)."""

    news: str
    at: datetime


@dataclass(frozen=True)
class Asked:
    """An erasure that was asked for, or brought forward, with its day, or was stopped (None); and when
    (UTC)."""

    due_at: datetime | None
    at: datetime


@dataclass(frozen=True)
class EndedSecond:
    """A customer's second address was taken out: why, by the name of a `Why`, and when (UTC)."""

    why: str
    at: datetime


@dataclass(frozen=True)
class Told:
    """What the journal tells of the time from a moment on."""

    ended_links: dict[int, str]  # by number, with the reason
    news: dict[tuple[int, int], Choice]  # by customer and publication, as said last
    erasures: dict[int, list[Asked]]  # by customer, the oldest first
    seconds: dict[int, EndedSecond]  # by customer, the last one
    objections: list[int]  # links by which a mailbox took something back, the oldest first
    left: set[int]  # staff, by number
    chosen_at: set[datetime]  # of each choice of news
    last_at: datetime | None  # before any restore, which writes lines itself


def journal_path() -> Path:
    """Where the file is: in the data folder, unless `STORE_ERASURE_JOURNAL` says."""
    return config().erasures_file


def add_line(customers: Collection[int], at: datetime) -> None:
    """Write one erasure down, so that it is on the disk when this returns: called before the commit,
    as nothing tells of an erasure that is not there."""
    _add({"customers": sorted(customers)}, at)


def add_ended_links(links: Collection[int], why: str, at: datetime) -> None:
    """The same of links that end."""
    _add({"links": sorted(links), "why": str(why)}, at)


def add_news(customer: int, publication: int, news: str, at: datetime) -> None:
    """The same of what a customer chose to hear of a publication."""
    _add({"news": [customer, publication, str(news)]}, at)


def add_erasure(customer: int, due_at: datetime | None, at: datetime) -> None:
    """The same of an erasure that was asked for, or brought forward, with its day, or stopped (None)."""
    _add({"erasure": customer, "due": due_at.astimezone(UTC).isoformat() if due_at else None}, at)


def add_ended_second(customer: int, why: str, at: datetime) -> None:
    """The same of a second address that was taken out."""
    _add({"second": customer, "why": why}, at)


def add_objection(link: int, at: datetime) -> None:
    """The same of a mailbox that took a change of address back, or objected to the move of an order, by this
    link."""
    _add({"objection": link}, at)


def add_staff(person: int, at: datetime, *, has_left: bool) -> None:
    """The same of somebody who left the desk, or was asked to come back."""
    _add({"staff": person, "has_left": has_left}, at)


def add_floor(floor: int, at: datetime) -> None:
    """The same of the number from which a restored database goes on."""
    _add({"floor": floor}, at)


def highest_floor() -> int:
    """From which number the newest restored database went on; 0 where none did. Another restore from the same
    backup does not know of it."""
    return max((int(said["floor"]) for said, _, _ in _said() if "floor" in said), default=0)


def read_lines() -> list[Line]:
    """Every erasure there is, the oldest first. Half of a line, as a power cut leaves it, is none; and who
    stopped an erasure later was not erased: the commit of that line failed."""
    # One pass: a worker reads it each minute.
    erased = list[tuple[list[int], datetime]]()
    stopped = dict[int, datetime]()
    for said, at, _ in _said():
        if "customers" in said:
            erased.append(([int(one) for one in said["customers"]], at))
        elif "erasure" in said and said["due"] is None:
            number = int(said["erasure"])
            stopped[number] = max(at, stopped.get(number, at))
    return [
        Line(tuple(one for one in numbers if stopped.get(one, at) <= at), at)
        for numbers, at in erased
    ]


def head_of(name: str) -> Head | None:
    """The head of the database of this name; None where the file, or that head, is not there."""
    for said, until, place in _said():
        if said.get("journal") == name:
            return Head(datetime.fromisoformat(said["since"]), until, place)
    return None


def names() -> list[str]:
    """Of which databases the file has a head."""
    return [str(said["journal"]) for said, _, _ in _said() if "journal" in said]


def write_head(name: str, at: datetime, *, is_new: bool = False) -> None:
    """The file tells all until now. Where it has no such head, or what it tells has a gap
    (`is_new`), it does so from now on."""
    head = head_of(name)
    since = at if head is None or is_new else head.since
    said = {"journal": name, "since": _second(since), "at": _second(at)}
    if head is None:
        _add({"journal": name, "since": _second(since)}, at.replace(microsecond=0))
        return
    handle = os.open(journal_path(), os.O_WRONLY)
    try:
        # As long as what stands there, and in one piece.
        os.pwrite(handle, json.dumps(said).encode(), head.place)
        os.fsync(handle)
    finally:
        os.close(handle)


def told_since(moment: datetime) -> Told:
    """What became of links, news, erasures, second addresses and staff from that moment on."""
    told = Told({}, {}, {}, {}, [], set(), set(), None)
    last: datetime | None = None
    is_restored = False
    for said, at, _ in _said():
        if at < moment or "journal" in said:
            continue
        is_restored = is_restored or "floor" in said
        if not is_restored:
            last = max(last, at) if last else at
        _take(told, said, at)
    return replace(told, last_at=last)


def _take(told: Told, said: dict[str, Any], at: datetime) -> None:
    if "links" in said:
        ended = (int(one) for one in said["links"])
        told.ended_links.update(dict.fromkeys(ended, str(said["why"])))
    if "news" in said:
        customer, publication, choice = said["news"]
        told.news[int(customer), int(publication)] = Choice(str(choice), at)
        told.chosen_at.add(at)
    if "erasure" in said:
        due_at = datetime.fromisoformat(said["due"]) if said["due"] else None
        told.erasures.setdefault(int(said["erasure"]), []).append(Asked(due_at, at))
    if "second" in said:
        told.seconds[int(said["second"])] = EndedSecond(str(said["why"]), at)
    if "objection" in said:
        told.objections.append(int(said["objection"]))
    if "staff" in said:
        change = told.left.add if said["has_left"] else told.left.discard
        change(int(said["staff"]))


def _second(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _said() -> Iterator[tuple[dict[str, Any], datetime, int]]:
    """Each whole line with its moment and its place in the file."""
    try:
        octets = journal_path().read_bytes()
    except FileNotFoundError:
        return
    place = 0
    for line in octets.split(b"\n"):
        try:
            said = json.loads(line)
            yield said, datetime.fromisoformat(said["at"]), place
        except (ValueError, KeyError, TypeError):
            pass
        place += len(line) + 1


def _add(said: dict[str, Any], at: datetime) -> None:
    line = json.dumps({**said, "at": at.astimezone(UTC).isoformat()})
    path = journal_path()
    is_new = not path.exists()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        _take_turn(handle)
        # In one piece, so that two workers write two lines; begun on a line of its own, as a power
        # cut may have left half of one.
        os.write(handle, f"\n{line}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    if is_new:
        _sync_folder(path.parent)


def _take_turn(handle: int) -> None:
    """Until the file is closed. On a share (NFS) two machines that append at once would write over each
    other; where a share knows no locks it goes on without."""
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
