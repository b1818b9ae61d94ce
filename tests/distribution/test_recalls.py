"""A recall and a withdrawal take as many statements for thirty people as for three, and lose nobody's
first copy, not even one that was on its way."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.models import Edition, Publication
from store.distribution import recalling, rehearsal
from store.entitlements.models import Entitlement
from store.entitlements.notices import FIRST_COPIES, owe_what_was_missed
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import outbox
from store.mail.models import Delivery, DeliveryStatus, Occasion
from store.orders.models import Customer
from tests.conftest import Clock, on_both_when_long
from tests.editions import draft, drafted_and_released, release
from tests.factories import a_customer, a_publication, a_seller
from tests.letters import deliveries, send
from tests.news import stop_news
from tests.purchases import buy, give_imported

ANNA = "anna@reader.example"
SENT, SKIPPED, QUEUED = DeliveryStatus.SENT, DeliveryStatus.SKIPPED, DeliveryStatus.QUEUED
SENDING, HELD = DeliveryStatus.SENDING, DeliveryStatus.HELD

pytestmark = on_both_when_long


@pytest.fixture
def publication(app: Flask, frozen: Clock) -> Publication:
    with transaction():
        a_seller()
        publication: Publication = a_publication(expected_on=None)
    return publication


def _turn(edition: Edition, old: DeliveryStatus, new: DeliveryStatus) -> None:
    """As a worker that has begun a letter does, and a server that does not take it now."""
    with transaction() as session:
        changed = session.connection().execute(
            sa.update(Delivery)
            .where(Delivery.edition_id == edition.id, Delivery.status == old)
            .values(status=new, claimed_by=None, claimed_at=None)
        )
        assert changed.rowcount == 1


def _occasion(edition: Edition) -> Occasion | None:
    query = sa.select(Delivery.occasion).where(Delivery.edition_id == edition.id)
    found = db.session.scalars(query.order_by(Delivery.id.desc())).first()
    db.session.rollback()
    return found


@pytest.mark.parametrize(
    ("take_back", "why"), [(recalling.recall, "recalled"), (recalling.withdraw, "withdrawn")]
)
def test_a_first_copy_on_its_way_that_comes_back_unsent_is_replaced_by_the_sound_edition(
    publication: Publication,
    frozen: Clock,
    take_back: Callable[[Edition, str], int],
    why: str,
) -> None:
    with transaction():
        buy(publication)
    frozen.advance(days=20)
    first = drafted_and_released(publication)
    frozen.advance(minutes=1)
    second = drafted_and_released(publication, 2)
    assert deliveries(first) == {ANNA: (SKIPPED, "a newer edition came out")}
    _turn(second, QUEUED, SENDING)
    with transaction():
        assert take_back(second, "Olga") == 0
    _turn(second, SENDING, QUEUED)
    assert recalling.settle_recalled() == 1
    assert recalling.settle_recalled() == 0
    assert deliveries(second) == {ANNA: (SKIPPED, why)}
    assert deliveries(first) == {ANNA: (QUEUED, "")}
    assert _occasion(first) is Occasion.FIRST_COPY
    send()
    assert deliveries(first) == {ANNA: (SENT, "")}


def test_a_worker_never_leaves_out_a_withdrawn_first_copy_with_nothing_owed_instead(
    publication: Publication, frozen: Clock
) -> None:
    """The letter belongs to no release: it was owed for day 15, and no recall keeps it back."""
    first = drafted_and_released(publication)
    second = drafted_and_released(publication, 2)
    with transaction():
        buy(publication, wants_now=False)
    frozen.advance(days=15)
    _turn(second, QUEUED, SENDING)
    with transaction():
        recalling.withdraw(second, "Olga")
    _turn(second, SENDING, QUEUED)
    send()
    assert deliveries(second) == {ANNA: (HELD, "withdrawn")}
    assert recalling.settle_recalled() == 1
    send()
    assert deliveries(second) == {ANNA: (SKIPPED, "withdrawn")}
    assert deliveries(first) == {ANNA: (SENT, "")}


@pytest.mark.parametrize("is_sent_again", [False, True])
def test_a_copy_owed_instead_of_another_is_recalled_on_its_way_too(
    publication: Publication, is_sent_again: bool
) -> None:
    """The letter belongs to no release, and what a person sent again before a recall is as others."""
    with transaction():
        buy(publication)
    first = drafted_and_released(publication)
    second = drafted_and_released(publication, 2)
    with transaction():
        recalling.withdraw(second, "Olga")
    if is_sent_again:
        _send_again(first)
    _turn(first, QUEUED, SENDING)
    with transaction():
        assert recalling.recall(first, "Olga") == 0
    _turn(first, SENDING, QUEUED)
    assert recalling.settle_recalled() == 1
    assert deliveries(first) == {ANNA: (SKIPPED, "recalled")}
    _send_again(first)
    assert recalling.settle_recalled() == 0
    send()
    assert deliveries(first) == {ANNA: (SENT, "")}


def _send_again(edition: Edition) -> None:
    with transaction() as session:
        theirs = sa.select(Delivery).where(
            Delivery.edition_id == edition.id, Delivery.batch_id.is_(None)
        )
        letter = session.scalars(theirs).one()
        if letter.status is QUEUED:
            outbox.leave_out("taken out by hand", Delivery.id == letter.id)
        assert outbox.retry(letter, "Olga")


def test_who_could_be_owed_nothing_at_a_recall_is_owed_an_older_edition_at_its_withdrawal(
    publication: Publication, frozen: Clock
) -> None:
    first, second, third = (drafted_and_released(publication, number) for number in (1, 2, 3))
    with transaction():
        buy(publication, wants_now=False)
        recalling.withdraw(third, "Olga")
    assert deliveries(second) == {ANNA: (QUEUED, "")}
    with transaction():
        recalling.recall(second, "Olga")
    assert deliveries(second) == {ANNA: (SKIPPED, "recalled")}
    assert deliveries(first) == {}
    with transaction():
        recalling.withdraw(second, "Olga")
    frozen.advance(days=15)
    send()
    assert deliveries(first) == {ANNA: (SENT, "")}


def test_a_copy_that_waits_for_the_14_days_is_sent_again_when_they_are_over(
    publication: Publication, frozen: Clock
) -> None:
    drafted_and_released(publication)
    second = drafted_and_released(publication, 2)
    with transaction():
        buy(publication, wants_now=False)
        recalling.withdraw(second, "Olga")
    with transaction() as session:
        (left_out,) = session.scalars(sa.select(Delivery).where(Delivery.edition_id == second.id))
        assert left_out.status is SKIPPED
        due_at = left_out.due_at
        assert outbox.retry(left_out, "Olga")
        assert left_out.due_at == due_at > clock.now()


def test_a_test_letter_of_a_withdrawn_edition_is_left_alone(publication: Publication) -> None:
    edition = drafted_and_released(publication)
    with transaction():
        recalling.withdraw(edition, "Olga")
        rehearsal.send_test(edition, "desk@publisher.example")
    assert recalling.settle_recalled() == 0


@pytest.mark.parametrize("take_back", [recalling.recall, recalling.withdraw])
def test_taking_an_edition_back_takes_as_many_statements_for_thirty_people_as_for_three(
    publication: Publication, frozen: Clock, take_back: Callable[[Edition, str], int]
) -> None:
    counted = {}
    for people in (3, 30):
        with transaction():
            of_them = a_publication(f"guide-{people}", expected_on=None)
            for number in range(people):
                customer = a_customer(f"reader{number}@guide{people}.example")
                give_imported(customer, of_them, notify=False)
        frozen.advance(days=1)
        first = drafted_and_released(of_them)
        second = drafted_and_released(of_them, 2)
        statements: list[str] = []

        def note(*given: Any, seen: list[str] = statements) -> None:
            seen.append(given[2])

        with transaction():
            sa.event.listen(db.engine, "before_cursor_execute", note)
            assert take_back(second, "Olga") == people
            sa.event.remove(db.engine, "before_cursor_execute", note)
        assert list(deliveries(first).values()).count((QUEUED, "")) == people
        counted[people] = len(statements)
    assert counted[30] == counted[3]


def _one_by_one(publication_id: int, left_out: sa.ColumnElement[bool]) -> int:
    """The rule for a single customer, asked for each."""
    waited = sa.select(Delivery.customer_id, Delivery.occasion).where(left_out)
    for customer_id, given in db.session.execute(waited.order_by(Delivery.id.desc())).all():
        is_first = given in {*FIRST_COPIES, Occasion.ACCESS_BACK, Occasion.CORRECTION}
        occasion = given if is_first else Occasion.FIRST_COPY
        owe_what_was_missed(customer_id, publication_id, occasion)
    return 0


def _all_letters() -> list[tuple[Any, ...]]:
    rows = db.session.execute(
        sa.select(
            Customer.email,
            Delivery.dedupe_key,
            Delivery.status,
            Delivery.reason,
            Delivery.occasion,
            Delivery.created_at,
            Delivery.due_at,
            Delivery.edition_id,
            Delivery.batch_id,
            Delivery.priority,
            Delivery.tries,
        ).join(Customer, Customer.id == Delivery.customer_id)
    )
    return sorted((tuple(row) for row in rows), key=lambda row: row[1])


def _everybody(publication: Publication) -> None:
    """Each kind of right and of standing that decides who is owed what, in the caller's
    transaction."""
    for name in ("plain", "stopped", "refunded", "suspended", "held", "ended", "two"):
        buy(publication, f"{name}@reader.example")
    for name in ("waits", "later", "two", "waits-refunded"):
        buy(publication, f"{name}@reader.example", wants_now=False)
    for name in ("imported", "moved"):
        give_imported(a_customer(f"{name}@reader.example"), publication, notify=False)


def _change(publication: Publication) -> None:
    """What happens to some of them after the letters were owed, without their letters following."""
    now = clock.now()
    rights = {
        right.customer.email.split("@")[0]: right
        for right in db.session.scalars(sa.select(Entitlement).order_by(Entitlement.id))
    }
    stop_news(rights["stopped"].customer_id, publication.id)
    rights["refunded"].revoked_at = rights["waits-refunded"].revoked_at = now
    rights["suspended"].suspended_at = rights["held"].held_at = now
    rights["ended"].updates_until = now - timedelta(days=9)
    rights["later"].available_at = now + timedelta(days=9)


@pytest.mark.parametrize("take_back", [recalling.recall, recalling.withdraw])
@pytest.mark.parametrize("before", [None, recalling.recall, recalling.withdraw])
def test_all_at_once_are_owed_what_each_would_be(
    publication: Publication,
    frozen: Clock,
    monkeypatch: pytest.MonkeyPatch,
    take_back: Callable[[Edition, str], int],
    before: Callable[[Edition, str], int] | None,
) -> None:
    with transaction():
        _everybody(publication)
        editions = [draft(publication, number) for number in (1, 2, 3)]
    frozen.advance(days=20)
    release(editions[0])
    frozen.advance(days=1)
    release(editions[1])
    with transaction() as session:
        for name in ("as-it-is", "as-it-waits"):
            buy(publication, f"{name}@reader.example", wants_now=name == "as-it-is")
            buy(publication, f"{name}@reader.example", wants_now=False)
        if before is not None:
            before(session.get_one(Edition, editions[1].id), "Olga")
    frozen.advance(days=1)
    newest = release(editions[2])
    with transaction():
        _change(publication)
    found = []
    for owe in (recalling.owe_instead, _one_by_one):
        monkeypatch.setattr(recalling, "owe_instead", owe)
        with transaction() as session:
            take_back(session.get_one(Edition, newest.id), "Olga")
            session.flush()
            found.append(_all_letters())
            session.rollback()
    assert found[0] == found[1]
    owed = [row for row in found[0] if row[7] != newest.id and row[2] == QUEUED and row[4]]
    assert len(owed) > 4
