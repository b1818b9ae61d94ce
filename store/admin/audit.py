"""The record of acts, read by owners: filtered, a page at a time, as a CSV."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from flask import Blueprint, Response, render_template, request, url_for

from store.kit.config import config
from store.kit.forms import Reader, Typed, place_in_list, status
from store.kit.paging import BEGINNING, Place
from store.kit.spreadsheets import csv_file, to_csv
from store.staff import audit_lines
from store.staff.acts import BY_WORD, Kind
from store.staff.audit_lines import Asked, Thing
from store.staff.guard import OWNERS, opens_to
from store.staff.models import AuditEntry, StaffMember
from store.staff.people import everybody

bp = Blueprint("audit", __name__, url_prefix="/admin/audit")

PIECE = 500  # lines of the CSV that are read at once
HEAD = ("line", "utc", "local", "what", "thing", "number", "before", "after", "who", "from")
NAMES = ("who", "kind", "thing", "first_day", "last_day")
# The page of a thing: its door, and what its key is called there.
_DOORS = {
    "publications": ("publications.one", "slug"),
    "orders": ("orders.one", "reference"),
    "refunds": ("orders.one", "reference"),
    "transfers": ("orders.one", "reference"),
    "transfers_back": ("orders.one", "reference"),
    "customers": ("customers.one", "customer_id"),
    "repairs": ("customers.one", "customer_id"),
    "deliveries": ("letters.one", "letter_id"),
    "disputes": ("disputes.one", "number"),
    "staff": ("staff.one", "number"),
}


@dataclass(frozen=True)
class Shown:
    """One line as people read it."""

    entry: AuditEntry
    begins: str  # of the sentence, before the thing
    ends: str
    thing: Thing | None
    url: str | None
    who: str
    changes: list[tuple[str, Any, Any]]

    @property
    def sentence(self) -> str:
        """The whole sentence."""
        return f"{self.begins}{self.thing.name if self.thing else ''}{self.ends}"


@bp.get("")
@opens_to(OWNERS)
def all() -> Any:
    """The lines that were asked for, newest first."""
    values = Typed((name, request.args.get(name, "")[:320]) for name in NAMES)
    asked, errors = _asked(values)
    found = audit_lines.lines(asked, place_in_list())
    kept: dict[str, Any] = {name: value for name, value in values.items() if value}
    page = render_template(
        "admin/audit.html",
        page=found.linked(lambda **place: url_for("audit.all", **kept, **place)),
        rows=shown(found.rows),
        values=values,
        errors=errors,
        people=[(str(one.id), one.known_as) for one in everybody()],
        kinds=[(kind.name.lower(), kind.value) for kind in Kind],
        csv_url=url_for("audit.as_csv", **kept),
    )
    return page, status(errors)


@bp.get("/record.csv")
@opens_to(OWNERS)
def as_csv() -> Response:
    """All the lines that were asked for, for a spreadsheet, in pieces while they are read."""
    asked, _ = _asked(Typed((name, request.args.get(name, "")[:320]) for name in NAMES))
    return csv_file(_pieces(asked), "record-of-acts.csv")


def shown(entries: Sequence[AuditEntry]) -> list[Shown]:
    """Lines with the names of today, and the way to each thing."""
    things, people = audit_lines.things_of(entries), audit_lines.people_of(entries)
    return [_shown(one, things, people) for one in entries]


def _shown(
    entry: AuditEntry, things: dict[tuple[str, int], Thing], people: dict[int, StaffMember]
) -> Shown:
    words = BY_WORD[entry.act].words
    begins, _, ends = words.partition("{}")
    thing, url = None, None
    if "{}" in words and entry.entity_id is not None:
        thing = things.get((entry.entity, entry.entity_id))
        if thing is None or not thing.name:  # gone, or a customer who is one with another
            name = f"{entry.entity.rstrip('s')} {entry.entity_id}"
            thing = Thing(name, thing.key if thing else None)
        url = _url(entry.entity, thing)
    person = people.get(entry.staff_id or 0)
    who = person.known_as if person else f"{entry.operator}, at the shop’s machine"
    return Shown(entry, begins, ends, thing, url, who, _changes(entry))


def _url(entity: str, thing: Thing) -> str | None:
    if thing.key is None or entity not in _DOORS:
        return None
    door, name = _DOORS[entity]
    return url_for(door, **{name: thing.key})


def _changes(entry: AuditEntry) -> list[tuple[str, Any, Any]]:
    old, new = entry.before or {}, entry.after or {}
    names = dict.fromkeys([*old, *new])
    return [(name.replace("_", " "), old.get(name), new.get(name)) for name in names]


def _asked(values: Typed) -> tuple[Asked, dict[str, str]]:
    """What the form asks for; a day that is none is named, and left out."""
    reader = Reader(values)
    first = reader.day("first_day", "That is not a day of the calendar.")
    last = reader.day("last_day", "That is not a day of the calendar.")
    kinds = {kind.name.lower(): kind for kind in Kind}
    kind = kinds.get(values["kind"])
    return Asked(values["who"], kind or "", values["thing"], first, last), reader.faults


def _pieces(asked: Asked) -> Iterator[str]:
    yield to_csv([HEAD])
    zone, place = config().zone, cast(Place | None, BEGINNING)
    while place is not None:
        found = audit_lines.lines(asked, place, size=PIECE)
        place = found.next
        yield to_csv(
            [
                (
                    one.entry.id,
                    f"{one.entry.at:%Y-%m-%dT%H:%M:%SZ}",
                    f"{one.entry.at.astimezone(zone):%Y-%m-%dT%H:%M:%S%z}",
                    one.sentence,
                    one.entry.entity,
                    one.entry.entity_id,
                    _told(one.changes, 1),
                    _told(one.changes, 2),
                    one.who,
                    one.entry.place,
                )
                for one in shown(found.rows)
            ]
        )


def _told(changes: list[tuple[str, Any, Any]], place: int) -> str:
    return "; ".join(f"{one[0]}: {one[place]}" for one in changes if one[place] is not None)
