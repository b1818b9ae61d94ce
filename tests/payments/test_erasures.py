"""A reader has all that is known of them erased: seven days and a letter to every address, what is to be
settled first, then nothing anywhere."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from store import tasks
from store.distribution.coverage import coverage
from store.distribution.imports import open_import
from store.entitlements.erasure_journal import journal_path
from store.entitlements.models import Entitlement
from store.entitlements.nameless import remove_old_accounts
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.limits import limiter
from store.kit.mailboxes import ERASED
from store.mail.models import Delivery, ReturnKind
from store.mail.returns import take
from store.orders.billing import Billing, set_billing
from store.orders.customer_notes import add_note
from store.orders.models import Customer
from store.orders.placing import Details
from store.payments.erasures import apply_journal, carry_out_due
from store.payments.fulfilment import apply_state
from store.payments.gateways.base import (
    DisputeOutcome,
    GatewayDispute,
    GatewayRefund,
    GatewayState,
    RefundStanding,
    Standing,
)
from store.payments.models import Checkout, Dispute, Payment
from store.payments.refunds import send_refunds
from store.payments.transfers import mark_sent_back
from tests.conftest import Clock, on_both, on_both_when_long
from tests.editions import a_shop, drafted_and_released, edition_of, guide
from tests.entitlements.presses import SECOND, SURE, B, changed, gave_second
from tests.letters import links_in, sent, text_of
from tests.links import anna, order_path, path_to
from tests.pages import check_page
from tests.payments.bank import a_transfer_order, arrive, backs
from tests.purchases import ANNA, a_paid_order, apply_payment, buy, give, placed_order
from tests.restored import put_back
from tests.rows import count_rows, every_table, order_of

pytestmark = pytest.mark.usefixtures("frozen")

DESK = "desk@publisher.example"
ERASED_WORDS = (
    ANNA,
    B,
    SECOND,
    "anna@",
    "zwick",
    "203.0.113.77",
    "firefox of a nursery",
    "kiln lane",
)


def asked(client: FlaskClient, customer_id: int) -> str:
    """Ask behind the library link; the path of its page."""
    library = path_to("library", customer_id)
    answer = client.post(f"{library}/erase", data=SURE)
    assert answer.status_code == 200, answer.text
    check_page(answer.text, path="/library/…/erase")
    sent()
    return f"{library}/erase"


def told() -> list[tuple[str, str]]:
    """Whom the letters about an erasure went to, each with the path that stops it."""
    found = [one for one in sent() if " to be erased" in one["Subject"]]
    return [(one["To"].addresses[0].addr_spec, links_in(text_of(one))[0]) for one in found]


def days_later(frozen: Clock, days: int = 7) -> None:
    frozen.advance(days=days, minutes=1)
    for _ in range(3):
        carry_out_due()
        sent()


def everything() -> str:
    """Every text, document and file of every table, in small letters."""
    db.session.rollback()
    found = []
    for table in every_table():
        for row in db.session.execute(sa.select(table)).mappings():
            found += [str(value) for value in row.values() if value is not None]
    if db.engine.dialect.name == "sqlite":
        found += [str(row) for row in db.session.execute(sa.text("SELECT * FROM search_customers"))]
    return "\n".join(found).casefold()


def a_reader_of_many_years(client: FlaskClient, frozen: Clock) -> int:
    """Anna with a gift, a contested payment, a second address and one that she had before; of whom
    staff noted something, and who stands in a list."""
    publication = a_shop()
    publication_id = publication.id
    told = Details(
        email=ANNA,
        name="Anna Zwick",
        organisation="Zwick Nursery",
        wants_now=True,
        network="203.0.113.77",
        user_agent="Firefox of a nursery",
    )
    with transaction():
        order = apply_payment(placed_order(publication, told))
        set_billing(order, Billing("Zwick Nursery", "1 Kiln Lane", "PO Zwick", "GB1"))
        payment = db.session.scalars(sa.select(Payment)).one()
        db.session.add(contested(payment))
        add_note(anna(), "Anna Zwick rang", "sam@publisher.example")
        listed = f"Email,Name\n{ANNA},Anna Zwick\n".encode()
        db.session.add(open_import(publication, None, "list.csv", listed))
    give(name="Anna Zwick", reason="Reviews for Anna Zwick")
    drafted_and_released(guide(publication_id), 2)
    sent()
    library = path_to("library", anna().id)
    client.get(links_on(client, library)[0])
    gave_second(client, anna().id)
    frozen.advance(days=15)
    changed(client, anna().id, B)
    gave_second(client, reader().id)
    frozen.advance(days=15)
    return reader().id


def contested(payment: Payment) -> Dispute:
    now = clock.now()
    return Dispute(
        payment_id=payment.id,
        gateway="demo",
        gateway_dispute_id="dispute 1",
        reason="fraudulent",
        amount=payment.amount,
        currency=payment.currency,
        is_inquiry=False,
        opened_at=now,
        evidence={"customer_name": "Anna Zwick"},
    )


def reader() -> Customer:
    db.session.rollback()
    return db.session.scalars(sa.select(Customer).filter_by(email=B)).one()


def links_on(client: FlaskClient, path: str) -> list[str]:
    found = re.findall(r'href="(/download/[^"]+)"', client.get(path).text)
    assert found
    return found


@on_both
def test_nothing_anywhere_tells_of_an_erased_reader(client: FlaskClient, frozen: Clock) -> None:
    customer_id = a_reader_of_many_years(client, frozen)
    assert all(word in everything() for word in ERASED_WORDS)
    page = asked(client, customer_id)
    addresses = [address for address, _ in told()]
    assert sorted(addresses) == sorted([B, SECOND])
    days_later(frozen)
    # The bank has not decided yet.
    assert "bank that decides" in client.get(page).text
    with transaction():
        db.session.scalars(sa.select(Dispute)).one().won_at = clock.now()
    days_later(frozen, 0)
    assert [word for word in ERASED_WORDS if word in everything()] == []
    assert client.get(page).status_code == 410


@on_both_when_long
def test_what_comes_late_finds_nobody_and_every_release_adds_up(
    client: FlaskClient, frozen: Clock
) -> None:
    publication = a_shop()
    publication_id, order_id = publication.id, a_paid_order(publication).id
    second = drafted_and_released(guide(publication_id), 2).id
    sent()
    letter_id = db.session.scalars(sa.select(Delivery.id).filter_by(edition_id=second)).one()
    asked(client, anna().id)
    days_later(frozen)
    rows, letters = count_rows(), len(sent())
    with transaction():
        assert not take(letter_id, ReturnKind.HARD, words=f"<{ANNA}> is gone", key="late")
    for outcome in (None, DisputeOutcome.LOST, DisputeOutcome.WON):
        frozen.advance(days=1)
        hears_of(order_id, disputes=(a_dispute(outcome),))
    hears_of(order_id, refunds=(GatewayRefund("late", RefundStanding.SUCCEEDED, 1250, "GBP"),))
    third = drafted_and_released(guide(publication_id), 3)
    tasks.tick()
    # Alerts are to staff.
    to_readers = [one for one in sent()[letters:] if DESK not in one["To"]]
    assert to_readers == []
    grown = {name for name, count in count_rows().items() if count > rows[name]}
    assert not grown & {"customers", "links", "repairs", "returned_letters", "address_holds"}
    assert coverage(third).left_out == {ERASED: 1}
    assert coverage(edition_of(second)).is_complete


def a_dispute(outcome: DisputeOutcome | None) -> GatewayDispute:
    at = clock.now()
    return GatewayDispute("late", "fraudulent", 1250, "GBP", False, at, outcome=outcome)


def hears_of(order_id: int, **news: Any) -> None:
    """The gateway says how the payment of an order stands."""
    order = order_of(order_id)
    checkout = db.session.scalars(sa.select(Checkout).filter_by(order_id=order_id)).one()
    payment = db.session.scalars(sa.select(Payment).filter_by(order_id=order_id)).one()
    state = GatewayState(
        str(checkout.gateway_reference),
        Standing.PAID,
        amount=payment.amount,
        currency=payment.currency,
        checkout_id=checkout.id,
        order_reference=order.reference,
        payment_id=payment.gateway_payment_id,
        **news,
    )
    with transaction():
        apply_state("demo", state)


@on_both_when_long
def test_a_waiting_preorder_is_paid_back_first_by_bank_only_once_staff_have_sent_it(
    client: FlaskClient, frozen: Clock
) -> None:
    order_id = a_transfer_order()
    arrive(order_id, 1250)
    sent()
    page = asked(client, anna().id)
    days_later(frozen)
    assert "send back by bank transfer, by hand" in client.get(page).text
    mark_sent_back(backs()[0].id, "olga@publisher.example")
    send_refunds()
    assert "We have refunded" in sent()[-1]["Subject"]
    days_later(frozen, 0)
    order = order_of(order_id)
    assert (order.email, order.total_amount, order.country) == ("", 1250, "GB")
    kept = {"orders", "order_lines", "payments", "refunds", "transfers", "transfers_back"}
    assert all(count_rows()[name] == 1 for name in kept)
    frozen.advance(days=7 * 366)
    remove_old_accounts()
    assert not any(count_rows()[name] for name in kept)


@on_both_when_long
def test_each_letter_and_the_library_stop_it_and_all_stays(
    client: FlaskClient, frozen: Clock
) -> None:
    a_paid_order(a_shop())
    undo = changed(client, anna().id, B)
    customer_id = reader().id
    page = asked(client, customer_id)
    assert [address for address, _ in told()] == [B, ANNA]
    check_page(client.get(told()[1][1]).text, path="/keep/…")
    robots = client.post(told()[1][1])  # which send forms as they stand
    check_page(robots.text, path="/keep/…")
    assert (robots.status_code, "Erase my data" in client.get(page).text) == (422, False)
    assert client.post(told()[1][1], data=SURE).status_code == 200
    assert client.post(told()[1][1], data=SURE).status_code == 200  # a second press is no mistake
    assert "Erase my data" in client.get(page).text
    stopped = [one for one in sent() if one["Subject"].startswith("Nothing is erased")]
    assert len(stopped) == 2
    asked(client, customer_id)
    assert client.post(f"{page}/stop", data=SURE).status_code == 200
    asked(client, customer_id)
    # Somebody took the address over, and it is taken back: so is what they asked for.
    assert client.post(undo, data=SURE).status_code == 200
    days_later(frozen, 30)
    db.session.rollback()
    assert anna().erased_at is None


@pytest.mark.parametrize("is_limited", [True, False], ids=["limited", "control"])
def test_asked_for_and_stopped_again_and_again_it_fills_no_mailbox(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, is_limited: bool
) -> None:
    monkeypatch.setattr(limiter, "enabled", is_limited)
    a_paid_order(a_shop())
    page, codes = f"{path_to('library', anna().id)}/erase", []
    for _ in range(7):
        codes.append(client.post(page, data=SURE).status_code)
        sent()
        client.post(f"{page}/stop", data=SURE)
    assert codes == ([200] * 5 + [429] * 2 if is_limited else [200] * 7)
    assert len(told()) == (5 if is_limited else 7)
    # What is asked for already stays, and is never too often.
    monkeypatch.setattr(limiter, "enabled", False)
    asked(client, anna().id)
    monkeypatch.setattr(limiter, "enabled", is_limited)
    asked(client, anna().id)


def test_who_buys_while_an_erasure_waits_is_told_that_the_copy_goes_with_it(
    client: FlaskClient, frozen: Clock
) -> None:
    a_paid_order(a_shop())
    page = asked(client, anna().id)
    a_paid_order(a_shop(slug="two"))
    text = text_of(sent()[-1])
    said = "to be erased on 8 March 2027, as was asked for. This order and its copy go with it."
    assert said in " ".join(text.split())
    path = next(one for one in links_in(text) if one.endswith("/erase"))
    robots = client.post(f"{path}/stop")  # which open every letter and send forms as they stand
    check_page(robots.text, path="/library/…/erase")
    assert (robots.status_code, "Erase my data" in client.get(page).text) == (422, False)
    assert client.post(f"{path}/stop", data=SURE).status_code == 200
    a_paid_order(a_shop(slug="three"))
    assert "to be erased" not in text_of(sent()[-1])
    assert "Erase my data" in client.get(page).text


def test_it_waits_while_a_change_of_address_can_be_taken_back(
    client: FlaskClient, frozen: Clock
) -> None:
    a_paid_order(a_shop())
    changed(client, anna().id, B)
    page = asked(client, reader().id)
    days_later(frozen)
    assert "change of address that can still be taken back" in client.get(page).text
    days_later(frozen, 8)
    assert client.get(page).status_code == 410


def test_a_dead_link_leads_nowhere_personal(client: FlaskClient, frozen: Clock) -> None:
    order_id = a_paid_order(a_shop()).id
    order, stop = order_path(order_id), path_to("stop", anna().id)
    page = asked(client, anna().id)
    keep = told()[0][1]
    days_later(frozen)
    letters = len(sent())
    for path in (page.removesuffix("/erase"), order, stop, keep):
        answer = client.get(path)
        assert answer.status_code == 410
        check_page(answer.text, path=path)
        assert "What was here is erased" in answer.text
        assert "renew" not in answer.text
    token = {"token": order.rpartition("/")[2]}
    assert client.post("/find-my-copies/renew", data=token).status_code == 410
    client.post("/find-my-copies", data={"who": ANNA})
    assert len(sent()) == letters


@on_both
def test_who_was_erased_is_erased_again_when_a_backup_is_put_back(
    client: FlaskClient, frozen: Clock, tmp_path: Path, backup: Callable[[], str]
) -> None:
    publication = a_shop()
    a_paid_order(publication)
    a_paid_order(publication, "ben@reader.example")
    number, reference = publication.id, anna().id
    sent()
    # A letter to her waits as the backup is made.
    drafted_and_released(guide(number), 2)
    copy = backup()
    sent()
    asked(client, reference)
    days_later(frozen)
    assert ANNA not in journal_path().read_text()
    with put_back(copy, tmp_path):
        frozen.advance(hours=1)
        # She came back before the worker did.
        order_id = buy_again(number)
        tasks.begin()
        to_anna = [one for one in sent() if one["To"].addresses[0].addr_spec == ANNA]
        assert [order_of(order_id).reference in text_of(one) for one in to_anna] == [True]
        assert db.session.get_one(Customer, reference).email == ERASED
        assert (anna().id != reference, anna().name) == (True, "Anna Berg")
        rights = sa.select(Entitlement.id).where(
            Entitlement.customer_id == anna().id, Entitlement.revoked_at.is_(None)
        )
        assert len(db.session.scalars(rights).all()) == 1
        assert apply_journal() == 0


def buy_again(publication_id: int) -> int:
    with transaction():
        return buy(guide(publication_id)).id
