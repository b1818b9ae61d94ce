"""What came back is mended: by a new address, by a person who sends again, by a person who gives it
up with a word; meanwhile news goes to the second address. Nobody is left behind in silence."""

import threading
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.models import Edition, Publication
from store.distribution.coverage import coverage
from store.entitlements import open_repairs, repairs
from store.entitlements.addresses import correct_address
from store.entitlements.models import SecondAddress
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.errors import InvalidFields
from store.mail import holds, outbox
from store.mail.models import (
    AddressHold,
    CapturedLetter,
    Delivery,
    DeliveryStatus,
    Repair,
    RepairEnd,
)
from store.mail.returns import ReturnKind, take
from store.orders.models import Customer
from tests.conftest import Clock, on_both, on_both_when_long, on_postgresql
from tests.editions import drafted_and_released, guide
from tests.factories import a_publication, a_seller
from tests.letters import deliveries, send
from tests.links import anna, given_second
from tests.purchases import ANNA, buy
from tests.races import PATIENCE_SECONDS, at_once, until_waiting

GONE = "550 5.1.1 <anna@reader.example>: user unknown"
HOME = "anna@at-home.example"
NEW = "anna@new.example"


def a_notice(publication: Publication | None = None) -> Edition:
    """An edition whose notice has left for Anna, and the letter that came back."""
    if publication is None:
        with transaction():
            a_seller()
            publication = a_publication(expected_on=None)
            buy(publication)
    edition = drafted_and_released(publication)
    send()
    return edition


def notice_of(edition: Edition) -> Delivery:
    db.session.rollback()
    which = sa.select(Delivery).filter_by(kind="edition_notice", edition_id=edition.id)
    return db.session.scalars(which.order_by(Delivery.id)).first() or pytest.fail("no notice")


def came_back(edition: Edition, kind: ReturnKind = ReturnKind.HARD, key: str = "a") -> None:
    """What the mail server's report says of Anna's notice."""
    number = notice_of(edition).id
    with transaction():
        assert take(number, kind, status="5.1.1", words=GONE, key=key)


def bounced() -> Edition:
    edition = a_notice()
    came_back(edition)
    return edition


def came_back_confirmation() -> None:
    """The letter that went with the order, which brought the edition as well."""
    db.session.rollback()
    letter = sa.select(Delivery.id).where(Delivery.kind == "order_confirmation")
    number = db.session.scalars(letter).one()
    with transaction() as session:
        newest = sa.select(sa.func.max(Edition.id)).scalar_subquery()
        carries = sa.update(Delivery).where(Delivery.id == number).values(edition_id=newest)
        session.execute(carries)
        assert take(number, ReturnKind.HARD, words=GONE, key="confirmation")


def the_repair() -> Repair:
    db.session.rollback()
    return db.session.scalars(sa.select(Repair).order_by(Repair.id.desc())).first() or pytest.fail(
        "none"
    )


def reached() -> list[str]:
    """Whom letters about editions went to, in their order."""
    rows = sa.select(CapturedLetter.recipient, CapturedLetter.subject).order_by(CapturedLetter.id)
    return [row[0] for row in db.session.execute(rows) if "edition" in row[1].lower()]


def put_on_file(email: str) -> None:
    """Anna's second address, as if its 14 days were over."""
    with transaction() as session:
        given_second(anna(), email)
        session.execute(sa.update(SecondAddress).values(on_file_at=clock.now()))
    send()


@on_both_when_long
def test_a_repair_says_what_was_tried_why_probably_and_what_is_owed(
    app: Flask, frozen: Clock
) -> None:
    first = bounced()
    second = drafted_and_released(guide(first.publication_id), 2)
    send()
    assert deliveries(second) == {ANNA: (DeliveryStatus.HELD, outbox.ON_HOLD)}
    one = open_repairs.open_repairs().rows[0]
    assert (one.address, one.tries, one.cause) == (ANNA, 1, "there is no such mailbox")
    assert one.owed == ["Effective SEND Practice in the Early Years, edition 2"]
    assert [order.email for order in one.orders] == [ANNA]
    assert len(open_repairs.open_repairs().rows) == 1


