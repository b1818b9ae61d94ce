"""What comes back: taken once, told of its letter, its address on hold; nobody is unsubscribed."""

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.models import Edition
from store.entitlements.addresses import correct_address
from store.entitlements.models import NoticeStop
from store.kit.database import db, transaction
from store.mail import outbox, returns
from store.mail.models import (
    AddressHold,
    Delivery,
    DeliveryStatus,
    Repair,
    ReturnedLetter,
)
from store.mail.returns import ReturnKind, take
from store.orders.models import Customer
from tests.conftest import Clock, on_both, on_both_when_long
from tests.editions import drafted_and_released, guide
from tests.factories import a_publication, a_seller
from tests.letters import deliveries, send
from tests.purchases import buy

ANNA = "anna@reader.example"
GONE = "550 5.1.1 <anna@reader.example>: user unknown"


@on_both
def test_a_letter_that_came_back_holds_the_next_and_opens_one_repair(
    app: Flask, frozen: Clock
) -> None:
    edition = _sent_edition()
    with transaction():
        assert take(_notice(), ReturnKind.HARD, status="5.1.1", words=GONE, key="a") is True
        assert take(_notice(), ReturnKind.HARD, status="5.1.1", words=GONE, key="a") is False
        assert take(_notice(), ReturnKind.HARD, status="5.1.1", words=GONE, key="b") is True
    assert deliveries(edition) == {ANNA: (DeliveryStatus.BOUNCED, GONE)}
    repair = db.session.scalars(sa.select(Repair)).one()
    assert (repair.address_key, repair.code, repair.words, repair.ended_at) == (
        ANNA,
        "5.1.1",
        GONE,
        None,
    )
    next_one = drafted_and_released(guide(edition.publication_id), 2)
    before = len(send())
    assert deliveries(next_one) == {ANNA: (DeliveryStatus.HELD, outbox.ON_HOLD)}
    assert len(send()) == before


@on_both_when_long
def test_what_somebody_waits_for_is_tried_once_at_an_address_on_hold(
    app: Flask, frozen: Clock
) -> None:
    _sent_edition()
    with transaction():
        take(_notice(), ReturnKind.HARD, words=GONE, key="a")
        customer_id = db.session.scalars(sa.select(Customer.id)).one()
        outbox.owe("find_my_copies", "find:x:1", customer_id=customer_id, priority=0)
    before = len(send())
    found = db.session.scalars(sa.select(Delivery).where(Delivery.dedupe_key == "find:x:1")).one()
    assert found.status is DeliveryStatus.SENT
    assert len(send()) == before
    # A hard hold stays: what was taken may come back again.
    assert db.session.scalars(sa.select(AddressHold.kind)).one() is ReturnKind.HARD


@on_both_when_long
def test_what_came_back_for_now_is_tried_again_and_held_softly_after_the_last(
    app: Flask, frozen: Clock
) -> None:
    edition = _sent_edition()
    with transaction():
        assert take(_notice(), ReturnKind.SOFT, words="452 4.2.2 full", key="a")
    letter = _letter()
    assert (letter.status, letter.sent_at, letter.message_id) == (
        DeliveryStatus.QUEUED,
        None,
        None,
    )
    assert db.session.scalars(sa.select(Repair)).all() == []
    send()
    assert deliveries(edition)[ANNA] == (DeliveryStatus.QUEUED, "")
    frozen.advance(minutes=1)
    send()
    assert deliveries(edition)[ANNA] == (DeliveryStatus.SENT, "")
    with transaction() as session:
        session.execute(sa.update(Delivery).where(Delivery.id == _notice()).values(tries=60))
        take(_notice(), ReturnKind.SOFT, words="452 4.2.2 full", key="b")
    assert deliveries(edition)[ANNA] == (DeliveryStatus.BOUNCED, "452 4.2.2 full")
    assert db.session.scalars(sa.select(AddressHold.kind)).one() is ReturnKind.SOFT
    assert db.session.scalars(sa.select(Repair.kind)).one() is ReturnKind.SOFT


@on_both_when_long
def test_what_is_refused_for_good_though_not_for_the_address_is_tried_four_times_more(
    app: Flask, frozen: Clock
) -> None:
    """Each try is a letter that the server takes before it refuses it."""
    _sent_edition()
    waits = []
    for number in range(9):
        with transaction():
            full = {"status": "5.2.2", "words": "552 5.2.2 full", "key": str(number)}
            assert take(_notice(), ReturnKind.SOFT, **full)
        if _letter().status is not DeliveryStatus.QUEUED:
            break
        waits.append((_letter().due_at - frozen.at).total_seconds() / 3600)
        frozen.set(_letter().due_at)
        send()
    assert waits == [1, 6, 12, 24]
    assert db.session.scalars(sa.select(Repair.kind)).one() is ReturnKind.SOFT


