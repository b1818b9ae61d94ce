"""Why a customer is told of an edition: one reason on the letter, and the sentences follow it."""

from email import message_from_bytes, policy

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.models import Publication
from store.distribution import recalling, rehearsal
from store.distribution.coverage import coverage, coverage_of
from store.distribution.rehearsal import rehearse
from store.entitlements import granting
from store.entitlements.addresses import correct_address
from store.entitlements.granting import confirm_consent, resend_confirmation
from store.kit.database import db, transaction
from store.kit.text import cut_line
from store.mail import outbox
from store.mail.letters import preview
from store.mail.models import CapturedLetter, Delivery, DeliveryStatus, Occasion
from store.orders.consents import give_waiver
from store.orders.models import Customer, Order
from tests.conftest import Clock, on_both_when_long
from tests.editions import draft, drafted_and_released, release
from tests.factories import a_customer, a_publication, a_seller
from tests.letters import deliveries, send
from tests.news import resume_news, stop_news
from tests.purchases import buy, give_imported

TITLE = "Effective SEND Practice in the Early Years"
ANNA = "anna@reader.example"
SENT, SKIPPED, QUEUED = DeliveryStatus.SENT, DeliveryStatus.SKIPPED, DeliveryStatus.QUEUED

pytestmark = on_both_when_long


@pytest.fixture
def publication(app: Flask, frozen: Clock) -> Publication:
    with transaction():
        a_seller()
        publication: Publication = a_publication(expected_on=None)
    return publication


def _arrived() -> list[tuple[str, str]]:
    """Subject and first sentences of every letter about an edition that was handed over."""
    found = []
    for letter in send():
        text = _text(letter)
        if "You get this letter because new editions" in text:
            paragraphs = [" ".join(one.split()) for one in text.split("\r\n\r\n")]
            said = next(
                one for one in paragraphs if one.endswith(".") and one.startswith(("You ", TITLE))
            )
            found.append((letter.subject, said))
    return found


def _text(letter: CapturedLetter) -> str:
    message = message_from_bytes(letter.octets, policy=policy.default)
    (part,) = [one for one in message.walk() if one.get_content_type() == "text/plain"]
    return "\r\n".join(str(part.get_content()).splitlines())


def _occasions() -> list[tuple[str | None, DeliveryStatus]]:
    db.session.rollback()
    rows = db.session.execute(
        sa.select(Delivery.occasion, Delivery.status)
        .where(Delivery.kind == "edition_notice")
        .order_by(Delivery.id)
    ).all()
    return [(str(occasion), status) for occasion, status in rows]


def _dispute(order: Order, *, runs: bool) -> None:
    with transaction() as session:
        granting.settle_access(session.get_one(Order, order.id), is_suspended=runs)


def _stop(order: Order, publication: Publication) -> None:
    with transaction():
        stop_news(order.customer_id, publication.id)


def test_a_first_copy_of_a_preorder_comes_although_news_is_stopped(
    publication: Publication,
) -> None:
    with transaction():
        order = buy(publication)
        stop_news(order.customer_id, publication.id)
        first = draft(publication)
    assert rehearse(first).left_out == {}
    assert rehearse(first).preorders == 1
    first = release(first)
    assert _arrived() == [
        (
            f"Edition 1 is ready: {TITLE}",
            (
                f"You pre-ordered {TITLE} on 1 March 2027. It is out now, and your copy of edition 1"
                " is ready."
            ),
        )
    ]
    assert coverage(first).handed_over == 1
    second = drafted_and_released(publication, 2)
    assert coverage(second).left_out == {"asked us to stop": 1}
    assert _occasions() == [("first_copy", SENT), ("released", SKIPPED)]
    anna = db.session.scalars(sa.select(Customer)).one()
    assert coverage_of(first, anna).column == "handed_over"
    assert coverage_of(second, anna).sentences[1:] == [
        "The edition notice was left out: asked us to stop."
    ]


def test_who_was_imported_with_a_copy_is_left_out_by_a_stop_and_who_waited_elsewhere_is_not(
    publication: Publication, frozen: Clock
) -> None:
    with transaction():
        waits = a_customer("waits@reader.example")
        give_imported(waits, publication, notify=False)
        stop_news(waits.id, publication.id)
    first = drafted_and_released(publication)
    with transaction():
        has = a_customer("has@reader.example")
        give_imported(has, publication, notify=False)
        stop_news(has.id, publication.id)
    second = drafted_and_released(publication, 2)
    assert deliveries(first) == {"waits@reader.example": (SKIPPED, "a newer edition came out")}
    assert deliveries(second) == {
        "waits@reader.example": (QUEUED, ""),
        "has@reader.example": (SKIPPED, "asked us to stop"),
    }
    ((_, said),) = _arrived()
    assert said == f"{TITLE} is out now, and your copy of edition 2 is ready."