@on_both_when_long
def test_an_edition_before_one_that_reached_the_second_address_is_owed_no_more(
    app: Flask, frozen: Clock
) -> None:
    first = bounced()
    came_back_confirmation()
    assert open_repairs.open_repairs().rows[0].owed != []
    put_on_file(HOME)
    drafted_and_released(guide(first.publication_id), 2)
    send()
    assert reached()[-1] == HOME
    assert open_repairs.open_repairs().rows[0].owed == []


@pytest.mark.parametrize(
    ("code", "words", "address", "cause"),
    [
        ("5.1.1", "no such user", "anna@gmial.com", "perhaps anna@gmail.com was meant"),
        ("5.2.2", "552 5.2.2 over quota", ANNA, "the mailbox is full"),
        ("", "552 5.2.2 over quota", ANNA, "the mailbox is full"),
        ("5.1.1", "Recipient address rejected", ANNA, "there is no such mailbox"),
        ("5.7.1", "no reason given", ANNA, "the server does not say clearly why"),
    ],
)
def test_the_likely_cause_is_a_slip_or_what_the_server_s_words_mean(
    code: str, words: str, address: str, cause: str
) -> None:
    repair = Repair(kind=ReturnKind.HARD, code=code, words=words)
    suggestion = open_repairs.suggest_correction(address)
    assert cause in open_repairs.likely_cause(repair, suggestion)


@on_both
def test_sent_again_the_newest_edition_goes_once_and_what_comes_back_opens_another(
    app: Flask, frozen: Clock
) -> None:
    first = bounced()
    second = drafted_and_released(guide(first.publication_id), 2)
    send()
    before = len(reached())
    number = the_repair().id
    with transaction():
        assert repairs.resend(number, "Olga") == 1
    number = the_repair().id
    with pytest.raises(repairs.RepairEnded), transaction():
        repairs.resend(number, "Olga")
    send()
    assert reached()[before:] == [ANNA]
    assert deliveries(second)[ANNA][0] is DeliveryStatus.SENT
    assert deliveries(first)[ANNA] == (DeliveryStatus.SKIPPED, "a newer edition came out")
    assert (the_repair().how, the_repair().who) == (RepairEnd.RESENT, "Olga")
    assert coverage(first).is_complete
    assert coverage(second).is_complete
    came_back(second, key="b")
    assert (the_repair().ended_at, len(open_repairs.open_repairs().rows)) == (None, 1)


@on_both_when_long
def test_with_a_new_address_what_was_missed_goes_there_once(app: Flask, frozen: Clock) -> None:
    edition = bounced()
    assert not coverage(edition).is_complete
    with transaction():
        correct_address(anna(), NEW, "Olga")
    send()
    assert reached()[-1] == NEW
    assert (the_repair().how, coverage(edition).is_complete) == (RepairEnd.CORRECTED, True)


@on_both_when_long
def test_given_up_with_a_word_the_account_is_complete_and_a_new_address_mends_it(
    app: Flask, frozen: Clock
) -> None:
    first = bounced()
    publication = guide(first.publication_id)
    second = drafted_and_released(publication, 2)
    send()
    for word in ("", " \n", "x" * 301):
        number = the_repair().id
        with pytest.raises(InvalidFields), transaction():
            repairs.give_up(number, "Olga", word)
    assert not coverage(first).is_complete
    assert not coverage(second).is_complete
    number = the_repair().id
    with transaction():
        repairs.give_up(number, "Olga", "died in May")
    repair = the_repair()
    assert (repair.how, repair.who, repair.word) == (RepairEnd.GIVEN_UP, "Olga", "died in May")
    assert (coverage(first).came_back, coverage(first).given_up) == (1, 1)
    assert coverage(first).is_complete
    assert coverage(second).is_complete
    third = drafted_and_released(guide(first.publication_id), 3)
    send()
    for edition in (second, third):
        assert deliveries(edition) == {ANNA: (DeliveryStatus.SKIPPED, outbox.GIVEN_UP)}
    repairs.look_after_holds()
    assert len(open_repairs.open_repairs().rows) == 0
    before = len(reached())
    with transaction():
        correct_address(anna(), NEW, "Olga")
    send()
    assert reached()[before:] == [NEW]
    assert deliveries(third)[NEW][0] is DeliveryStatus.SENT