@on_both_when_long
def test_what_a_server_gives_up_after_days_is_tried_once_more_and_then_a_persons(
    app: Flask, frozen: Clock
) -> None:
    """It tries for days by itself: by the number of tries alone a repair would open after months."""
    expired = "550 4.4.7 message expired"
    edition = _sent_edition()
    for key in ("a", "b"):
        assert db.session.scalars(sa.select(Repair)).all() == []
        frozen.advance(days=5)
        with transaction():
            assert take(_notice(), ReturnKind.SOFT, words=expired, key=key)
        frozen.advance(minutes=5)
        send()
    assert deliveries(edition)[ANNA] == (DeliveryStatus.BOUNCED, expired)
    assert db.session.scalars(sa.select(Repair.kind)).one() is ReturnKind.SOFT


@on_both_when_long
def test_a_report_before_the_outcome_waits_for_it(app: Flask, frozen: Clock) -> None:
    edition = _sent_edition()
    under_way = {"status": DeliveryStatus.SENDING, "sent_at": None}
    with transaction() as session:
        session.execute(sa.update(Delivery).where(Delivery.id == _notice()).values(under_way))
        assert take(_notice(), ReturnKind.HARD, words=GONE, key="a")
    returns.settle_late()
    assert deliveries(edition)[ANNA] == (DeliveryStatus.SENDING, "")
    with transaction() as session:
        session.execute(
            sa.update(Delivery).where(Delivery.id == _notice()).values(status=DeliveryStatus.SENT)
        )
    returns.settle_late()
    assert deliveries(edition)[ANNA] == (DeliveryStatus.BOUNCED, GONE)


@on_both_when_long
def test_a_complaint_stops_the_news_of_its_publication_and_nothing_else(
    app: Flask, frozen: Clock
) -> None:
    edition = _sent_edition()
    with transaction():
        take(_notice(), ReturnKind.COMPLAINT, key="a")
    assert deliveries(edition)[ANNA] == (DeliveryStatus.SENT, "")
    stop = db.session.scalars(sa.select(NoticeStop)).one()
    assert stop.stopped_at == stop.complained_at == frozen()
    assert db.session.scalars(sa.select(AddressHold)).all() == []
    assert db.session.scalars(sa.select(Repair)).all() == []


@on_both_when_long
def test_a_complaint_from_a_mailbox_that_is_the_customer_s_no_more_stops_nothing(
    app: Flask, frozen: Clock
) -> None:
    _sent_edition()
    with transaction() as session:
        correct_address(session.scalars(sa.select(Customer)).one(), "anna@new.example", "Olga")
    with transaction():
        assert take(_notice(), ReturnKind.COMPLAINT, key="a")
    assert db.session.scalars(sa.select(NoticeStop)).all() == []


@on_both_when_long
def test_a_complaint_about_an_order_stops_no_news(app: Flask, frozen: Clock) -> None:
    """Anybody may order in somebody's name, and its confirmation is unwanted then."""
    _sent_edition()
    confirmation = sa.select(Delivery.id).where(Delivery.kind == "order_confirmation")
    with transaction() as session:
        assert take(session.scalars(confirmation).one(), ReturnKind.COMPLAINT, key="a")
    assert db.session.scalars(sa.select(NoticeStop)).all() == []


def test_a_letter_that_nobody_knows_came_back_to_nobody(app: Flask) -> None:
    with transaction():
        assert take(7, ReturnKind.HARD, key="a") is False
        assert take(2**40, ReturnKind.HARD, key="b") is False
    assert db.session.scalars(sa.select(ReturnedLetter)).all() == []


def _sent_edition() -> Edition:
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        buy(publication)
    edition = drafted_and_released(publication)
    send()
    db.session.rollback()
    return edition


def _letter() -> Delivery:
    db.session.rollback()
    notice = sa.select(Delivery).where(Delivery.kind == "edition_notice")
    return db.session.scalars(notice.order_by(Delivery.id)).first() or pytest.fail("no notice")


def _notice() -> int:
    query = sa.select(sa.func.min(Delivery.id)).where(Delivery.kind == "edition_notice")
    return db.session.scalar(query) or 0
