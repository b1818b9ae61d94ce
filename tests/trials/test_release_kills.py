"""A release killed by kill -9: it is out with a row for everybody whom it concerns, or not at all."""

from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.models import Edition, EditionStatus, Publication
from store.distribution import releasing
from store.distribution.recipients import recipients
from store.entitlements.models import NoticeStop
from store.kit import clock
from store.kit.database import db, transaction
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus
from store.orders.models import Customer
from tests.conftest import on_both
from tests.editions import a_shop, draft
from tests.purchases import buy
from tests.tables import Note

from .ready import Moment, ReadyShop, ready_shop
from .tally import Tally

READERS, STOPPED = 60, 7
MOST_STEPS = 40


def _a_shop_with_readers() -> int:
    publication = a_shop(editions=1)
    with transaction() as session:
        for number in range(READERS):
            buy(publication, f"reader{number:03}@reader.example", wants_now=number % 2 == 0)
        for customer_id in session.scalars(sa.select(Customer.id).limit(STOPPED)).all():
            given = {"customer_id": customer_id, "publication_id": publication.id}
            session.add(NoticeStop(stopped_at=clock.now(), **given))
        publication_id = publication.id
    _hand_all_over()
    return publication_id


def _hand_all_over() -> None:
    """Every letter has reached its reader, so that the next edition is news to them."""
    queued = Delivery.status == DeliveryStatus.QUEUED
    sent = {"status": DeliveryStatus.SENT, "sent_at": clock.now()}
    with transaction() as session:
        session.execute(sa.update(Delivery).where(queued).values(sent))
        session.execute(sa.update(Batch).values(status=BatchStatus.FINISHED))


def _scheduled(publication_id: int, number: int) -> tuple[int, set[int]]:
    """An edition whose moment has come, and whom it concerns."""
    with transaction():
        edition = draft(db.session.get_one(Publication, publication_id), number)
        releasing.schedule_release(edition, None, "Olga")
        concerned = db.session.execute(recipients(edition)).all()
        return edition.id, {row.customer_id for row in concerned}


def _owed(edition_id: int) -> Counter[int | None]:
    query = sa.select(Delivery.customer_id).where(Delivery.edition_id == edition_id)
    found = Counter(db.session.scalars(query).all())
    db.session.remove()
    return found


def _is_half_done(edition_id: int, owed: int, concerned: int) -> bool:
    edition = db.session.get_one(Edition, edition_id)
    query = sa.select(sa.func.count(Batch.id)).where(Batch.subject_id == edition_id)
    stands = (edition.status, edition.released_at is not None, db.session.scalar(query), owed)
    db.session.remove()
    return stands not in [
        (EditionStatus.SCHEDULED, False, 0, 0),
        (EditionStatus.RELEASED, True, 1, concerned),
    ]


def _try(tally: Tally, ready: ReadyShop, publication_id: int, number: int, moment: Moment) -> None:
    """One release, killed at this moment; then the timetable's next pass."""
    edition_id, concerned = _scheduled(publication_id, number)
    tally.count(moment, was_killed=ready.begin("release", moment).ended())
    tally.of += len(concerned)
    tally.half_done += _is_half_done(edition_id, _owed(edition_id).total(), len(concerned))
    releasing.release_due()
    owed = _owed(edition_id)
    tally.missed += len(concerned - set(owed))
    tally.doubled += owed.total() - len(owed)
    tally.most_doubled = max(tally.most_doubled, owed.total() - len(owed))
    _hand_all_over()


def _kill_releases(url: str, folder: Path, seed: int, kills: int) -> Tally:
    tally, number = Tally("release", url, seed), 1
    publication_id = _a_shop_with_readers()
    with ready_shop(folder, database_url=url) as ready:
        while tally.kills < kills:
            number += 1
            _try(tally, ready, publication_id, number, tally.moment(MOST_STEPS))
    return tally


@on_both
def test_a_release_that_is_killed_is_out_for_everybody_or_for_nobody(
    app: Flask, database_url: str, tmp_path: Path, seed: int
) -> None:
    _kill_releases(database_url, tmp_path, seed, kills=5).check()


def test_control_a_release_in_two_commits_is_seen_half_done(
    app: Flask, database_url: str, tmp_path: Path, seed: int
) -> None:
    tally, publication_id = Tally("release", database_url, seed), _a_shop_with_readers()
    seams = {"without": "one commit of a release"}
    with ready_shop(tmp_path, seams, database_url=database_url) as ready:
        for step in range(1, MOST_STEPS):
            _try(tally, ready, publication_id, 1 + step, Moment(step))
            if tally.half_done:
                break

    assert tally.half_done > 0


@pytest.mark.long
@pytest.mark.timeout(1800)
@on_both
def test_releases_killed_at_many_moments(
    app: Flask, database_url: str, tmp_path: Path, seed: int, kills: int, note: Note
) -> None:
    tally = _kill_releases(database_url, tmp_path, seed, kills)
    tally.note(note)
    tally.check()