@on_both_when_long
def test_news_goes_to_the_second_address_while_the_first_is_on_hold(
    app: Flask, frozen: Clock
) -> None:
    first = bounced()
    put_on_file(HOME)
    second = drafted_and_released(guide(first.publication_id), 2)
    before = len(reached())
    send()
    repairs.look_after_holds()
    send()
    # The newest alone: it stands for what came back.
    assert reached()[before:] == [HOME]
    assert deliveries(second)[ANNA][0] is DeliveryStatus.SENT
    assert deliveries(first)[ANNA][0] is DeliveryStatus.SKIPPED
    assert the_repair().ended_at is None


@on_both_when_long
def test_a_second_address_that_comes_on_file_later_gets_what_waited(
    app: Flask, frozen: Clock
) -> None:
    edition = bounced()
    with transaction():
        given_second(anna(), HOME)
    send()
    repairs.look_after_holds()
    send()
    assert deliveries(edition)[ANNA][0] is DeliveryStatus.BOUNCED
    frozen.advance(days=15)
    repairs.look_after_holds()
    send()
    assert (deliveries(edition)[ANNA][0], reached()[-1]) == (DeliveryStatus.SENT, HOME)


@on_both_when_long
def test_what_is_no_news_never_goes_to_the_second_address(app: Flask, frozen: Clock) -> None:
    bounced()
    put_on_file(HOME)
    with transaction() as session:
        letter = {"customer_id": anna().id, "priority": 1}
        outbox.owe("find_my_copies", "find:x:1", **letter)  # type: ignore[arg-type]
        session.flush()
    send()
    repairs.look_after_holds()
    send()
    found = db.session.scalars(sa.select(Delivery).filter_by(dedupe_key="find:x:1")).one()
    assert (found.status, found.reason) == (DeliveryStatus.HELD, outbox.ON_HOLD)


@on_both_when_long
def test_where_the_second_comes_back_too_news_waits_for_a_person(app: Flask, frozen: Clock) -> None:
    first = bounced()
    put_on_file(HOME)
    repairs.look_after_holds()
    send()
    came_back(first, key="b")
    for _ in range(3):
        repairs.look_after_holds()
        send()
    assert deliveries(first)[ANNA] == (DeliveryStatus.HELD, outbox.ON_HOLD)
    keys = set(db.session.scalars(sa.select(AddressHold.address_key)))
    assert (keys, len(open_repairs.open_repairs().rows)) == ({ANNA, HOME}, 1)


@on_both_when_long
def test_all_links_go_to_the_second_address_by_one_press(app: Flask, frozen: Clock) -> None:
    bounced()
    number = the_repair().id
    with pytest.raises(repairs.NoSecond), transaction():
        repairs.write_to_second(number, "Olga")
    put_on_file(HOME)
    number = the_repair().id
    with transaction():
        assert repairs.write_to_second(number, "Olga") == HOME
    send()
    newest = db.session.scalars(
        sa.select(CapturedLetter).order_by(CapturedLetter.id.desc())
    ).first()
    assert newest is not None
    assert (newest.recipient, newest.subject) == (HOME, "Here are your copies and orders")


@on_both_when_long
def test_who_orders_at_an_address_that_is_on_hold_already_has_a_repair(
    app: Flask, frozen: Clock
) -> None:
    with transaction() as session:
        a_seller()
        publication = a_publication(expected_on=None)
        now = clock.now()
        hold = {"kind": ReturnKind.HARD, "came_at": now, "words": GONE}
        session.add(AddressHold(address_key=ANNA, given_up_at=now, **hold))
        buy(publication)
    edition = a_notice(guide(publication.id))
    # It was given up for somebody else, who has another address now.
    assert deliveries(edition)[ANNA] == (DeliveryStatus.SKIPPED, outbox.GIVEN_UP)
    repairs.look_after_holds()
    send()
    assert deliveries(edition)[ANNA] == (DeliveryStatus.HELD, outbox.ON_HOLD)
    for _ in range(2):
        repairs.look_after_holds()
    owed = open_repairs.open_repairs().rows[0].owed
    assert owed == ["Effective SEND Practice in the Early Years, edition 1"]
    assert len(open_repairs.open_repairs().rows) == 1


