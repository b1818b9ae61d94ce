"""A letter says what holds when it begins to leave: what changes between reading and sending counts."""

import re
from collections.abc import Callable
from email import message_from_bytes, policy

import pytest
import sqlalchemy as sa
from flask import Flask, current_app

from store.catalog.models import Edition, Publication
from store.distribution import recalling
from store.entitlements import addresses, fresh_links, granting, links
from store.kit.database import db, end_read, transaction
from store.mail import outbox, worker
from store.mail.claims import Claim, Prepared, Unsent
from store.mail.models import Attempt, Delivery, DeliveryStatus
from store.mail.preparing import Known, prepare
from store.mail.smtp import Outcome, OutcomeKind, Step
from store.orders.models import Order
from tests.conftest import Clock, on_both_when_long
from tests.editions import drafted_and_released
from tests.factories import a_publication, a_seller
from tests.letters import deliveries, send
from tests.news import stop_news
from tests.purchases import buy

ANNA = "anna@reader.example"
SENT, SKIPPED, QUEUED = DeliveryStatus.SENT, DeliveryStatus.SKIPPED, DeliveryStatus.QUEUED

Change = Callable[[Order, Edition], object]

pytestmark = on_both_when_long


@pytest.fixture
def edition(app: Flask, frozen: Clock) -> Edition:
    """Edition 2 waits to be mailed to a customer who has edition 1."""
    with transaction():
        a_seller()
        publication: Publication = a_publication(expected_on=None)
        buy(publication)
    drafted_and_released(publication)
    send()
    return drafted_and_released(publication, 2)


def _refund(order: Order, _: Edition) -> None:
    granting.settle_access(order, is_refunded=True)


def _dispute(order: Order, _: Edition) -> None:
    granting.settle_access(order, is_suspended=True)


def _stop(order: Order, edition: Edition) -> None:
    stop_news(order.customer_id, edition.publication_id)


def _withdraw(_: Order, edition: Edition) -> None:
    recalling.withdraw(edition, "Olga")


def _recall(_: Order, edition: Edition) -> None:
    recalling.recall(edition, "Olga")


def _pause(_: Order, edition: Edition) -> None:
    recalling.pause(edition, "Olga")


def _correct(order: Order, _: Edition) -> None:
    addresses.correct_address(order.customer, "new@reader.example", "Olga")


def _end_links(order: Order, _: Edition) -> None:
    fresh_links.end_links(order.customer, "Olga")


