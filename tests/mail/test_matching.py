"""What came back is taken of the letter that it is about, and of no other."""

import pytest
import sqlalchemy as sa
from flask import Flask

from store.entitlements.addresses import correct_address
from store.kit.database import db, transaction
from store.mail.marks import new_mark
from store.mail.matching import take_report
from store.mail.models import Attempt, Delivery, DeliveryStatus
from store.mail.reports import Report, read_report
from store.mail.returns import ReturnKind
from store.orders.models import Customer
from tests.conftest import Clock, on_both, on_both_when_long
from tests.letters import send
from tests.mail import messages
from tests.mail.messages import ANNA, dsn
from tests.mail.returned import Stand, notice, sent_edition, stand

UNTOUCHED = Stand(DeliveryStatus.SENT, [], 0, 0)


def _take(octets: bytes, sent_to: str = "") -> bool:
    report = read_report(octets, sent_to)
    if report is None:
        return False
    with transaction():
        return take_report(report)


@on_both
def test_a_report_tells_its_letter_and_opens_a_repair_once(app: Flask) -> None:
    message_id = sent_edition()
    assert _take(dsn(message_id)) is True
    assert stand() == Stand(DeliveryStatus.BOUNCED, [ANNA], 1, 1)
    # The same report, by whichever door it comes again.
    assert _take(dsn(message_id).replace(b"\r\n", b"\n")) is False
    assert _take(b"Received: by another\r\n" + dsn(message_id)) is False
    assert stand() == Stand(DeliveryStatus.BOUNCED, [ANNA], 1, 1)


@on_both_when_long
def test_what_says_nothing_of_a_letter_changes_nothing(app: Flask) -> None:
    """mail-11: answers of programs and of people, delays, and reports about reports."""
    message_id = sent_edition()
    path = f"bounces+{message_id[1:41]}@shop.example.org"
    for octets in (
        messages.out_of_office(message_id),
        messages.bare_automatic_reply(message_id),
        dsn(message_id, action="delayed", status="4.4.1"),
        dsn(message_id, action="relayed", status="2.0.0"),
        dsn(message_id, action="expanded", status="2.1.5"),
        messages.report_about_a_report(message_id, path),
    ):
        assert _take(octets, path) is False
        assert stand() == UNTOUCHED
    # Control: a report proper of the same letter does.
    assert _take(dsn(message_id)) is True


def test_a_full_mailbox_is_tried_again(app: Flask) -> None:
    message_id = sent_edition()
    full = dsn(message_id, status="5.2.2", diagnosis="smtp; 552 5.2.2 Mailbox full")
    assert _take(full) is True
    assert (notice().status, stand().repairs) == (DeliveryStatus.QUEUED, 0)
    # It leaves under another name, so that the same report says nothing of it.
    assert _take(full) is False


def test_a_complaint_leaves_the_letter_as_it_is(app: Flask) -> None:
    message_id = sent_edition()
    assert _take(messages.complaint(message_id)) is True
    assert stand() == Stand(DeliveryStatus.SENT, [], 0, 1)


@pytest.mark.parametrize("forged", ["no mark", "unknown", "one digit", "only the number"])
def test_nobody_bounces_a_letter_without_its_mark(app: Flask, forged: str) -> None:
    message_id = sent_edition()
    mark = message_id[1:41]
    other = {
        "no mark": "<someone@shop.example.org>",
        "unknown": f"<{'0' * 40}@shop.example.org>",
        "one digit": f"<{mark[:-1]}{'0' if mark[-1] != '0' else '1'}@shop.example.org>",
        "only the number": f"<{new_mark(notice().id)}@shop.example.org>",
    }[forged]
    assert _take(dsn(other)) is False
    assert stand() == UNTOUCHED


@on_both_when_long
def test_who_has_a_letter_can_report_no_other(app: Flask) -> None:
    """Anna has the mark of her own letter, and writes whatever she likes around it."""
    sent_edition(also="ben@reader.example")
    letters = dict(_letters())
    hers, bens = letters[ANNA], letters["ben@reader.example"]
    forged = dsn(hers).replace(b"anna@reader.example", b"ben@reader.example")
    forged = forged.replace(b"To: Anna Berg", b"To: Ben").replace(
        b"Message-ID: <20270301", f"Message-ID: {bens[:20]}{bens[21:]}\r\nX-A: <20270301".encode()
    )
    assert _take(forged) is True
    assert dict(_statuses()) == {
        ANNA: DeliveryStatus.BOUNCED,
        "ben@reader.example": DeliveryStatus.SENT,
    }
    assert stand().held == [ANNA]


