"""What happened to an edition, newest first, in sentences with a subject: for the margin of its page."""

from itertools import groupby

import sqlalchemy as sa

from store.catalog.models import Edition
from store.distribution.recipients import batch_of
from store.entitlements.received import NOTICE
from store.kit.database import db
from store.kit.status import StatusChange, history
from store.kit.text import listed
from store.mail.models import Delivery
from store.stories.timeline import Event, is_reader, named

_BATCH = {
    ("running", "paused"): "{who} paused the letters",
    ("paused", "running"): "{who} let the letters go on",
    ("running", "recalled"): "{who} recalled the letters that had not left",
    ("paused", "recalled"): "{who} recalled the letters that had not left",
    ("running", "finished"): "The last letter left",
    ("finished", "running"): "{who} had letters sent again",
}


def edition_story(edition: Edition, people: int | None = None) -> list[Event]:
    """Uploads, tests, the release to so many `people`, and what became of its letters."""
    batch = batch_of(edition)
    changes = history(editions=[edition.id], batches=[batch.id] if batch else [])
    events = [*_uploads(edition), *_tests(edition)]
    pressed_by = ""
    for change in changes:
        if change.entity == "editions" and change.to_status == "scheduled":
            pressed_by = change.who
        sentence = _in_words(change, edition.number, pressed_by, people)
        events.append(Event(sentence, change.at, change.why))
    return sorted(events, key=lambda event: event.at, reverse=True)


def _in_words(change: StatusChange, number: int, pressed_by: str, people: int | None) -> str:
    subject, move = named(change.who), (change.from_status, change.to_status)
    if change.entity == "batches":
        return _BATCH.get(move, "{who} changed the state of the letters").format(who=subject)
    to = "" if people is None else f" to {people:,} {'person' if people == 1 else 'people'}"
    match move:
        case (_, "scheduled"):
            return f"{subject} pressed Release"
        case (_, "draft"):
            return f"{subject} took it back; nothing had left"
        case (_, "released"):
            return f"{named(pressed_by or change.who)} released edition {number}{to}"
    return f"{subject} withdrew edition {number}"


def _uploads(edition: Edition) -> list[Event]:
    """Files of one upload together, to the minute."""
    found: list[Event] = []
    files = sorted(edition.assets, key=lambda one: one.uploaded_at)
    for moment, some in groupby(
        files, lambda one: one.uploaded_at.replace(second=0, microsecond=0)
    ):
        kinds = listed([one.format.upper() for one in some])
        verb = "were" if " and " in kinds else "was"
        found.append(Event(f"{kinds} {verb} uploaded and checked", moment))
    return found


def _tests(edition: Edition) -> list[Event]:
    query = sa.select(Delivery.address, Delivery.created_at).where(
        Delivery.edition_id == edition.id,
        Delivery.customer_id.is_(None),
        Delivery.kind == NOTICE,
    )
    rows = db.session.execute(query.order_by(Delivery.id.desc()).limit(10))
    return [
        Event(f"A test was sent to {'you' if is_reader(address) else address}", at)
        for address, at in rows
        if address
    ]