def _amid(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Let something change after a worker has read and written the first letter, before it leaves."""
    done: list[object] = []

    def prepared_then_changed(claim: Claim, known: Known | None) -> Prepared | Unsent | None:
        written = prepare(claim, known)
        end_read()  # as before each letter: what is read stays as it is until then
        if not done:
            assert isinstance(written, Prepared)
            done.append(True)
            with current_app.app_context(), transaction() as session:
                order = session.scalars(sa.select(Order)).one()
                edition = session.scalars(sa.select(Edition).filter_by(number=2)).one()
                change(order, edition)
        return written

    monkeypatch.setattr(worker, "prepare", prepared_then_changed)


def _told(edition: Edition) -> list[str]:
    """To whom the edition's notice was handed over."""
    found = [message_from_bytes(one.octets, policy=policy.default) for one in send()]
    return [one["To"] for one in found if f"Edition {edition.number}" in one["Subject"]]


@pytest.mark.parametrize(
    ("change", "left_out"),
    [
        (_refund, "refunded"),
        (_dispute, "suspended"),
        (_stop, "asked us to stop"),
        (_withdraw, "withdrawn"),
        (_recall, "recalled"),
    ],
)
def test_what_changes_after_the_letter_is_written_leaves_it_out(
    edition: Edition, monkeypatch: pytest.MonkeyPatch, change: Change, left_out: str
) -> None:
    _amid(monkeypatch, change)
    assert _told(edition) == []
    assert deliveries(edition) == {ANNA: (SKIPPED, left_out)}


@pytest.mark.parametrize(("change", "left_out"), [(_refund, "refunded"), (_dispute, "suspended")])
def test_a_letter_under_way_that_comes_back_is_left_out_where_the_right_ended_meanwhile(
    edition: Edition,
    frozen: Clock,
    monkeypatch: pytest.MonkeyPatch,
    change: Change,
    left_out: str,
) -> None:
    """What ends a right leaves out the letters that wait, and this one is not among them."""

    def changed_then_deferred(*_: object) -> Outcome:
        with current_app.app_context(), transaction() as session:
            query = sa.select(Delivery.status).where(Delivery.edition_id == edition_id)
            assert session.scalars(query).all() == [DeliveryStatus.SENDING]
            change(session.scalars(sa.select(Order)).one(), session.get_one(Edition, edition_id))
        return Outcome(OutcomeKind.DEFERRED, "451 4.3.0 Later", Step.RCPT)

    edition_id = edition.id
    with monkeypatch.context() as busy:
        busy.setattr(worker.CapturingLine, "send", changed_then_deferred)
        tried = _told(edition)
    assert deliveries(edition) == {ANNA: (QUEUED, "")}
    frozen.advance(minutes=2)
    assert (len(tried), _told(edition)) == (1, tried)
    assert deliveries(edition) == {ANNA: (SKIPPED, left_out)}


@pytest.mark.parametrize("change", [_refund, _dispute, _stop])
def test_control_without_the_guard_the_letter_goes_all_the_same(
    edition: Edition, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    monkeypatch.setattr(outbox, "look_again", lambda _customer_id: None)
    monkeypatch.setattr(outbox, "leave_out", lambda *_which: 0)
    _amid(monkeypatch, change)
    assert len(_told(edition)) == 1


def test_a_release_paused_after_the_letter_is_written_keeps_it(
    edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    _amid(monkeypatch, _pause)
    assert _told(edition) == []
    assert deliveries(edition) == {ANNA: (QUEUED, "")}


def test_an_address_corrected_after_the_letter_is_written_gets_it(
    edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    _amid(monkeypatch, _correct)
    assert _told(edition) == ["Anna Berg <new@reader.example>"]


def test_links_that_ended_after_the_letter_was_written_are_not_mailed(
    edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    _amid(monkeypatch, _end_links)
    assert len(_told(edition)) == 1
    (octets,) = [one.octets for one in send() if "Edition 2" in one.subject]
    mailed = message_from_bytes(octets, policy=policy.default).get_body(("plain",))
    assert mailed is not None
    (token,) = re.findall(r"/library/(\S+)", mailed.get_content())
    assert links.open_link(token, "library").revoked_at is None
    db.session.rollback()


def test_a_confirmation_of_an_edition_withdrawn_after_it_was_written_does_not_carry_it(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
    drafted_and_released(publication)
    drafted_and_released(publication, 2)
    with transaction():
        buy(publication)
    _amid(monkeypatch, _withdraw)
    (letter,) = send()
    text = message_from_bytes(letter.octets, policy=policy.default).get_body(("plain",))
    assert text is not None
    assert "Your copy of edition 1 is ready." in text.get_content()


def test_with_a_pace_a_refund_during_the_wait_leaves_the_letter_out(
    app: Flask, edition: Edition, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts are read after the wait; the moment that the letter leaves unused serves the next."""
    paced = app.extensions["colophon.settings"].model_copy(update={"mail_rate": 1.0})
    monkeypatch.setitem(app.extensions, "colophon.settings", paced)
    waits: list[float] = []

    def refund_meanwhile(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            with app.app_context(), transaction() as session:
                _refund(session.scalars(sa.select(Order)).one(), edition)

    monkeypatch.setattr(worker, "sleep", refund_meanwhile)
    assert _told(edition) == []
    assert deliveries(edition) == {ANNA: (SKIPPED, "refunded")}


def test_a_letter_that_lost_its_claim_is_sent_once(
    edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    _amid(monkeypatch, lambda order, _: outbox.look_again(order.customer_id))
    assert len(_told(edition)) == 1
    tried = sa.select(Attempt.id).join(Delivery, Delivery.id == Attempt.delivery_id)
    found = db.session.scalars(tried.where(Delivery.edition_id == edition.id)).all()
    db.session.rollback()
    assert len(found) == 1
