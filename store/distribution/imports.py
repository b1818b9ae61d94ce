"""A file of customers who bought elsewhere, as the desk brings it in: looked at, then taken in piece
by piece by a worker, so that a browser may close, a worker may die, and who stops it may go on."""

import re
import time
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from store.catalog.models import Publication
from store.distribution.csv_choice import columns_of
from store.distribution.csv_columns import FileUnclear
from store.distribution.customers_csv import TWICE, CustomerRows, LeftOut, read_customers
from store.distribution.import_export import CHUNK, grant_rows, have_it
from store.distribution.models import CustomerImport, ImportLine, ImportStatus
from store.kit import clock, jobs
from store.kit.database import db, end_read, transaction
from store.kit.errors import NotFound, Refusal
from store.kit.paging import Page, Place, paginate
from store.kit.spreadsheets import to_csv
from store.kit.status import advance
from store.orders.customers import suggest_correction

LARGEST_FILE = 5_000_000  # bytes, some eighty thousand rows
FILE_KEPT = timedelta(days=30)
_LOOKED_UP_AT_ONCE = 500
_EXAMPLES, _MOST_NUMBERS = 5, 20
# A worker that is asked to end does so within this time.
_LONGEST_SECONDS = 20


class ImportUnknown(NotFound):
    """No file of this publication has this number."""

    sentence = "There is no file of this number."


class FileGone(Refusal):
    """The file was forgotten, or its state is another than the page showed."""

    status = 409
    sentence = (
        "This cannot be done any more: the file is in, or it was forgotten after 30 days. "
        "Choose it again; who is in already is left out."
    )


def open_import(publication: Publication, staff_id: int, name: str, data: bytes) -> CustomerImport:
    """A file as it is to be kept, looked at with its columns taken for what their headings say.
    Reads only, as a long file takes seconds: for the session of a transaction that comes after it.

    Refuses (`FileUnclear`) one of which nobody could say what its columns are.
    """
    if not data:
        raise FileUnclear("This file is empty.")
    now, columns = clock.now(), columns_of(data).chosen
    return CustomerImport(
        publication_id=publication.id,
        staff_id=staff_id,
        status=ImportStatus.LOOKED,
        file_name=name[-200:],
        data=data,
        columns=columns,
        item=publication.title,
        is_notified=False,
        looked=look(publication.id, data, columns, publication.title),
        done_line=0,
        done=0,
        added=0,
        created_at=now,
        changed_at=now,
    )


def choose(
    found: CustomerImport,
    columns: Mapping[str, str],
    item: str,
    looked: dict[str, Any],
    *,
    notify: bool,
) -> None:
    """Keep the columns that a person chose, a heading for each meaning, with what `look` said of
    them. Refuses (`FileGone`) where the file went in meanwhile."""
    if found.status is not ImportStatus.LOOKED or found.data is None:
        raise FileGone
    found.columns, found.item, found.is_notified = dict(columns), item, notify
    found.looked = looked


def look(
    publication_id: int, data: bytes | None, columns: Mapping[str, str], item: str
) -> dict[str, Any]:
    """What would become of each row: counts, groups with some examples, or why it cannot be read
    as it stands. Reads only."""
    try:
        given = _rows(data, columns, item)
    except FileUnclear as fault:
        return {"fault": fault.sentence}
    known = list(_have_it(publication_id, given))
    unreadable = [one for one in given.left_out if one.kind != TWICE]
    slips = [
        (row.line, f"{row.email}: meant {meant}?")
        for row in given.rows
        if (meant := suggest_correction(row.email))
    ]
    return {
        "total": given.total,
        "people": len(given.rows),
        "known": len(known),
        "twice": len(given.left_out) - len(unreadable),
        "unreadable": len(unreadable),
        "groups": _groups(given.left_out),
        "known_groups": _groups(known),
        "remarks": _groups(given.remarks),
        "slips": {"count": len(slips), "rows": slips[:_EXAMPLES]},
    }


