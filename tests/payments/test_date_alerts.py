"""Staff hear of a promised date 7 and 2 days before it, and once it has passed (journeys C20)."""

from datetime import UTC, date, datetime

import sqlalchemy as sa
from flask import Flask

from store.catalog.models import Publication
from store.distribution import releasing
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.payments.date_alerts import alert_overdue, warn_of_dates
from store.payments.date_moves import change_date
from tests.conftest import Clock, on_both
from tests.editions import draft
from tests.factories import a_publication, a_seller
from tests.purchases import buy

MARCH_31 = date(2027, 3, 31)


def _a_preorder() -> Publication:
    with transaction():
        a_seller()
        publication: Publication = a_publication(expected_on=MARCH_31)
        buy(publication)
    return publication


def _alerts() -> list[str]:
    db.session.rollback()
    query = sa.select(Delivery).where(Delivery.kind == "staff_alert").order_by(Delivery.id)
    told = [(one.facts or {})["text"] for one in db.session.scalars(query).all()]
    db.session.rollback()
    return told


def _on(frozen: Clock, day: int, month: int = 3) -> int:
    frozen.set(datetime(2027, month, day, 12, tzinfo=UTC))
    warn_of_dates()
    warn_of_dates()
    return len(_alerts())


def test_staff_are_warned_once_7_and_once_2_days_before(app: Flask, frozen: Clock) -> None:
    publication = _a_preorder()
    assert [_on(frozen, day) for day in (23, 24, 25, 28, 29, 30, 31)] == [0, 1, 1, 1, 2, 2, 2]
    first, second = _alerts()
    assert "promised for 31 March 2027, in 7 days" in first
    assert "1 person waits for it." in first
    assert "/admin/publications/send-early-years/date" in first
    assert ", in 2 days, and no release of it is scheduled" in second
    # Another date is another promise.
    with transaction():
        change_date(
            db.session.get_one(Publication, publication.id), date(2027, 4, 30), "Late.", "o"
        )
    assert [_on(frozen, day, 4) for day in (22, 23, 28)] == [2, 3, 4]


def test_nobody_is_warned_of_a_date_that_a_scheduled_release_keeps(
    app: Flask, frozen: Clock
) -> None:
    publication = _a_preorder()
    with transaction():
        edition = draft(publication)
        releasing.schedule_release(edition, datetime(2027, 3, 31, 22, 59, tzinfo=UTC), "Olga")
    assert _on(frozen, 25) == 0
    with transaction():
        edition.release_at = datetime(2027, 3, 31, 23, 0, tzinfo=UTC)  # 1 April in London
    assert _on(frozen, 25) == 1


@on_both
def test_staff_hear_once_of_each_promised_date_that_passed(app: Flask, frozen: Clock) -> None:
    publication = _a_preorder()
    frozen.set(datetime(2027, 3, 31, 22, 59, tzinfo=UTC))
    assert alert_overdue() == 0
    frozen.advance(minutes=1)
    assert alert_overdue() == 1
    assert alert_overdue() == 0
    told = db.session.scalars(sa.select(Delivery).where(Delivery.kind == "staff_alert")).one()
    assert told.address == "desk@publisher.example"
    assert told.facts is not None
    assert "was expected on 31 March 2027 and is not released. 1 person" in told.facts["text"]
    db.session.rollback()
    with transaction():
        change_date(
            db.session.get_one(Publication, publication.id), date(2027, 4, 30), "Late.", "o"
        )
    frozen.advance(days=31)
    assert alert_overdue() == 1
