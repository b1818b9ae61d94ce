"""A date that moves: everybody who was promised the old one is told once, as things stand when the
letter leaves (journeys C20)."""

from datetime import date, timedelta
from email.message import EmailMessage

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import DateMove, Publication
from store.catalog.publications import publication_by_slug
from store.entitlements.addresses import merge_customers
from store.entitlements.granting import settle_access
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.errors import InvalidFields
from store.mail import outbox
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus
from store.orders.customers import find_or_add_customer
from store.orders.models import Customer, Order, OrderLine
from store.orders.placing import Details
from store.payments import cancellation
from store.payments.checkout import begin_checkout
from store.payments.date_letters import KNOWN, rehearse
from store.payments.date_moves import (
    MOVED_AGAIN,
    PUBLISHED,
    NotWaiting,
    change_date,
    look_after_moves,
)
from store.payments.gateways.base import MANUAL
from store.payments.models import Checkout
from tests.conftest import Clock, on_both
from tests.editions import drafted_and_released, withdraw
from tests.factories import a_customer, a_publication, a_seller
from tests.letters import links_in, sent, text_of
from tests.payments.bank import arrive
from tests.payments.gateway_side import failed_slowly
from tests.purchases import buy, give, give_imported, pay, placed_order, start
from tests.storefront.forms import text_of as text_of_page

SENT, SKIPPED, QUEUED = DeliveryStatus.SENT, DeliveryStatus.SKIPPED, DeliveryStatus.QUEUED
PROMISED = date(2027, 4, 1)
LATER, LATEST = date(2027, 5, 14), date(2027, 6, 30)
WHY = "Two schools are still to read their chapters."
SLUG = "send-early-years"

pytestmark = on_both


@pytest.fixture
def shop(app: Flask, frozen: Clock) -> Clock:
    """A publication that is promised for 1 April 2027; it is 1 March."""
    with transaction():
        a_seller(bank_details="Sort code 00-00-00")
        a_publication(SLUG, expected_on=PROMISED)
    return frozen


def _guide() -> Publication:
    return publication_by_slug(SLUG)


def _buy(*names: str) -> dict[str, int]:
    """Orders by the buyers' names; their letters have left."""
    orders = {}
    for name in names:
        with transaction():
            orders[name] = buy(_guide(), f"{name.lower()}@reader.example", name).id
    sent()
    return orders


def _place(name: str) -> int:
    with transaction():
        details = Details(email=f"{name.lower()}@reader.example", name=name, wants_now=False)
        return placed_order(_guide(), details).id


def _order_by_transfer(name: str) -> int:
    order_id = _place(name)
    begin_checkout(order_id, MANUAL)
    sent()
    return order_id


def _move(day: date = LATER, why: str = WHY) -> int:
    with transaction():
        return change_date(_guide(), day, why, "olga@publisher.example").id


def _told(move_id: int | None = None) -> dict[str, tuple[DeliveryStatus, str]]:
    """Status and reason of the letters of a change, the newest unless said, by first name."""
    db.session.rollback()
    if move_id is None:
        move_id = db.session.scalars(sa.select(sa.func.max(DateMove.id))).one()
    rows = db.session.execute(
        sa.select(Delivery)
        .join(Batch, Batch.id == Delivery.batch_id)
        .where(Batch.reason == "date", Batch.subject_id == move_id)
    ).scalars()
    found = {}
    for row in rows.all():
        customer = db.session.get_one(Customer, row.customer_id)
        assert customer.name not in found
        found[customer.name] = (row.status, row.reason)
    db.session.rollback()
    return found


def _letters_sent() -> list[EmailMessage]:
    return [letter for letter in sent() if " comes " in letter["Subject"]]


def _letters() -> dict[str, str]:
    """The text of each letter about a date, by its reader; several of one joined."""
    found: dict[str, str] = {}
    for letter in _letters_sent():
        name = letter["To"].addresses[0].display_name
        found[name] = found.get(name, "") + text_of(letter)
    return found


def test_who_waits_is_told_once_with_both_dates_the_reason_and_a_choice(shop: Clock) -> None:
    _buy("Anna", "Ben", "Anna")

    _move()
    letters = _letters()

    assert letters.keys() == {"Anna", "Ben"}
    assert (
        "We said that “Effective SEND Practice in the Early Years” would come on 1 April 2027. "
        "It now comes on 14 May 2027." in " ".join(letters["Ben"].split())
    )
    assert WHY in letters["Ben"]
    assert "£12.50" in letters["Ben"]
    assert _told() == {"Anna": (SENT, ""), "Ben": (SENT, "")}
    # Two orders of hers, each with its own choice.
    assert len([one for one in links_in(letters["Anna"]) if one.endswith("/cancel")]) == 2
    look_after_moves()
    assert _told() == {"Anna": (SENT, ""), "Ben": (SENT, "")}
    assert db.session.scalars(sa.select(Batch.status)).all() == [BatchStatus.FINISHED]