def test_a_consent_within_the_14_days_brings_one_letter_and_it_carries_the_copy(
    publication: Publication, frozen: Clock
) -> None:
    edition = drafted_and_released(publication)
    with transaction():
        order = buy(publication, wants_now=False)
    before = len(send())
    frozen.advance(days=1)
    with transaction():
        give_waiver(order)
        granting.start_supply(order)
        confirm_consent(order)
    (letter,) = send()[before:]
    assert letter.subject.startswith("Your order ")
    assert "Your copy of edition 1 is ready." in _text(letter)
    assert deliveries(edition) == {ANNA: (SKIPPED, "came with the order’s confirmation")}
    frozen.advance(days=20)
    assert len(send()) == before + 1


def test_a_consent_in_the_minute_of_a_letter_sent_again_is_confirmed_all_the_same(
    publication: Publication, frozen: Clock
) -> None:
    drafted_and_released(publication)
    with transaction():
        order = buy(publication, wants_now=False)
        resend_confirmation(order, "Olga")
    before = len(send())
    with transaction():
        give_waiver(order)
        granting.start_supply(order)
        confirm_consent(order)
    (letter,) = send()[before:]
    assert "you agreed to these words" in _text(letter)


def test_who_asked_for_the_copy_after_all_reads_that_and_not_that_14_days_are_over(
    publication: Publication, frozen: Clock
) -> None:
    drafted_and_released(publication)
    with transaction():
        order = buy(publication, wants_now=False)
    with transaction():
        granting.start_supply(order)
    assert _arrived() == [
        (
            f"Edition 1 is ready: {TITLE}",
            (
                f"You bought {TITLE} on 1 March 2027. You asked for it straight away, and your copy of"
                " edition 1 is ready."
            ),
        )
    ]


def test_on_day_15_the_newest_edition_alone_comes_and_the_account_says_why(
    publication: Publication, frozen: Clock
) -> None:
    first = drafted_and_released(publication)
    with transaction():
        order = buy(publication, wants_now=False)
        stop_news(order.customer_id, publication.id)
    frozen.advance(days=5)
    second = drafted_and_released(publication, 2)
    assert deliveries(first) == {ANNA: (SKIPPED, "a newer edition came out")}
    assert _arrived() == []
    frozen.advance(days=11)
    assert _arrived() == [
        (
            f"Edition 2 is ready: {TITLE}",
            (
                f"You bought {TITLE} on 1 March 2027. The 14 days are over, and your copy of edition 2"
                " is ready."
            ),
        )
    ]
    seen = coverage(second)
    assert (seen.handed_over, seen.total, seen.is_complete) == (1, 1, True)


def test_a_preorder_that_waited_paused_gets_the_newest_alone_and_its_account_says_why(
    publication: Publication,
) -> None:
    with transaction():
        buy(publication)
    first = drafted_and_released(publication)
    with transaction():
        recalling.pause(first, "Olga")
    drafted_and_released(publication, 2)
    with transaction():
        recalling.resume(first, "Olga")
    seen = coverage(first)
    assert (seen.left_out, seen.sums_match) == ({"a newer edition came out": 1}, True)
    assert [subject for subject, _ in _arrived()] == [f"Edition 2 is ready: {TITLE}"]


def test_access_that_returns_brings_what_was_bought_whatever_is_stopped(
    publication: Publication,
) -> None:
    with transaction():
        order = buy(publication)
    _dispute(order, runs=True)
    edition = drafted_and_released(publication)
    assert deliveries(edition) == {ANNA: (SKIPPED, "suspended")}
    _stop(order, publication)
    _dispute(order, runs=False)
    assert _arrived() == [
        (
            f"Edition 1 is ready: {TITLE}",
            (
                f"You bought {TITLE} on 1 March 2027. Your access to it was closed for a time and is"
                " open again. This is edition 1, and it is yours."
            ),
        )
    ]
    anna = db.session.get_one(Customer, order.customer_id)
    assert coverage_of(edition, anna).column == "left_out"
    assert coverage_of(edition, anna).sentences[1:] == [
        "The edition notice was left out: suspended.",
        (
            "Another notice (access came back) was handed over to the mail server on 1 March 2027,"
            " 10:00 GMT."
        ),
    ]


