"""A release: everybody who is owed the edition gets one delivery, in one transaction."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.editions import EditionAlreadyReleased
from store.catalog.models import Edition, EditionStatus
from store.distribution import recalling, releasing
from store.distribution.coverage import coverage
from store.distribution.recipients import batch_of
from store.entitlements import granting
from store.entitlements.models import Entitlement
from store.entitlements.notices import notice_key, owe_copy, owe_what_was_missed
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import outbox
from store.mail.models import BatchStatus, Delivery, DeliveryStatus, Occasion
from tests.conftest import Clock, on_both, on_both_when_long
from tests.distribution.reached import a_copy_came_before
from tests.editions import draft, drafted_and_released, release, reread
from tests.factories import a_customer, a_publication, a_seller, an_edition
from tests.letters import deliveries, send
from tests.news import stop_news
from tests.purchases import buy, give_imported

QUEUED, SKIPPED = DeliveryStatus.QUEUED, DeliveryStatus.SKIPPED


@on_both
def test_a_release_owes_one_notice_to_everybody_and_says_who_is_left_out(
    app: Flask, frozen: Clock
) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        buy(publication, "twice@reader.example")
        buy(publication, "twice@reader.example")
        buy(publication, "once@reader.example")
        granting.revoke_order(buy(publication, "back@reader.example"), "refunded")
        granting.revoke_order(buy(publication, "half@reader.example"), "refunded")
        buy(publication, "half@reader.example")
        stopped = buy(publication, "stopped@reader.example")
        stop_news(stopped.customer_id, publication.id)
        give_imported(a_customer("moved@reader.example"), publication, notify=False)
    edition = drafted_and_released(publication)
    assert edition.status == EditionStatus.RELEASED
    assert edition.released_at == frozen.at
    assert deliveries(edition) == {
        "twice@reader.example": (QUEUED, ""),
        "once@reader.example": (QUEUED, ""),
        "back@reader.example": (SKIPPED, "refunded"),
        "half@reader.example": (QUEUED, ""),
        "stopped@reader.example": (QUEUED, ""),  # news is stopped; what was bought comes
        "moved@reader.example": (QUEUED, ""),
    }


@on_both
def test_later_editions_reach_earlier_buyers_and_nobody_twice(app: Flask, frozen: Clock) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        buy(publication, "early@reader.example")
    first = drafted_and_released(publication)
    frozen.advance(days=1)
    with transaction():
        buy(publication, "late@reader.example")
        give_imported(a_customer("moved@reader.example"), publication, notify=False)
        give_imported(a_customer("told@reader.example"), publication, notify=True)
    assert set(deliveries(first)) == {"early@reader.example", "told@reader.example"}
    frozen.advance(days=1)
    second = drafted_and_released(publication, 2)
    assert set(deliveries(second)) == {
        "early@reader.example",
        "late@reader.example",
        "moved@reader.example",
        "told@reader.example",
    }
    assert releasing.owe_missing() == 0


@on_both_when_long
def test_a_buyer_whose_months_of_editions_are_over_is_left_out_with_that_reason(
    app: Flask, frozen: Clock
) -> None:
    with transaction():
        a_seller()
        publication = a_publication(updates_months=12)
        buy(publication)
    frozen.set(datetime(2028, 2, 29, 12, 0, tzinfo=UTC))
    drafted_and_released(publication)
    until = db.session.scalars(sa.select(Entitlement.updates_until)).one()
    # Twelve months from 29 February end with 28 February.
    assert until == datetime(2029, 3, 1, tzinfo=UTC)
    db.session.rollback()
    frozen.set(until)
    second = drafted_and_released(publication, 2)
    assert deliveries(second) == {"anna@reader.example": (QUEUED, "")}
    frozen.advance(seconds=1)
    third = drafted_and_released(publication, 3)
    assert deliveries(third) == {"anna@reader.example": (SKIPPED, "term over")}


@on_both_when_long
def test_who_kept_the_right_to_cancel_hears_when_the_14_days_are_over(
    app: Flask, frozen: Clock
) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        buy(publication, wants_now=False)
    edition = drafted_and_released(publication)
    due = db.session.scalars(
        sa.select(Delivery.due_at).where(Delivery.edition_id == edition.id)
    ).one()
    assert due == datetime(2027, 3, 16, tzinfo=UTC)


@on_both_when_long
def test_releasing_and_scheduling_again_are_refused(app: Flask) -> None:
    with transaction():
        a_seller()
        edition = draft(a_publication())
        releasing.schedule_release(edition, None, "Olga")
        with pytest.raises(releasing.AlreadyScheduled):
            releasing.schedule_release(edition, None, "Olga")
        with pytest.raises(releasing.AlreadyScheduled):
            releasing.schedule_release(draft(edition.publication, 2), None, "Olga")
    assert releasing.release_due() == 1
    assert releasing.release_due() == 0
    for press in (
        lambda: releasing.schedule_release(edition, None, "Olga"),
        lambda: releasing.take_back(edition, "Olga"),
    ):
        with pytest.raises(EditionAlreadyReleased), transaction():
            press()
    with pytest.raises(releasing.NotScheduled), transaction():
        releasing.release_edition(edition, "Olga")


def test_an_edition_without_a_file_or_behind_a_later_one_is_not_released(app: Flask) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        with pytest.raises(releasing.NothingToRelease):
            releasing.schedule_release(an_edition(publication, 1), None, "Olga")
        draft(publication, 2)
    drafted_and_released(publication, 3)
    with transaction():
        second = db.session.scalars(sa.select(Edition).where(Edition.number == 2)).one()
        with pytest.raises(releasing.EditionOutdated):
            releasing.schedule_release(second, None, "Olga")


@on_both
def test_within_the_delay_nothing_has_left_and_one_press_takes_it_back(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = app.extensions["colophon.settings"]
    monkeypatch.setitem(
        app.extensions, "colophon.settings", settings.model_copy(update={"release_delay": 600})
    )
    with transaction():
        a_seller()
        publication = a_publication()
        buy(publication)
        edition = draft(publication)
        at = releasing.schedule_release(edition, None, "Olga")
    assert at == frozen.at + timedelta(minutes=10)
    frozen.advance(minutes=9, seconds=59)
    assert releasing.release_due() == 0
    assert deliveries(edition) == {}
    with transaction():
        releasing.take_back(reread(edition), "Olga")
    frozen.advance(minutes=1)
    assert releasing.release_due() == 0
    assert reread(edition).status == EditionStatus.DRAFT
    with transaction():
        with pytest.raises(releasing.MomentTooSoon, match="1 March 2027, 10:20 GMT"):
            too_soon = clock.now() + timedelta(minutes=9)
            releasing.schedule_release(edition, too_soon, "Olga")
        releasing.schedule_release(edition, clock.now() + timedelta(days=31), "Olga")
    frozen.advance(days=31)
    assert releasing.release_due() == 1


def test_one_edition_that_cannot_be_released_does_not_hold_up_the_others(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction():
        a_seller()
        for slug in ("one", "two"):
            releasing.schedule_release(draft(a_publication(slug)), None, "Olga")
    owe_notices = releasing.owe_notices
    calls: list[int] = []

    def broken_once(*args: object) -> int:
        calls.append(1)
        if len(calls) == 1:
            raise OSError
        return owe_notices(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(releasing, "owe_notices", broken_once)
    assert releasing.release_due() == 1
    statuses = db.session.scalars(sa.select(Edition.status).order_by(Edition.id)).all()
    # The broken one keeps its schedule, whole, for the next pass.
    assert statuses == [EditionStatus.SCHEDULED, EditionStatus.RELEASED]
    db.session.rollback()
    assert releasing.release_due() == 1


@on_both
def test_the_net_owes_what_a_release_had_missed_and_only_that(app: Flask, frozen: Clock) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        buy(publication, "kept@reader.example")
        buy(publication, "lost@reader.example")
        stopped = buy(publication, "stopped@reader.example")
        a_copy_came_before(stopped)
        stop_news(stopped.customer_id, publication.id)
    edition = drafted_and_released(publication)
    with transaction() as session:
        batch = batch_of(edition)
        session.execute(sa.delete(Delivery).where(Delivery.kind == "edition_notice"))
        session.add(
            Delivery(
                kind="edition_notice",
                occasion="released",
                dedupe_key=notice_key(edition.id, 1),
                customer_id=1,
                edition_id=edition.id,
                batch_id=batch.id if batch else None,
                created_at=clock.now(),
                due_at=clock.now(),
            )
        )
    assert releasing.owe_missing() == 2
    assert deliveries(edition) == {
        "kept@reader.example": (QUEUED, ""),
        "lost@reader.example": (QUEUED, ""),
        "stopped@reader.example": (SKIPPED, "asked us to stop"),
    }
    assert releasing.owe_missing() == 0


@on_both
def test_keys_of_notices_keep_the_order_of_their_customers(app: Flask) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        for number in range(11):
            buy(publication, f"{number}@reader.example")
    edition = drafted_and_released(publication)
    rows = sa.select(Delivery.dedupe_key, Delivery.customer_id).where(
        Delivery.edition_id == edition.id
    )
    found = db.session.execute(rows.order_by(Delivery.dedupe_key)).all()
    assert [customer_id for _, customer_id in found] == list(range(1, 12))
    # As they stand in shops; SQL wrote the first, as `notice_key` writes it.
    assert found[0].dedupe_key == notice_key(1, 1) == "edition:1:0000000001"
    assert notice_key(1, 1, 1) == "edition:1:0000000001:1"


@on_both_when_long
def test_a_notice_under_a_key_of_earlier_versions_is_not_owed_twice(app: Flask) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        customer_id = buy(publication, "anna@reader.example").customer_id
    edition = drafted_and_released(publication)
    with transaction() as session:
        notice = session.scalars(sa.select(Delivery).filter_by(edition_id=edition.id)).one()
        notice.dedupe_key = f"edition:{edition.id}:{customer_id}"
    assert releasing.owe_missing() == 0
    given = (edition.id, customer_id, clock.now(), Occasion.FIRST_COPY)
    with transaction():
        assert not owe_copy(*given)
        owe_what_was_missed(customer_id, publication.id, Occasion.FIRST_COPY)
    with transaction() as session:
        # What was left out does not stand for the copy, and another is owed once.
        session.execute(sa.update(Delivery).values(status=SKIPPED))
        assert [owe_copy(*given), owe_copy(*given)] == [True, False]
    keys = db.session.scalars(sa.select(Delivery.dedupe_key).order_by(Delivery.id)).all()
    notices = [key for key in keys if key.startswith("edition:")]
    assert notices == [
        f"edition:{edition.id}:{customer_id}",
        "edition:1:0000000001:1",
    ]


@on_both
def test_recall_leaves_out_what_has_not_left_and_what_comes_back_unsent(app: Flask) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        for name in ("sent", "under", "claimed", "queued", "held"):
            buy(publication, f"{name}@reader.example")
    edition = drafted_and_released(publication)
    with transaction() as session:
        for number, values in {
            1: {"status": DeliveryStatus.SENT},
            2: {"status": DeliveryStatus.SENDING, "claimed_by": "w", "claimed_at": clock.now()},
            3: {"claimed_by": "w", "claimed_at": clock.now()},
            5: {"status": DeliveryStatus.HELD},
        }.items():
            session.execute(
                sa.update(Delivery)
                .where(Delivery.dedupe_key == notice_key(edition.id, number))
                .values(**values)
            )
    with transaction() as session:
        assert recalling.recall(edition, "Olga") == 3
        batch = batch_of(edition)
        assert batch is not None
        assert batch.status == BatchStatus.RECALLED
    assert deliveries(edition) == {
        "sent@reader.example": (DeliveryStatus.SENT, ""),
        "under@reader.example": (DeliveryStatus.SENDING, ""),
        "claimed@reader.example": (SKIPPED, "recalled"),
        "queued@reader.example": (SKIPPED, "recalled"),
        "held@reader.example": (SKIPPED, "recalled"),
    }
    with pytest.raises(recalling.NothingToRecall), transaction():
        recalling.recall(edition, "Olga")
    with transaction() as session:
        session.execute(
            sa.update(Delivery)
            .where(Delivery.status == DeliveryStatus.SENDING)
            .values(status=QUEUED, claimed_by=None, claimed_at=None)
        )
    assert recalling.settle_recalled() == 1
    assert recalling.settle_recalled() == 0


@on_both_when_long
def test_withdrawing_stops_the_letters_and_the_corrected_edition_reaches_everybody(
    app: Flask, frozen: Clock
) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        buy(publication, "early@reader.example")
    first = drafted_and_released(publication)
    frozen.advance(days=1)
    wrong = drafted_and_released(publication, 2)
    frozen.advance(hours=1)
    with transaction():
        buy(publication, "late@reader.example")
        buy(publication, "waits@reader.example", wants_now=False)
        with pytest.raises(recalling.NotReleased):
            recalling.withdraw(draft(publication, 3), "Olga")
        assert recalling.withdraw(wrong, "Olga", "wrong file") == 2
    assert deliveries(wrong) == {
        "early@reader.example": (SKIPPED, "withdrawn"),
        "waits@reader.example": (SKIPPED, "withdrawn"),
    }
    # Who still waits for a first copy is told of the sound one, when the 14 days are over.
    assert deliveries(first) == {
        "early@reader.example": (QUEUED, ""),
        "waits@reader.example": (QUEUED, ""),
    }
    assert releasing.owe_missing() == 0
    with transaction():
        third = db.session.scalars(sa.select(Edition).where(Edition.number == 3)).one()
    release(third)
    assert set(deliveries(third)) == {
        "early@reader.example",
        "late@reader.example",
        "waits@reader.example",
    }


def test_a_release_takes_the_same_statements_however_many_customers(
    app: Flask, frozen: Clock
) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        buy(publication)
        editions = [draft(publication, number) for number in (1, 2)]
    counts = []
    for edition in editions:
        statements: list[str] = []

        def note(_c: object, _u: object, statement: str, *_rest: object) -> None:
            statements.append(statement)  # noqa: B023 - read before the next turn

        with transaction():
            releasing.schedule_release(edition, None, "Olga")
        sa.event.listen(db.engine, "before_cursor_execute", note)
        releasing.release_due()
        sa.event.remove(db.engine, "before_cursor_execute", note)
        counts.append(len(statements))
        frozen.advance(days=1)
        with transaction():
            for number in range(30):
                buy(publication, f"reader-{number}@reader.example")
    assert counts[0] == counts[1]


@pytest.mark.parametrize("gives_consent", ["never", "later"])
def test_who_was_left_out_and_buys_again_gets_the_copy_after_the_14_days(
    app: Flask, frozen: Clock, gives_consent: str
) -> None:
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        granting.revoke_order(buy(publication), "refunded")
    edition = drafted_and_released(publication)
    assert deliveries(edition) == {"anna@reader.example": (DeliveryStatus.SKIPPED, "refunded")}
    with transaction():
        again = buy(publication, wants_now=False)
    before = len(send())
    if gives_consent == "later":
        with transaction():
            granting.start_supply(again)
    else:
        frozen.advance(days=16)

    (letter,) = send()[before:]

    assert letter.subject == f"Edition 1 is ready: {publication.title}"
    assert coverage(edition).left_out == {"refunded": 1}


def test_who_was_left_out_and_buys_twice_more_gets_the_copy_once(app: Flask, frozen: Clock) -> None:
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        granting.revoke_order(buy(publication), "refunded")
    edition = drafted_and_released(publication)
    with transaction():
        for _ in range(2):
            buy(publication, wants_now=False)
    before = len(send())
    frozen.advance(days=16)

    (letter,) = send()[before:]

    assert letter.subject == f"Edition 1 is ready: {publication.title}"
    assert coverage(edition).left_out == {"refunded": 1}


def test_withdrawing_passes_a_waiting_copy_on_to_who_was_left_out_of_the_other_edition(
    app: Flask, frozen: Clock
) -> None:
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        granting.revoke_order(buy(publication), "refunded")
    first = drafted_and_released(publication)
    second = drafted_and_released(publication, 2)
    with transaction():
        buy(publication, wants_now=False)
    before = len(send())
    with transaction():
        recalling.withdraw(second, "Olga")
    frozen.advance(days=16)

    (letter,) = send()[before:]

    assert letter.subject == f"Edition 1 is ready: {publication.title}"
    assert coverage(first).left_out == {"refunded": 1}


def _notice(edition: Edition) -> Delivery:
    found = db.session.scalars(sa.select(Delivery).filter_by(edition_id=edition.id)).one()
    db.session.refresh(found)
    return found


@on_both_when_long
def test_what_a_person_sends_again_after_a_recall_leaves(app: Flask) -> None:
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)  # so the copy is wanted now
        buy(publication)
    edition = drafted_and_released(publication)
    with transaction():
        recalling.recall(edition, "Olga")
    assert _notice(edition).status == SKIPPED
    with transaction():
        assert outbox.retry(_notice(edition), "Olga")
    assert recalling.settle_recalled() == 0
    send()
    assert _notice(edition).status == DeliveryStatus.SENT


@on_both_when_long
def test_a_recall_takes_back_what_was_sent_again_before_it(app: Flask) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        for name in ("first", "second"):
            buy(publication, f"{name}@reader.example")
    edition = drafted_and_released(publication)
    with transaction() as session:
        for status, delivery in zip(
            (DeliveryStatus.FAILED, DeliveryStatus.SENDING),
            session.scalars(sa.select(Delivery).filter_by(edition_id=edition.id)),
            strict=True,
        ):
            delivery.status = status
    with transaction() as session:
        failed = session.scalars(sa.select(Delivery).filter_by(status=DeliveryStatus.FAILED)).one()
        outbox.retry(failed, "Olga")
        session.execute(sa.update(Delivery).values(priority=outbox.SOMEBODY_WAITS))
    with transaction():
        assert recalling.recall(edition, "Olga") == 1
    with transaction() as session:  # the other came back unsent
        session.execute(
            sa.update(Delivery)
            .where(Delivery.status == DeliveryStatus.SENDING)
            .values(status=QUEUED)
        )
    assert recalling.settle_recalled() == 1
    assert {status for status, _ in deliveries(edition).values()} == {SKIPPED}