def test_order_page_shop_and_confirmation_know_the_date_and_those_before(
    shop: Clock, client: FlaskClient
) -> None:
    orders = _buy("Anna")
    shop.advance(days=1)
    _move()
    page = links_in(_letters()["Anna"])[-1]
    shop.advance(days=1)
    _move(LATEST, "Now the printer is ill.")

    seen = client.get(page).text
    assert (WHY in seen, "Now the printer is ill." in seen) == (True, True)
    days = ("on 1 April 2027", "on 14 May 2027", "by the end of June 2027")
    assert [seen.count(day) > 0 for day in days] == [True, True, True]
    in_shop = text_of_page(client.get(f"/publications/{SLUG}").text)
    assert (
        "Since 3 March 2027 the end of June 2027. Now the printer is ill. "
        f"Since 2 March 2027 14 May 2027. {WHY} Before that 1 April 2027." in in_shop
    )
    sent()
    with transaction():
        outbox.owe("order_confirmation", "again", order_id=orders["Anna"], priority=0)
    resent = " ".join(text_of(sent()[-1]).split())
    assert "We publish it by the end of June 2027." in resent
    assert (
        "When you ordered, we promised it on 1 April 2027. We moved the date on 2 March 2027 "
        "(on 14 May 2027), and on 3 March 2027 (by the end of June 2027)." in resent
    )
    _move(date(2027, 7, 9), "And the paper is late.")
    in_shop = text_of_page(client.get(f"/publications/{SLUG}").text)
    assert "Since 3 March 2027 9 July 2027. And the paper is late. Since 3 March 2027" in in_shop


def test_open_transfers_gifts_and_imports_are_told_what_they_can_do(shop: Clock) -> None:
    _order_by_transfer("Tom")
    give(SLUG, email="gita@reader.example", name="Gita")
    with transaction():
        give_imported(a_customer("ian@reader.example", "Ian"), _guide(), notify=False)
    sent()

    _move()
    letters = _letters()

    assert letters.keys() == {"Tom", "Gita", "Ian"}
    assert "Nothing was charged." in letters["Tom"]
    assert [one.endswith("/cancel") for one in links_in(letters["Tom"])] == [True, False]
    assert "You need not do anything" in letters["Gita"]
    assert [one[:8] for one in links_in(letters["Gita"])] == ["/orders/"]
    assert "reply to this letter" in " ".join(letters["Ian"].split())
    assert [one[:9] for one in links_in(letters["Ian"])] == ["/library/"]


def test_money_that_takes_days_counts_until_the_bank_says_no_and_a_look_at_the_payment_never(
    shop: Clock,
) -> None:
    slow, refused, looked = (_place(name) for name in ("Sam", "Rob", "Lea"))
    for order_id in (slow, looked):
        start(order_id)
    failed_slowly(refused)
    with transaction() as session:
        theirs = sa.update(Checkout).where(Checkout.order_id == slow)
        session.execute(theirs.values(processing_at=clock.now()))
    _move()
    assert _letters().keys() == {"Sam"}
    assert _told() == {"Sam": (SENT, "")}


def test_who_has_cancelled_is_left_out_and_so_is_who_cancels_before_it_leaves(shop: Clock) -> None:
    orders = _buy("Anna", "Ben", "Carl")
    transfer = _order_by_transfer("Tom")
    cancellation.cancel_preorder(orders["Anna"], "customer")

    _move()
    cancellation.cancel_preorder(orders["Ben"], "customer")
    cancellation.cancel_as_customer(lambda: db.session.get_one(Order, transfer))

    assert _letters().keys() == {"Carl"}
    assert _told() == {
        "Anna": (SKIPPED, "refunded"),
        "Ben": (SKIPPED, "refunded"),
        "Carl": (SENT, ""),
        "Tom": (SKIPPED, "given up before it was paid"),
    }


def test_whose_right_rests_is_told_when_it_is_back(shop: Clock) -> None:
    orders = _buy("Anna")
    with transaction():
        settle_access(db.session.get_one(Order, orders["Anna"]), is_suspended=True)
    _move()
    assert _letters() == {}
    assert _told() == {"Anna": (SKIPPED, "suspended")}
    look_after_moves()
    assert _told() == {"Anna": (SKIPPED, "suspended")}

    with transaction():
        settle_access(db.session.get_one(Order, orders["Anna"]))
    look_after_moves()

    assert "come on 1 April 2027" in " ".join(_letters()["Anna"].split())
    assert _told() == {"Anna": (SENT, "")}


def test_a_second_change_takes_the_place_of_what_has_not_left(shop: Clock) -> None:
    _buy("Anna")
    first = _move()
    shop.advance(minutes=1)
    second = _move(LATEST, "Now the printer is ill.")

    told = " ".join(_letters()["Anna"].split())

    assert ("come on 1 April 2027" in told, "by the end of June 2027" in told, WHY in told) == (
        True,
        True,
        False,
    )
    assert _told(first) == {"Anna": (SKIPPED, MOVED_AGAIN)}
    assert _told(second) == {"Anna": (SENT, "")}
    # The next one says what the last letter said.
    shop.advance(days=1)
    _move(LATER)
    assert "come by the end of June 2027. It now comes on 14 May 2027" in " ".join(
        _letters()["Anna"].split()
    )