def _read(found: CustomerImport) -> CustomerRows:
    return _rows(found.data, found.columns, found.item)


def _rows(data: bytes | None, columns: Mapping[str, str], item: str) -> CustomerRows:
    if data is None:
        raise FileGone
    return read_customers(data, columns, item)


def _have_it(publication_id: int, given: CustomerRows) -> Iterator[LeftOut]:
    for start in range(0, len(given.rows), _LOOKED_UP_AT_ONCE):
        yield from have_it(publication_id, given.rows[start : start + _LOOKED_UP_AT_ONCE])


def _groups(rows: Sequence[LeftOut]) -> list[dict[str, Any]]:
    """Rows left out for the same, the most first, with some of them and the lines of more."""
    kinds: dict[str, list[LeftOut]] = {}
    for one in rows:
        kinds.setdefault(one.kind, []).append(one)
    return [
        {
            "kind": kind,
            "count": len(ones),
            "rows": [(one.line, one.value, one.reason) for one in ones[:_EXAMPLES]],
            "lines": [one.line for one in ones[:_MOST_NUMBERS]],
        }
        for kind, ones in sorted(kinds.items(), key=lambda item: -len(item[1]))
    ]


def import_of(
    publication: Publication, import_id: int, *, staff_id: int | None = None
) -> CustomerImport:
    """One file of a publication, and where `staff_id` is given, one that they brought in. Refuses
    (`ImportUnknown`)."""
    found = db.session.get(CustomerImport, import_id)
    if found is None or found.publication_id != publication.id:
        raise ImportUnknown
    if staff_id is not None and found.staff_id != staff_id:
        raise ImportUnknown
    return found


def list_imports(
    publication: Publication, place: Place, *, staff_id: int | None = None
) -> Page[CustomerImport]:
    """Files whose rows are in, or on their way, newest first; those of one of staff alone, where
    `staff_id` is given."""
    query = sa.select(CustomerImport).where(
        CustomerImport.publication_id == publication.id,
        CustomerImport.status != ImportStatus.LOOKED,
    )
    if staff_id is not None:
        query = query.where(CustomerImport.staff_id == staff_id)
    return paginate(query, place, CustomerImport.id.desc(), size=10)


def start(found: CustomerImport, *, notify: bool) -> None:
    """Let the rows go in, also those behind the place where somebody stopped."""
    if found.data is None or not found.looked.get("people"):
        raise FileGone
    if found.status is ImportStatus.LOOKED:
        found.is_notified = notify
    if not found.status.may_become(ImportStatus.RUNNING) or not advance(
        found, ImportStatus.RUNNING, who="staff"
    ):
        raise FileGone
    found.changed_at = clock.now()
    jobs.ring("bring_in", found.id)


def stop(found: CustomerImport) -> None:
    """Stop after the rows that are just going in. Nothing where it is over already."""
    if found.status is ImportStatus.RUNNING:
        advance(found, ImportStatus.STOPPED, who="staff")
        found.changed_at = clock.now()


def bring_in(import_id: int) -> None:
    """Take rows in, a hundred to a transaction that also says how far it came: safe to kill, and
    for several workers at once. Rings again where its time is over. Opens its own transactions."""
    until = time.monotonic() + _LONGEST_SECONDS
    end_read()
    found = db.session.get(CustomerImport, import_id)
    if found is None or found.status is not ImportStatus.RUNNING or found.data is None:
        return
    rows = _read(found).rows
    end_read()
    while time.monotonic() < until:
        with transaction() as session:
            found = session.scalars(
                sa.select(CustomerImport).where(CustomerImport.id == import_id).with_for_update()
            ).one()
            if found.status is not ImportStatus.RUNNING:
                return
            begin = bisect_right(rows, found.done_line, key=attrgetter("line"))
            piece = rows[begin : begin + CHUNK]
            publication = session.get_one(Publication, found.publication_id)
            left = grant_rows(publication, piece, notify=found.is_notified)
            lines = [{"import_id": import_id} | one.as_dict() for one in left]
            if lines:
                session.execute(sa.insert(ImportLine), lines)
            found.done += len(piece)
            found.added += len(piece) - len(left)
            found.changed_at = clock.now()
            if len(piece) < CHUNK:
                advance(found, ImportStatus.FINISHED)
                return
            found.done_line = piece[-1].line
    jobs.ring("bring_in", import_id)


