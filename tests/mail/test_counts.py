"""How many letters of a release stand where: counted as they move, and compared with the rows."""

import logging

import pytest
import sqlalchemy as sa
from flask import Flask

from store.distribution import live
from store.distribution.coverage import coverage
from store.kit.database import db, transaction
from store.mail import counts, outbox
from store.mail.counts import BatchCount
from store.mail.ledger import Taken, ledger
from store.mail.models import Batch, Delivery, DeliveryStatus
from tests.conftest import Clock, on_both, on_postgresql
from tests.counted import count_no_more, counted_otherwise
from tests.editions import drafted_and_released, edition_of
from tests.factories import a_publication, a_seller
from tests.purchases import buy
from tests.races import at_once
from tests.statements import statements


def a_release(people: int, number: int = 1) -> int:
    """An edition released to so many."""
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        for place in range(people):
            buy(publication, f"reader-{place}@reader.example")
    return drafted_and_released(publication, number).id


def by_itself(edition_id: int) -> dict[str, object]:
    """The account as its page has it."""
    found = live.live(edition_of(edition_id)).as_dict()
    db.session.rollback()
    return found


@on_both
def test_what_the_page_counts_is_what_the_rows_say(app: Flask, frozen: Clock) -> None:
    edition_id = a_release(6)
    live.recount_due()
    statuses = (*DeliveryStatus, DeliveryStatus.SKIPPED)
    for place, status in enumerate(statuses[:6]):
        with transaction() as session:
            letters = session.scalars(
                sa.select(Delivery.id).where(Delivery.batch_id.is_not(None)).order_by(Delivery.id)
            ).all()
            session.execute(
                sa.update(Delivery)
                .where(Delivery.id == letters[place])
                .values(status=status, reason="recalled", is_possibly_twice=place == 2)
            )
        assert counted_otherwise() == {}
        assert by_itself(edition_id) == coverage(edition_of(edition_id)).as_dict()
        db.session.rollback()


@on_both
def test_a_letter_that_leaves_its_release_or_changes_its_reason_is_counted(
    app: Flask, frozen: Clock
) -> None:
    a_release(3)
    letters = sa.select(Delivery.id).where(Delivery.batch_id.is_not(None)).order_by(Delivery.id)
    first, second, third = db.session.scalars(letters).all()
    db.session.rollback()
    for letter_id, changes in (
        (first, {"status": "skipped", "reason": "recalled"}),
        (first, {"reason": "withdrawn"}),
        (second, {"batch_id": None}),
    ):
        with transaction() as session:
            session.execute(sa.update(Delivery).filter_by(id=letter_id).values(changes))
        assert counted_otherwise() == {}, changes
    with transaction() as session:
        session.execute(sa.delete(Delivery).filter_by(id=third))
    assert counted_otherwise() == {}


@on_both
def test_letters_that_move_at_once_are_all_counted(app: Flask, frozen: Clock) -> None:
    edition_id = a_release(40)
    with transaction() as session:
        session.execute(
            sa.update(Delivery).where(Delivery.batch_id.is_(None)).values(status="sent")
        )
        batch_id = session.scalars(sa.select(Batch.id)).one()

    def send() -> None:
        book, taken = ledger(), None
        while found := book.claim(taken, f"far:1.1:{id(book)}"):
            taken = None
            for one in found:
                attempt = book.begin(taken, one, "<m@shop.example.org>", "anna@reader.example")
                taken = Taken(one, attempt, "250 taken") if attempt else None

    def compare() -> None:
        for _ in range(20):
            assert counts.mend(batch_id) == {}

    assert at_once(app, send, send, send, compare) == []
    assert counted_otherwise() == {}
    assert live.live(edition_of(edition_id)).handed_over == 40


@on_postgresql
def test_no_connection_waits_for_the_counts_of_another(app: Flask, frozen: Clock) -> None:
    a_release(2)
    letters = sa.select(Delivery.id).where(Delivery.batch_id.is_not(None)).order_by(Delivery.id)
    first, second = db.session.scalars(letters).all()
    db.session.rollback()
    hold = sa.update(Delivery.__table__).values(status="held")
    with db.engine.connect() as one, db.engine.connect() as other:
        one.execute(hold.where(Delivery.id == first))
        other.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
        other.execute(hold.where(Delivery.id == second))
        other.commit()
        one.commit()
    assert counted_otherwise() == {}


@on_both
def test_a_wrong_count_is_mended_by_the_timetable_and_staff_hear_of_it(
    app: Flask, frozen: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    edition_id = a_release(3)
    live.recount_due()
    with transaction() as session:
        session.execute(sa.update(BatchCount).values(number=BatchCount.number + 5))
    assert by_itself(edition_id)["waiting"] == 8
    frozen.advance(minutes=11)
    with caplog.at_level(logging.ERROR):
        assert live.recount_due() == 1
    assert by_itself(edition_id)["waiting"] == 3
    assert "its counts were wrong" in caplog.text
    told = sa.select(Delivery.facts).where(Delivery.kind == outbox.ALERT)
    subjects = [facts["subject"] for facts in db.session.scalars(told)]
    assert "The counts of a release were wrong" in subjects


def test_without_the_triggers_nothing_would_be_counted(app: Flask, frozen: Clock) -> None:
    edition_id = a_release(2)
    live.recount_due()
    count_no_more()
    with transaction() as session:
        session.execute(sa.update(Delivery).values(status="sent"))
    assert by_itself(edition_id)["handed_over"] == 0
    _, agreed = live.recount(edition_of(edition_id))
    assert (agreed, by_itself(edition_id)["handed_over"]) == (False, 2)


@on_postgresql
def test_the_rows_of_many_connections_are_put_together(app: Flask, frozen: Clock) -> None:
    edition_id = a_release(3)
    batch_id = db.session.scalars(sa.select(Batch.id)).one()
    with transaction() as session:
        for slot in range(1, 60):
            values = {"batch_id": batch_id, "slot": slot, "status": "queued", "reason": ""}
            session.add(BatchCount(**values, number=(-1) ** slot))
        session.add(BatchCount(**values | {"slot": 60}, number=1))
    assert counts.mend(batch_id) == {}
    assert db.session.scalar(sa.select(sa.func.count()).select_from(BatchCount)) == 1
    assert by_itself(edition_id)["waiting"] == 3


def test_the_page_asks_the_same_however_many_letters(app: Flask, frozen: Clock) -> None:
    told = []
    edition_id = a_release(30)
    live.recount_due()
    for _ in range(2):
        edition = edition_of(edition_id)
        with statements() as heard:
            live.live(edition)
        told.append(len(heard))
        with transaction() as session:
            session.execute(sa.update(Delivery).values(status="skipped", reason="recalled"))
    assert told[0] == told[1] <= 4
