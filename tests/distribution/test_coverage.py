"""The account of a release: everybody in one column, and the sums match or it says so."""

import pytest
import sqlalchemy as sa
from flask import Flask

from store.distribution import recalling, rehearsal, releasing
from store.distribution.coverage import Coverage, NotReleasedYet, coverage
from store.distribution.recipients import imported_as_having, missing
from store.entitlements import granting
from store.entitlements.notices import notice_key
from store.kit.database import db, transaction
from store.mail.models import Delivery, DeliveryStatus
from tests.conftest import Clock, on_both
from tests.distribution.reached import a_copy_came_before
from tests.editions import draft, drafted_and_released
from tests.factories import a_customer, a_publication, a_seller
from tests.letters import send
from tests.news import stop_news
from tests.purchases import buy, give_imported


@on_both
def test_everybody_stands_in_one_column_with_the_reason(app: Flask, frozen: Clock) -> None:
    names = ("sent", "waits", "under", "held", "failed", "lost", "stopped", "back")
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        orders = {name: buy(publication, f"{name}@reader.example") for name in names}
        a_copy_came_before(orders["stopped"])
        stop_news(orders["stopped"].customer_id, publication.id)
        granting.revoke_order(orders["back"], "refunded")
    edition = drafted_and_released(publication)
    frozen.advance(days=1)
    with transaction() as session:
        for name, status in {
            "sent": DeliveryStatus.SENT,
            "under": DeliveryStatus.SENDING,
            "held": DeliveryStatus.HELD,
            "failed": DeliveryStatus.FAILED,
        }.items():
            session.execute(
                sa.update(Delivery)
                .where(Delivery.dedupe_key == notice_key(edition.id, orders[name].customer_id))
                .values(status=status, is_possibly_twice=name == "sent")
            )
        session.execute(
            sa.delete(Delivery).where(
                Delivery.edition_id == edition.id,
                Delivery.customer_id == orders["lost"].customer_id,
            )
        )
        buy(publication, "later@reader.example")
        buy(publication, "sent@reader.example")
        give_imported(a_customer("moved@reader.example"), publication, notify=False)
        give_imported(a_customer("told@reader.example"), publication, notify=True)
        rehearsal.send_test(edition, "desk@publisher.example")
    seen = coverage(edition)
    assert seen == Coverage(
        handed_over=1,
        waiting=2,
        held=1,
        undeliverable=1,
        left_out={"asked us to stop": 1, "imported as having it": 1, "refunded": 1},
        missing=1,
        total=9,
        later=2,
        possibly_twice=1,
        batch_status=seen.batch_status,
    )
    assert seen.sums_match
    assert not seen.is_complete
    releasing.owe_missing()
    seen = coverage(edition)
    assert (seen.missing, seen.waiting, seen.total) == (0, 3, 9)


@on_both
def test_a_release_is_complete_when_nothing_waits_is_held_or_missing(
    app: Flask, frozen: Clock
) -> None:
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        for number in range(5):
            buy(publication, f"reader-{number}@reader.example")
    edition = drafted_and_released(publication)
    assert not coverage(edition).is_complete
    db.session.rollback()
    send()
    seen = coverage(edition)
    assert (seen.handed_over, seen.total, seen.batch_status) == (5, 5, "finished")
    assert seen.is_complete


def test_a_customer_counted_twice_shows_as_sums_that_do_not_match(
    app: Flask, frozen: Clock
) -> None:
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        buy(publication)
    edition = drafted_and_released(publication)
    with transaction() as session:
        first = session.scalars(sa.select(Delivery).where(Delivery.batch_id.is_not(None))).one()
        session.add(
            Delivery(
                kind=first.kind,
                occasion=first.occasion,
                dedupe_key="another",
                batch_id=first.batch_id,
                customer_id=first.customer_id,
                edition_id=edition.id,
                created_at=first.created_at,
                due_at=first.due_at,
            )
        )
    seen = coverage(edition)
    assert (seen.counted, seen.total, seen.sums_match, seen.is_complete) == (2, 1, False, False)


@on_both
def test_recalled_and_withdrawn_letters_are_left_out_and_the_account_is_complete(
    app: Flask, frozen: Clock
) -> None:
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        buy(publication)
    first = drafted_and_released(publication)
    with transaction():
        recalling.recall(first, "Olga")
    assert coverage(first).left_out == {"recalled": 1}
    assert coverage(first).is_complete
    second = drafted_and_released(publication, 2)
    with transaction():
        recalling.withdraw(second, "Olga")
    assert coverage(second).left_out == {"withdrawn": 1}
    assert coverage(second).is_complete


def test_before_the_release_there_is_no_account(app: Flask) -> None:
    with transaction():
        a_seller()
        edition = draft(a_publication(expected_on=None))
    with pytest.raises(NotReleasedYet):
        coverage(edition)


def test_the_account_takes_the_same_statements_however_many_customers(
    app: Flask, frozen: Clock
) -> None:
    counts = []
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
    for people in (1, 40):
        with transaction():
            for number in range(people):
                buy(publication, f"{people}-{number}@reader.example")
        edition = drafted_and_released(publication, people)
        assert edition.publication_id
        statements: list[str] = []

        def note(_c: object, _u: object, statement: str, *_rest: object) -> None:
            statements.append(statement)  # noqa: B023 - read before the next turn

        sa.event.listen(db.engine, "before_cursor_execute", note)
        coverage(edition)
        sa.event.remove(db.engine, "before_cursor_execute", note)
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 9


def test_who_is_missing_is_looked_up_and_not_searched_for(app: Flask) -> None:
    """With an index on the edition alone, 20,000 customers took 96 seconds."""
    with transaction():
        a_seller()
        edition = draft(a_publication(expected_on=None))
    for query in (missing(edition), imported_as_having(edition)):
        text = str(query.compile(db.engine, compile_kwargs={"literal_binds": True}))
        plan = [row[-1] for row in db.session.execute(sa.text(f"EXPLAIN QUERY PLAN {text}"))]
        probes = [step for step in plan if "deliveries" in step]
        assert probes
        assert [step for step in probes if "customer_id=?" not in step] == []
    db.session.rollback()