def go_on() -> None:
    """Take up what a worker that died left; the timetable calls it."""
    left = clock.now() - timedelta(minutes=1)
    running = sa.select(CustomerImport.id).where(
        CustomerImport.status == ImportStatus.RUNNING, CustomerImport.changed_at < left
    )
    for import_id in db.session.scalars(running).all():
        jobs.ring("bring_in", import_id)


def forget_files() -> None:
    """Remove files, and who was left out of them, after 30 days; one that never went in, wholly."""
    over = clock.now() - FILE_KEPT
    is_over = CustomerImport.changed_at < over
    with transaction() as session:
        ids = session.scalars(
            sa.select(CustomerImport.id)
            .where(is_over, CustomerImport.data.is_not(None))
            .where(CustomerImport.status != ImportStatus.RUNNING)
        ).all()
        if not ids:
            return
        session.execute(sa.delete(ImportLine).where(ImportLine.import_id.in_(ids)))
        session.execute(
            sa.delete(CustomerImport).where(
                CustomerImport.id.in_(ids), CustomerImport.status == ImportStatus.LOOKED
            )
        )
        for found in session.scalars(sa.select(CustomerImport).where(CustomerImport.id.in_(ids))):
            found.data, found.looked = None, {"total": found.looked["total"]}


def forget_addresses(spellings: Collection[str]) -> None:
    """Remove the files in which one of these addresses stands, and who was left out of them. Rows
    of one that was stopped half-way, or not begun, do not go in: choose the file again, without
    them. Called inside a transaction."""
    with_data = sa.select(CustomerImport).where(CustomerImport.data.is_not(None))
    one_of = "|".join(re.escape(spelled.casefold()) for spelled in spellings)
    # Not the end of a longer one: who is a@mail.example would take joanna@mail.example's file along.
    sought = re.compile(rf"(?<![\w.+-])(?:{one_of})(?!\.?[\w-])")
    for found in db.session.scalars(with_data.with_for_update()).all():
        # Without the empty halves of letters that a spreadsheet may have written (UTF-16).
        text = (found.data or b"").replace(b"\0", b"").decode("utf-8", "replace").casefold()
        if not spellings or sought.search(text) is None:
            continue
        db.session.execute(sa.delete(ImportLine).where(ImportLine.import_id == found.id))
        if found.status is ImportStatus.LOOKED:
            db.session.delete(found)
            continue
        if found.status is ImportStatus.RUNNING:
            advance(found, ImportStatus.STOPPED, who="shop", why="somebody in it was erased")
        found.data, found.looked = None, {"total": found.looked.get("total", 0)}
        found.changed_at = clock.now()
    db.session.flush()


def left_out_csv(found: CustomerImport, *, with_customers: bool) -> Iterator[str]:
    """Every row that is left out, as CSV, in the order of the file; those of people who have the
    publication only for who may know it. Refuses (`FileGone`, `FileUnclear`)."""
    given = _read(found)
    left = [*given.left_out, *given.remarks]
    if with_customers and found.status is ImportStatus.LOOKED:
        left += _have_it(found.publication_id, given)
    elif with_customers:
        lines = sa.select(ImportLine).where(ImportLine.import_id == found.id)
        left += [LeftOut(one.line, one.value, one.reason) for one in db.session.scalars(lines)]
    yield to_csv([("line", "what stands there", "why")])
    yield to_csv(
        (one.line, one.value, one.reason) for one in sorted(left, key=lambda one: one.line)
    )