def test_access_that_returns_brings_no_news_to_who_stopped_it(publication: Publication) -> None:
    with transaction():
        order = buy(publication)
    drafted_and_released(publication)
    send()
    _dispute(order, runs=True)
    drafted_and_released(publication, 2)
    _stop(order, publication)
    _dispute(order, runs=False)
    assert [subject for subject, _ in _arrived()] == [f"Edition 1 is ready: {TITLE}"]
    assert _occasions() == [("first_copy", SENT), ("released", SKIPPED)]


def test_access_that_returns_brings_nothing_that_was_recalled(publication: Publication) -> None:
    with transaction():
        order, other = buy(publication), buy(publication, "ben@reader.example")
    drafted_and_released(publication)
    send()
    _dispute(order, runs=True)
    second = drafted_and_released(publication, 2)
    with transaction():
        recalling.recall(second, "Olga")
    _dispute(order, runs=False)
    send()
    assert deliveries(second) == {
        ANNA: (SKIPPED, "suspended"),
        other.customer.email: (SKIPPED, "recalled"),
    }


def test_who_waits_for_the_14_days_gets_the_sound_edition_where_the_newer_is_recalled(
    publication: Publication, frozen: Clock
) -> None:
    drafted_and_released(publication)
    with transaction():
        buy(publication, wants_now=False)
    frozen.advance(days=1)
    second = drafted_and_released(publication, 2)
    with transaction():
        assert recalling.recall(second, "Olga") == 1
    assert deliveries(second) == {ANNA: (SKIPPED, "recalled")}
    frozen.advance(days=15)
    assert _arrived() == [
        (
            f"Edition 1 is ready: {TITLE}",
            (
                f"You bought {TITLE} on 1 March 2027. The 14 days are over, and your copy of edition 1"
                " is ready."
            ),
        )
    ]


def test_what_was_bought_as_it_is_comes_on_day_15_although_its_release_was_recalled(
    publication: Publication, frozen: Clock
) -> None:
    with transaction():
        buy(publication, "ben@reader.example")
    edition = drafted_and_released(publication)
    with transaction():
        buy(publication, wants_now=False)
        recalling.recall(edition, "Olga")
    frozen.advance(days=15)
    assert [subject for subject, _ in _arrived()] == [f"Edition 1 is ready: {TITLE}"]
    assert deliveries(edition)["ben@reader.example"] == (SKIPPED, "recalled")


def test_who_buys_again_what_was_recalled_waits_for_one_letter_and_no_longer(
    publication: Publication, frozen: Clock
) -> None:
    first = drafted_and_released(publication)
    with transaction():
        buy(publication, wants_now=False)
    frozen.advance(days=1)
    second = drafted_and_released(publication, 2)
    with transaction():
        recalling.recall(second, "Olga")
    frozen.advance(days=1)
    with transaction():
        buy(publication, wants_now=False)
    assert deliveries(first)[ANNA] == (SKIPPED, "a newer edition came out")
    frozen.advance(days=13)  # the 14 days of the first order are over, those of the second are not
    assert [subject for subject, _ in _arrived()] == [f"Edition 2 is ready: {TITLE}"]


def test_a_preorder_placed_after_a_withdrawal_gets_a_first_copy_and_not_news(
    publication: Publication, frozen: Clock
) -> None:
    first = drafted_and_released(publication)
    with transaction():
        recalling.withdraw(first, "Olga")
        order = buy(publication)
        stop_news(order.customer_id, publication.id)
    frozen.advance(days=1)
    drafted_and_released(publication, 2)
    assert _arrived() == [
        (
            f"Edition 2 is ready: {TITLE}",
            (
                f"You pre-ordered {TITLE} on 1 March 2027. It is out now, and your copy of edition 2"
                " is ready."
            ),
        )
    ]


