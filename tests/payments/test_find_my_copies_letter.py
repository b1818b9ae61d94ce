"""The letter with all links says how each order stands with its money, and offers no copy that
cannot be opened."""

import re

import pytest
import sqlalchemy as sa

from store.catalog.models import Edition, Publication
from store.entitlements.fresh_links import ask_for_copies
from store.entitlements.granting import settle_access
from store.entitlements.models import Entitlement
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.status import advance
from store.orders.models import Order, OrderLine, OrderStatus
from store.orders.orders import cancel_pending
from store.payments.cancellation import cancel_preorder
from store.payments.fulfilment import apply_state
from store.payments.gateways.base import GatewayState, Standing
from store.payments.models import Refund, RefundStatus
from store.payments.refunds import refund_order
from tests.conftest import Clock, on_both_when_long
from tests.editions import put_out, withdraw
from tests.letters import sent, text_of
from tests.payments.bank import a_transfer_order, arrive
from tests.purchases import an_order, give, pay, start
from tests.rows import order_of

pytestmark = pytest.mark.usefixtures("app")
ANNA = "anna@reader.example"


def a_bought(slug: str) -> int:
    order_id = an_order(slug.ljust(22, "."), slug)
    pay(order_id)
    return order_id


def settled(order_id: int, **how: bool) -> int:
    with transaction() as session:
        settle_access(session.get_one(Order, order_id), **how)
    return order_id


def letter() -> str:
    sent()
    with transaction():
        ask_for_copies(ANNA)
    return text_of(sent()[-1]).replace("\r\n", "\n")


def states(text: str) -> list[str]:
    """What the letter says of each order, oldest first."""
    told = re.findall(
        r"^- \w{4}-\w{4}, [^:]+: Effective SEND Practice in the Early Years, (.+)\.$",
        text,
        re.MULTILINE,
    )
    return told[::-1]


def copies(text: str) -> list[str]:
    return re.findall(r"^- (Effective .+)$", text, re.MULTILINE)


@on_both_when_long
def test_every_order_stands_in_the_letter_as_it_truly_is(frozen: Clock) -> None:
    a_bought("paid")
    refund_order(a_bought("whole"), who="staff", why="", key="press")
    refund_order(a_bought("part"), amount=250, who="staff", why="", key="press")
    cancel_preorder(a_bought("cancelled"), "customer")
    on_its_way = a_bought("on-its-way")
    refund_order(on_its_way, amount=100, who="staff", why="", key="press")
    with transaction() as session:
        asked = session.scalars(sa.select(Refund).order_by(Refund.id.desc())).first()
        assert asked is not None
        asked.status = RefundStatus.REQUESTED
    settled(a_bought("lost"), is_lost=True)
    settled(a_bought("disputed"), is_suspended=True)
    an_order("u" * 22, "unpaid")
    expired, given_up = an_order("e" * 22, "expired"), an_order("g" * 22, "given-up")
    with transaction() as session:
        advance(session.get_one(Order, expired), OrderStatus.EXPIRED)
        cancel_pending(session.get_one(Order, given_up), "customer")
    at_work(an_order("b" * 22, "bank"))
    a_transfer_order("t" * 22, "transfer")
    arrive(a_transfer_order("p" * 22, "transfer-part"), 500)
    give("paid")
    assert states(letter()) == [
        "paid",
        "refunded; £12.50 went back to you",
        "paid; £2.50 went back to you",
        "cancelled; £12.50 went back to you",
        "paid; £1.00 is on its way back to you",
        "your bank took the payment back, so its copies are closed",
        "disputed with your bank; its copies rest until that is decided",
        "not paid yet",
        "not paid in time",
        "given up before it was paid",
        "your bank is making the payment",
        "waits for your bank transfer",
        "£5.00 of £12.50 has arrived, the rest is not paid",
        "a gift",
    ]


def at_work(order_id: int) -> None:
    reference, order = start(order_id), order_of(order_id)
    state = GatewayState(
        reference, Standing.PROCESSING, order.total_amount, order.currency, order.reference, None
    )
    with transaction():
        apply_state("demo", state)


def test_only_copies_that_can_be_opened_are_offered_and_others_say_when(frozen: Clock) -> None:
    for slug in ("ready", "waiting", "pre-order", "withdrawn", "refunded", "disputed"):
        order_id = an_order(slug.ljust(22, "."), slug)
        of_it = db.session.scalars(sa.select(Publication).filter_by(slug=slug)).one()
        if slug not in {"pre-order", "refunded"}:
            put_out(of_it, 1)
        pay(order_id)
        if slug == "waiting":
            continue
        with transaction() as session:
            right = session.scalars(
                sa.select(Entitlement).join(OrderLine).where(OrderLine.order_id == order_id)
            ).one()
            right.available_at = clock.now()
        if slug == "withdrawn":
            withdraw(
                db.session.scalars(sa.select(Edition).join(Publication).filter_by(slug=slug)).one()
            )
        if slug == "refunded":
            cancel_preorder(order_id, "customer")
        if slug == "disputed":
            settled(order_id, is_suspended=True)
    text = letter()
    title = "Effective SEND Practice in the Early Years"
    assert sorted(copies(text)) == sorted(
        [
            f"{title}, edition 1",
            f"{title}: ready on 16 March 2027.",
            f"{title}: we publish it by the end of March 2027.",
            f"{title}: withdrawn; we mail you as soon as the corrected edition is there.",
        ]
    )
    assert "This link opens all your copies" in text


def test_who_has_nothing_that_can_be_opened_gets_no_link_to_copies(frozen: Clock) -> None:
    cancel_preorder(a_bought("cancelled"), "customer")
    settled(a_bought("disputed"), is_suspended=True)
    text = letter()
    assert copies(text) == []
    assert "/library/" not in text
    assert text.count("/orders/") == 2


def test_who_waits_for_everything_is_not_told_that_copies_can_be_opened(frozen: Clock) -> None:
    a_bought("pre-order")
    text = letter()
    assert (
        "Nothing can be downloaded yet. This link opens the page where your copies will be." in text
    )
    assert "opens all your copies" not in text