@on_both_when_long
def test_a_soft_hold_ends_where_a_letter_that_was_asked_for_is_accepted(
    app: Flask, frozen: Clock
) -> None:
    edition = a_notice()
    with transaction() as session:
        session.execute(
            sa.update(Delivery).where(Delivery.id == notice_of(edition).id).values(tries=60)
        )
    came_back(edition, ReturnKind.SOFT)
    assert the_repair().kind is ReturnKind.SOFT
    with transaction():
        outbox.owe("find_my_copies", "find:x:1", customer_id=anna().id, priority=0)
    send()
    repairs.free_accepted()
    send()
    assert (the_repair().how, holds.holds_of([ANNA])) == (RepairEnd.ACCEPTED, {})
    assert deliveries(edition)[ANNA][0] is DeliveryStatus.SENT


@on_both_when_long
def test_a_hold_is_kept_while_it_is_of_a_first_or_second_address(app: Flask, frozen: Clock) -> None:
    bounced()
    put_on_file(HOME)
    with transaction() as session:
        for key in (HOME, "nobody@nowhere.example"):
            hold = {"kind": ReturnKind.HARD, "came_at": clock.now(), "words": GONE}
            session.add(AddressHold(address_key=key, **hold))
    frozen.advance(days=3)
    repairs.forget_holds()
    db.session.rollback()
    assert set(db.session.scalars(sa.select(AddressHold.address_key))) == {ANNA, HOME}


@on_both_when_long
def test_a_complaint_is_told_without_alarm(app: Flask, frozen: Clock) -> None:
    edition = a_notice()
    came_back(edition, ReturnKind.COMPLAINT)
    assert open_repairs.complaints_lately() == 1
    assert len(open_repairs.open_repairs().rows) == 0
    alerts = sa.select(sa.func.count()).select_from(Delivery).where(Delivery.kind == outbox.ALERT)
    assert db.session.scalar(alerts) == 0
    frozen.advance(days=31)
    assert open_repairs.complaints_lately() == 0


def test_a_bounce_unsubscribes_nobody(app: Flask, frozen: Clock) -> None:
    bounced()
    assert db.session.scalar(sa.text("SELECT count(*) FROM notice_stops")) == 0
    assert db.session.scalars(sa.select(Customer.email)).one() == ANNA
    frozen.advance(days=400)
    repairs.forget_holds()
    repairs.look_after_holds()
    assert holds.holds_of([ANNA])[ANNA].reason == outbox.ON_HOLD
    assert the_repair().ended_at is None
    assert db.session.scalar(sa.text("SELECT count(*) FROM notice_stops")) == 0


@on_postgresql
@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
def test_a_press_and_a_report_at_once_never_wait_for_each_other(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    edition = bounced()
    repair_id, letter_id = the_repair().id, notice_of(edition).id
    is_pressed, close = threading.Event(), repairs._close
    if not is_guarded:
        monkeypatch.setattr(repairs, "lock_for_change", lambda *_: None)

    def close_slowly(*said: Any) -> None:
        close(*said)
        is_pressed.set()
        until_waiting()

    monkeypatch.setattr(repairs, "_close", close_slowly)

    def press() -> None:
        with transaction():
            repairs.resend(repair_id, "Olga")

    def report() -> None:
        assert is_pressed.wait(PATIENCE_SECONDS)
        with transaction():
            take(letter_id, ReturnKind.HARD, status="5.1.1", words=GONE, key="b")

    assert at_once(app, press, report) == ([] if is_guarded else ["OperationalError"])
