"""Pausing and going on, and the promised date that passes."""

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.models import Edition
from store.distribution import recalling
from store.kit.database import db, transaction
from store.mail import outbox, worker
from store.mail.answers import About
from store.mail.models import Attempt, Batch, BatchStatus, Delivery, DeliveryStatus
from store.mail.smtp import Outcome, OutcomeKind, Step
from tests.conftest import Clock, on_both, on_both_when_long
from tests.editions import draft, drafted_and_released
from tests.factories import a_publication, a_seller
from tests.letters import deliveries, send
from tests.purchases import buy

ANNA = "anna@reader.example"


@on_both
def test_paused_letters_stay_and_go_on_after_resume(app: Flask, frozen: Clock) -> None:
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        buy(publication)
    edition = drafted_and_released(publication)
    with transaction():
        with pytest.raises(recalling.NotPaused):
            recalling.resume(edition, "Olga")
        recalling.pause(edition, "Olga", "wait")
        with pytest.raises(recalling.NotSending):
            recalling.pause(edition, "Olga")
    send()
    assert deliveries(edition) == {ANNA: (DeliveryStatus.QUEUED, "")}
    with transaction():
        recalling.resume(edition, "Olga")
    send()
    assert deliveries(edition) == {ANNA: (DeliveryStatus.SENT, "")}
    with pytest.raises(recalling.NotSending), transaction():
        recalling.pause(draft(publication, 2), "Olga")


@on_both_when_long
@pytest.mark.parametrize("way", ["all failed", "one letter", "address repaired"])
def test_letters_sent_again_reopen_a_finished_batch_so_that_it_can_be_paused(
    app: Flask, frozen: Clock, way: str
) -> None:
    edition, batch = _finished_with_a_failure()
    customer_id = db.session.scalars(sa.select(Delivery.customer_id).where(_FAILED)).one()
    with transaction() as session:
        if way == "all failed":
            assert outbox.retry_failed(session.get_one(Batch, batch.id), "Olga") == 1
        elif way == "one letter":
            assert outbox.retry(session.scalars(sa.select(Delivery).where(_FAILED)).one(), "Olga")
        else:
            assert len(outbox.release_held(customer_id or 0, "Olga")) == 1
    assert (batch.status, batch.finished_at) == (BatchStatus.RUNNING, None)
    with transaction():
        recalling.pause(edition, "Olga", "wait")
    send()
    assert deliveries(edition)[ANNA] == (DeliveryStatus.QUEUED, "")
    with transaction():
        recalling.resume(edition, "Olga")
    send()
    assert deliveries(edition)[ANNA] == (DeliveryStatus.SENT, "")
    assert batch.status is BatchStatus.FINISHED
    assert batch.finished_at is not None


@on_both_when_long
def test_letters_sent_again_of_a_finished_batch_can_be_recalled(app: Flask, frozen: Clock) -> None:
    edition, batch = _finished_with_a_failure()
    with pytest.raises(recalling.NothingToRecall), transaction():
        recalling.recall(edition, "Olga")
    _send_failed_again(batch)
    with transaction():
        assert recalling.recall(edition, "Olga") == 1
    before = len(send())
    assert deliveries(edition) == {ANNA: (DeliveryStatus.SKIPPED, "recalled")}
    assert batch.status is BatchStatus.RECALLED
    assert len(send()) == before


@on_both_when_long
@pytest.mark.parametrize(
    ("reply", "why", "tried"),
    [
        ("550 5.1.1 No such user", "too many letters were refused for good, 6 of the last 6", 6),
        (
            "454 4.7.0 Daily message quota exceeded",
            "the mail server says: 454 4.7.0 Daily message quota exceeded",
            1,
        ),
    ],
)
def test_the_brake_stops_letters_sent_again_of_a_finished_batch(
    app: Flask,
    frozen: Clock,
    monkeypatch: pytest.MonkeyPatch,
    reply: str,
    why: str,
    tried: int,
) -> None:
    _, batch = _finished_with_a_failure(readers=30)
    _send_failed_again(batch)
    frozen.advance(minutes=1)  # only what is answered since a batch was opened again counts
    kind = OutcomeKind.REFUSED if tried > 1 else OutcomeKind.DEFERRED
    about = About.READER if tried > 1 else About.US
    answer = Outcome(kind, reply, Step.RCPT, charged=True, about=about)
    monkeypatch.setattr(worker.CapturingLine, "send", lambda *_: answer)
    send()
    assert (batch.status, batch.pause_reason) == (BatchStatus.PAUSED, why)
    of_batch = sa.select(sa.func.count(Attempt.id)).join(Delivery).where(Delivery.batch_id > 0)
    assert db.session.scalar(of_batch) == tried
    db.session.rollback()
    frozen.advance(hours=1)
    send()
    assert db.session.scalar(of_batch) == tried


def test_a_batch_that_finished_while_a_letter_was_queued_again_runs_on(
    app: Flask, frozen: Clock
) -> None:
    _, batch = _finished_with_a_failure()
    with transaction() as session:
        session.execute(sa.update(Delivery).where(_FAILED).values(status=DeliveryStatus.QUEUED))
    worker.sweep()
    assert batch.status is BatchStatus.RUNNING


_FAILED = Delivery.status == DeliveryStatus.FAILED


def _finished_with_a_failure(*, readers: int = 1) -> tuple[Edition, Batch]:
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        for number in range(readers):
            buy(publication, f"reader{number}@reader.example" if number else ANNA)
    edition = drafted_and_released(publication)
    with transaction() as session:
        notice = sa.update(Delivery).where(Delivery.batch_id.is_not(None))
        session.execute(notice.values(status=DeliveryStatus.FAILED))
    worker.sweep()
    batch = db.session.scalars(sa.select(Batch)).one()
    assert batch.status is BatchStatus.FINISHED
    return edition, batch


def _send_failed_again(batch: Batch) -> None:
    with transaction() as session:
        assert outbox.retry_failed(session.get_one(Batch, batch.id), "Olga") > 0
