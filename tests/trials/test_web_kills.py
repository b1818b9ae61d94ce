"""A web process killed by kill -9 while orders are under way: nothing is half done, and the same form
sent again, or the gateway's message, gives one order, one payment and one letter."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.sellers import state_seller
from store.entitlements.models import Entitlement
from store.entitlements.received import CONFIRMATION
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.orders.discounts import add_discount
from store.orders.models import Consent, Order, OrderLine, OrderStatus
from store.payments.models import Checkout, CheckoutStatus, Payment
from store.payments.transfers import DETAILS
from tests.conftest import on_both, on_both_when_long
from tests.editions import a_shop
from tests.payments.bank import BANK
from tests.purchases import apply_received
from tests.serving import free_port
from tests.tables import Note

from .ready import Life, Moment, ReadyShop, ready_shop
from .shoppers import GIFT, WAYS, ServerGone, Shopper, wait_for_server
from .tally import Tally

MOST_STEPS = 400
# That a control is given to show what goes wrong without a guard: one step in thirty does.
_MOST_TRIES = 150


def _a_shop() -> str:
    publication = a_shop()
    with transaction():
        state_seller(bank_details=BANK)
        add_discount("A gift", code=GIFT, percent=100)
        return f"/publications/{publication.slug}"


class Trial:
    """Customers order at a server that is killed under them, then at the next one."""

    def __init__(self, app: Flask, ready: ReadyShop, port: int, tally: Tally) -> None:
        self.app, self.ready, self.port, self.tally = app, ready, port, tally
        self.path = _a_shop()
        self.number = 0

    def one_kill(self, moment: Moment) -> None:
        """A life of the server that is killed at this moment, and one in which all come back."""
        shoppers = self.die(moment)
        assert self._let_order(self._serve(Moment()), shoppers) == 0
        apply_received()
        self._count(shoppers)

    def die(self, moment: Moment, ways: Sequence[str] = WAYS) -> list[Shopper]:
        """A life of the server that is killed at this moment, amid an order in each way."""
        self.number += 1
        shoppers = [Shopper(way, self.number, self.port, self.path) for way in ways]
        gone = self._let_order(self._serve(moment), shoppers)
        self.tally.count(moment, was_killed=gone > 0)
        self.tally.half_done += sum(_is_half_done(order) for order in _orders(shoppers))
        return shoppers

    def _serve(self, moment: Moment) -> Life:
        life = self.ready.begin("web", moment, bind=f"127.0.0.1:{self.port}")
        wait_for_server(self.port)
        return life

    def _let_order(self, life: Life, shoppers: list[Shopper]) -> int:
        """All at once; how many were left without an answer. Then the server is gone."""
        gone: list[Shopper] = []
        failed: list[BaseException] = []

        def order(shopper: Shopper) -> None:
            try:
                with self.app.app_context():
                    shopper.order()
            except ServerGone:
                gone.append(shopper)
            except BaseException as fault:
                failed.append(fault)

        threads = [threading.Thread(target=order, args=[shopper]) for shopper in shoppers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        life.kill()
        assert life.ended()
        wait_for_server(self.port, listens=False)
        if failed:
            raise failed[0]
        return len(gone)

    def _count(self, shoppers: list[Shopper]) -> None:
        tally = self.tally
        for shopper in shoppers:
            tally.of += 1
            orders = _orders([shopper])
            tally.half_done += sum(_is_half_done(order) for order in orders)
            found: Counter[str] = sum(map(_rows, orders), Counter())
            found["order"] = len(orders)
            due = {"order", "details"} if shopper.way == "transfer" else PAID | {"order"}
            tally.missed += any(found[what] == 0 for what in due)
            doubled = sum(max(0, count - 1) for count in found.values())
            tally.doubled += doubled
            tally.most_doubled = max(tally.most_doubled, doubled)
        db.session.remove()


PAID = {"payment", "right", "confirmation"}


def _orders(shoppers: list[Shopper]) -> list[Order]:
    db.session.rollback()
    addresses = [shopper.address for shopper in shoppers]
    return list(db.session.scalars(sa.select(Order).where(Order.email.in_(addresses))))


def _rows(order: Order) -> "Counter[str]":
    """How many rows of each kind an order has."""
    letters = sa.select(Delivery.id).where(Delivery.order_id == order.id)
    right = sa.select(Entitlement.id).join(OrderLine, OrderLine.id == Entitlement.order_line_id)
    terms = sa.select(Consent.id).where(Consent.order_id == order.id, Consent.kind == "terms")
    counted = {
        "line": sa.select(OrderLine.id).where(OrderLine.order_id == order.id),
        "terms": terms,
        "open try": sa.select(Checkout.id).where(
            Checkout.order_id == order.id, Checkout.status == CheckoutStatus.OPEN
        ),
        "payment": sa.select(Payment.id).where(Payment.order_id == order.id),
        "right": right.where(OrderLine.order_id == order.id),
        "confirmation": letters.where(Delivery.kind == CONFIRMATION),
        "details": letters.where(Delivery.kind == DETAILS),
        "named transfer": sa.select(Checkout.id).where(
            Checkout.order_id == order.id,
            Checkout.gateway == "manual",
            Checkout.gateway_reference.is_not(None),
        ),
    }
    return Counter({what: len(db.session.scalars(rows).all()) for what, rows in counted.items()})


def _is_half_done(order: Order) -> bool:
    found = _rows(order)
    paid = {found[what] for what in PAID}
    return (
        (found["line"], found["terms"]) != (1, 1)
        or found["open try"] > 1
        or found["details"] != found["named transfer"]
        or paid != ({1} if order.status is OrderStatus.PAID else {0})
    )


@contextmanager
def _trial(app: Flask, tally: Tally, folder: Path, without: str = "") -> Iterator[Trial]:
    port, seams = free_port(), {"without": without} if without else {}
    settings = {"database_url": tally.database_url, "base_url": f"http://127.0.0.1:{port}"}
    with ready_shop(folder, seams, trusted_proxies=1, **settings) as ready:
        yield Trial(app, ready, port, tally)


def _kill_web(app: Flask, tally: Tally, folder: Path, kills: int) -> Tally:
    with _trial(app, tally, folder) as trial:
        while tally.kills < kills:
            trial.one_kill(tally.moment(MOST_STEPS))
    return tally


@on_both_when_long
def test_orders_under_way_in_a_server_that_is_killed_are_there_once_at_the_next_try(
    app: Flask, database_url: str, tmp_path: Path, seed: int
) -> None:
    _kill_web(app, Tally("web", database_url, seed), tmp_path, kills=2).check()


@pytest.mark.long
@pytest.mark.parametrize(
    ("guard", "way"),
    [("one commit of an order", "transfer"), ("one commit of a payment", "free")],
)
def test_control_in_two_commits_what_a_server_did_is_seen_half_done(
    app: Flask, database_url: str, tmp_path: Path, seed: int, guard: str, way: str
) -> None:
    tally = Tally("web", database_url, seed)
    with _trial(app, tally, tmp_path, guard) as trial:
        for _ in range(_MOST_TRIES):
            trial.die(tally.moment(MOST_STEPS), [way])
            if tally.half_done:
                break
    assert tally.half_done > 0


@pytest.mark.long
def test_control_without_the_key_of_the_form_who_comes_back_orders_twice(
    app: Flask, database_url: str, tmp_path: Path, seed: int
) -> None:
    tally = Tally("web", database_url, seed)
    with _trial(app, tally, tmp_path, "one order for a form") as trial:
        for _ in range(_MOST_TRIES):
            trial.one_kill(tally.moment(MOST_STEPS))
            if tally.doubled:
                break
    assert tally.doubled > 0


@pytest.mark.long
@pytest.mark.timeout(1800)
@on_both
def test_web_processes_killed_at_many_moments(
    app: Flask, database_url: str, tmp_path: Path, seed: int, kills: int, note: Note
) -> None:
    tally = _kill_web(app, Tally("web", database_url, seed), tmp_path, kills)
    tally.note(note)
    tally.check()