def test_a_correction_names_the_withdrawn_edition_and_comes_where_nothing_sound_did(
    publication: Publication, frozen: Clock
) -> None:
    with transaction():
        order = buy(publication)
    first = drafted_and_released(publication)
    send()
    with transaction():
        recalling.withdraw(first, "Olga")
    _stop(order, publication)
    drafted_and_released(publication, 2)
    assert _arrived()[1:] == [
        (
            cut_line(f"Edition 2 replaces edition 1: {TITLE}", 70),
            (
                f"You bought {TITLE} on 1 March 2027. We have withdrawn edition 1. This is edition 2:"
                " please use it instead. It is yours at no charge."
            ),
        )
    ]
    third = drafted_and_released(publication, 3)
    assert deliveries(third) == {ANNA: (SKIPPED, "asked us to stop")}


def test_a_correction_is_news_to_who_has_a_sound_copy(publication: Publication) -> None:
    with transaction():
        order = buy(publication)
    drafted_and_released(publication)
    send()
    second = drafted_and_released(publication, 2)
    send()
    with transaction():
        recalling.withdraw(second, "Olga")
    _stop(order, publication)
    third = drafted_and_released(publication, 3)
    assert deliveries(third) == {ANNA: (SKIPPED, "asked us to stop")}
    with transaction() as session:
        resume_news(order.customer_id, publication.id)
        notices = sa.select(Delivery).filter_by(edition_id=third.id).order_by(Delivery.id)
        assert [(one.status, one.occasion) for one in session.scalars(notices)] == [
            (SKIPPED, Occasion.CORRECTION),
            (QUEUED, Occasion.CORRECTION),
        ]


def test_what_a_person_sends_again_says_so_and_passes_a_stop(publication: Publication) -> None:
    with transaction():
        order = buy(publication)
    drafted_and_released(publication)
    send()
    _stop(order, publication)
    second = drafted_and_released(publication, 2)
    with transaction() as session:
        left_out = session.scalars(sa.select(Delivery).filter_by(edition_id=second.id)).one()
        outbox.retry(left_out, "Olga")
    assert _arrived()[1:] == [
        (
            f"Edition 2 is ready: {TITLE}",
            (
                f"You bought {TITLE} on 1 March 2027. This is edition 2, and it is yours. We send this"
                " letter again in case an earlier one did not reach you."
            ),
        )
    ]


def test_who_gave_a_copy_back_and_bought_again_is_owed_one_whatever_is_stopped(
    publication: Publication, frozen: Clock
) -> None:
    first = drafted_and_released(publication)
    with transaction():
        granting.revoke_order(buy(publication), "refunded")
    send()
    frozen.advance(days=30)
    with transaction():
        order = buy(publication, wants_now=False)
        stop_news(order.customer_id, publication.id)
    frozen.advance(days=2)
    drafted_and_released(publication, 2)
    frozen.advance(days=14)
    assert [subject for subject, _ in _arrived()] == [f"Edition 2 is ready: {TITLE}"]
    assert deliveries(first) == {ANNA: (SKIPPED, "a newer edition came out")}


def test_a_repaired_address_gets_the_newest_alone(publication: Publication) -> None:
    with transaction():
        order = buy(publication)
    for number in (1, 2):
        edition = drafted_and_released(publication, number)
        with transaction() as session:
            session.execute(
                sa.update(Delivery)
                .where(Delivery.edition_id == edition.id)
                .values(status=DeliveryStatus.FAILED, reason="550 no such mailbox")
            )
    _stop(order, publication)
    with transaction() as session:
        correct_address(session.get_one(Customer, order.customer_id), "new@reader.example", "Olga")
    assert [subject for subject, _ in _arrived()] == [f"Edition 2 is ready: {TITLE}"]


def test_every_notice_says_why_it_is_owed_and_other_letters_do_not(
    publication: Publication,
) -> None:
    with transaction():
        buy(publication)
        give_imported(a_customer("moved@reader.example"), publication, notify=True)
    edition = drafted_and_released(publication)
    with transaction():
        give_imported(a_customer("told@reader.example"), publication, notify=True)
        rehearsal.send_test(edition, "desk@publisher.example")
    rows = db.session.execute(sa.select(Delivery.kind, Delivery.occasion).order_by(Delivery.id))
    assert [(kind, occasion and str(occasion)) for kind, occasion in rows] == [
        ("order_confirmation", None),
        ("edition_notice", "first_copy"),
        ("edition_notice", "first_copy"),
        ("edition_notice", "released"),
        ("edition_notice", "released"),
    ]
    db.session.rollback()
    with pytest.raises(sa.exc.IntegrityError), transaction():
        outbox.owe("edition_notice", "without", edition_id=edition.id)
    assert preview("edition_notice").subject == f"Edition 2 is out: {TITLE}"