@on_both_when_long
@pytest.mark.parametrize("days", [29, 31])
def test_a_report_counts_while_a_mail_server_may_still_write_it(
    app: Flask, frozen: Clock, days: int
) -> None:
    """A letter with its head may be shown to others for years."""
    message_id = sent_edition()
    frozen.advance(days=days)
    assert _take(dsn(message_id)) is (days == 29)
    held = Stand(DeliveryStatus.BOUNCED, [ANNA], 1, 1)
    assert stand() == (held if days == 29 else Stand(DeliveryStatus.SENT, [], 0, 0))


@on_both_when_long
def test_a_report_of_an_address_that_was_given_up_since_says_nothing_of_the_new_one(
    app: Flask,
) -> None:
    """The customer corrected it before the report came: nothing is left to mend, and the edition
    that did not arrive is sent once to where they are now."""
    message_id = sent_edition()
    with transaction() as session:
        customer = session.scalars(sa.select(Customer)).one()
        correct_address(customer, "anna@new.example", who="Olga")
    send()
    before = _kinds_to("anna@new.example")
    assert _take(dsn(message_id)) is True
    assert stand() == Stand(DeliveryStatus.QUEUED, [ANNA], 0, 1)
    send()
    after = _kinds_to("anna@new.example")
    assert after.count("edition_notice") - before.count("edition_notice") == 1
    assert _take(dsn(message_id, name="2@b.example")) is False
    send()
    assert _kinds_to("anna@new.example") == after


def _letters() -> list[tuple[str, str]]:
    """Each notice's address, with its Message-ID."""
    query = sa.select(Attempt.address, Delivery.message_id).join(
        Delivery, Delivery.id == Attempt.delivery_id
    )
    found = db.session.execute(query.where(Delivery.kind == "edition_notice")).all()
    db.session.rollback()
    return [(str(address), str(message_id)) for address, message_id in found]


def _statuses() -> list[tuple[str, DeliveryStatus]]:
    query = sa.select(Attempt.address, Delivery.status).join(
        Delivery, Delivery.id == Attempt.delivery_id
    )
    found = db.session.execute(query.where(Delivery.kind == "edition_notice")).all()
    db.session.rollback()
    return [(str(address), status) for address, status in found]


def _kinds_to(address: str) -> list[str]:
    """The kinds of all letters that left for this address."""
    query = sa.select(Delivery.kind).join(Attempt, Attempt.delivery_id == Delivery.id)
    found = list(db.session.scalars(query.where(Attempt.address == address).order_by(Attempt.id)))
    db.session.rollback()
    return found


def _said_by_the_relay(relay_id: str, **given: str) -> Report:
    recipient = given.get("recipient", ANNA)
    return Report(ReturnKind.HARD, "5.1.1", "gone", recipient, "k", (), (relay_id,))


@on_both_when_long
def test_the_relays_own_name_for_a_letter_counts_where_the_provider_vouches(app: Flask) -> None:
    sent_edition()
    name = "010001836e8f5cd8-4b6a4d1e-000000"
    with transaction() as session:
        last = sa.select(sa.func.max(Attempt.id)).where(Attempt.delivery_id == notice_id())
        session.execute(
            sa.update(Attempt).where(Attempt.id.in_(last)).values(reply=f"250 Ok {name}")
        )
    report = _said_by_the_relay(name)
    for wrong in (
        report,  # nobody vouches
        _said_by_the_relay(name[:-1]),
        _said_by_the_relay("250"),
        _said_by_the_relay(name, recipient="ben@reader.example"),
    ):
        with transaction():
            assert take_report(wrong, is_vouched=wrong is not report) is False
    assert stand() == UNTOUCHED
    with transaction():
        assert take_report(report, is_vouched=True) is True
    assert stand() == Stand(DeliveryStatus.BOUNCED, [ANNA], 1, 1)


def notice_id() -> int:
    """Read without ending the transaction that is open."""
    query = "SELECT min(id) FROM deliveries WHERE kind = 'edition_notice'"
    return int(db.session.execute(sa.text(query)).scalar_one())


def test_the_relays_name_of_an_earlier_try_counts_no_more(app: Flask) -> None:
    sent_edition()
    ours = notice().id
    with transaction() as session:
        first = sa.update(Attempt).where(Attempt.delivery_id == ours)
        session.execute(first.values(reply="250 Ok first-name-of-it"))
        values = {"delivery_id": ours, "worker": "w", "address": ANNA, "outcome": "accepted"}
        again = sa.select(Attempt.started_at).limit(1).scalar_subquery()
        values |= {"reply": "250 Ok second-name-of-it", "started_at": again}
        session.execute(sa.insert(Attempt.__table__).values(**values))
    for name, taken in (("first-name-of-it", False), ("second-name-of-it", True)):
        with transaction():
            assert take_report(_said_by_the_relay(name), is_vouched=True) is taken