def test_a_date_that_comes_back_before_anybody_was_told_needs_no_letter(shop: Clock) -> None:
    _buy("Anna")
    _move()
    shop.advance(minutes=1)
    _move(PROMISED, "It was a slip.")
    assert _letters() == {}
    assert _told() == {"Anna": (SKIPPED, KNOWN)}
    look_after_moves()
    assert _told() == {"Anna": (SKIPPED, KNOWN)}


def test_who_may_have_read_another_date_is_told_that_the_first_one_holds(shop: Clock) -> None:
    _buy("Anna")
    _move()
    assert _letters().keys() == {"Anna"}
    with transaction() as session:  # it came back, and may have been read all the same
        session.execute(
            sa.update(Delivery).filter_by(kind="date_moved").values(status=DeliveryStatus.BOUNCED)
        )
    shop.advance(minutes=1)
    _move(PROMISED, "It was a slip.")
    assert "It was a slip." in _letters()["Anna"]


def test_two_customers_who_become_one_are_told_by_one_letter(shop: Clock) -> None:
    _buy("Anna", "Ben")
    _move()
    with transaction():
        names = ("ben@reader.example", "anna@reader.example")
        merge_customers(*map(find_or_add_customer, names), "Olga")
    assert [one["To"].addresses[0].display_name for one in _letters_sent()] == ["Anna"]


def test_who_pays_late_is_told_too_and_who_orders_afterwards_is_not(shop: Clock) -> None:
    transfer = _order_by_transfer("Tom")
    eve = _place("Eve")
    shop.advance(minutes=1)
    _move()
    assert _letters().keys() == {"Tom"}
    shop.advance(minutes=1)
    _buy("Late")
    _order_by_transfer("Later")

    pay(eve)
    arrive(transfer, 1250)
    look_after_moves()

    assert _letters().keys() == {"Tom", "Eve"}
    assert _told() == {"Tom": (SENT, ""), "Eve": (SENT, "")}


def test_who_ordered_beside_the_change_with_the_date_of_before_is_told(shop: Clock) -> None:
    _move()
    shop.advance(seconds=1)
    orders = _buy("Anna", "Ben")
    with transaction() as session:
        hers = sa.update(OrderLine).where(OrderLine.order_id == orders["Anna"])
        session.execute(hers.values(expected_on=PROMISED))
    look_after_moves()
    assert _letters().keys() == {"Anna"}
    assert _told() == {"Anna": (SENT, "")}


def test_who_had_an_edition_that_is_withdrawn_is_promised_no_date(shop: Clock) -> None:
    _buy("Anna")
    _order_by_transfer("Tom")
    shop.advance(days=1)
    edition = drafted_and_released(_guide())
    shop.advance(days=1)
    _buy("Ben")
    withdraw(edition)
    shop.advance(days=1)
    _buy("Cleo")
    sent()
    _move()
    assert _letters().keys() == {"Cleo"}
    assert _told() == {"Cleo": (SENT, "")}


def test_a_release_ends_it(shop: Clock) -> None:
    _buy("Anna")
    move = _move()
    drafted_and_released(_guide())
    look_after_moves()
    assert _told(move) == {"Anna": (SKIPPED, PUBLISHED)}
    assert _letters() == {}
    with pytest.raises(NotWaiting):
        _move(LATEST)


def test_a_change_that_cannot_be_told_is_refused_and_nothing_changes(shop: Clock) -> None:
    _buy("Anna")
    yesterday = clock.now().date() - timedelta(days=1)
    for day, why, field in (
        (None, WHY, "new_on"),
        (yesterday, WHY, "new_on"),
        (PROMISED, WHY, "new_on"),
        (LATER, "  ", "reason"),
        (LATER, "x" * 1001, "reason"),
    ):
        with pytest.raises(InvalidFields) as refusal:
            _move(day, why)  # type: ignore[arg-type]
        assert list(refusal.value.faults) == [field]
    assert (_guide().expected_on, db.session.scalars(sa.select(DateMove)).all()) == (PROMISED, [])


def test_a_rehearsal_tells_how_many_of_which_kind_and_shows_the_letter(shop: Clock) -> None:
    orders = _buy("Anna", "Ben")
    _order_by_transfer("Tom")
    cancellation.cancel_preorder(orders["Ben"], "customer")

    seen = rehearse(_guide(), LATER, WHY)

    assert (seen.people, seen.left_out, seen.due_back) == (2, {"refunded": 1}, ["£12.50"])
    assert seen.kinds == [
        ("paid by card", 1),
        ("ordered, the money being on its way", 1),
    ]
    assert seen.letter is not None
    assert seen.letter.subject == (
        "It comes on 14 May 2027: Effective SEND Practice in the Early Years"
    )
    assert "/orders/…/cancel" in seen.letter.text
    assert rehearse(_guide(), LATER, WHY, seen.next_id).letter_to == "Tom"
