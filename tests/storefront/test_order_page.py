"""The order's own page: its status at each moment and what may be done about it (C15, C18, C19)."""

import logging
import re
from datetime import date

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Publication
from store.catalog.publications import retire
from store.demo.pay import Arrival
from store.kit.database import db, transaction
from store.kit.limits import limiter
from store.mail.models import Delivery
from store.orders.models import Order, OrderStatus
from store.payments.gateways.base import GatewayUnreachable
from store.payments.gateways.demo import DemoGateway
from tests.conftest import Clock, on_both_when_long
from tests.editions import a_shop, put_out
from tests.letters import sent, text_of
from tests.links import anna, order_path, path_to
from tests.pages import check_page
from tests.purchases import a_paid_order, an_order, pay
from tests.rows import count_rows
from tests.statements import statements

SURE = {"sure": "yes"}
PATH = "/publications/send-early-years/order"

pytestmark = pytest.mark.usefixtures("frozen")


@pytest.fixture
def order_id(app: Flask, frozen: Clock) -> int:
    return an_order()


def paid(order_id: int, arrival: Arrival = Arrival.ONCE) -> str:
    """Pay at the demonstration's gateway; returns the path of the order's page."""
    pay(order_id, arrival)
    return order_path(order_id)


def page_of(client: FlaskClient, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    check_page(answer.text, path=path)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Robots-Tag"] == "noindex"
    return answer.text


def heading(page: str) -> str:
    found = re.search(r"<h1>([^<]+)</h1>", page)
    assert found is not None
    return found[1]


def publication() -> Publication:
    return db.session.scalars(sa.select(Publication)).one()


@on_both_when_long
def test_a_paid_pre_order_shows_everything_that_was_agreed(
    client: FlaskClient, order_id: int
) -> None:
    path = paid(order_id)
    page = page_of(client, path)
    assert heading(page) == "Thank you for your pre-order"
    order = db.session.get_one(Order, order_id)
    for words in (
        order.reference,
        "Effective SEND Practice in the Early Years",
        "£12.50, no VAT to pay",
        "a•••@reader.example",
        "By the end of March 2027",
        "Cancel this order",
        "hello@publisher.example",
        "Version 2026-2, accepted on 1 March 2027",
    ):
        assert words in page
    assert "anna@reader.example" not in page
    for door in (f"{path}/receipt", f"{path}/billing", "/cancellation-form"):
        assert f'href="{door}"' in page


def test_the_page_gives_the_copies_that_the_order_bought_for_a_letter_may_not_arrive(
    client: FlaskClient, frozen: Clock
) -> None:
    shop = a_shop()
    a_paid_order(shop)
    put_out(shop, 2)
    page = page_of(client, path_to("order", anna().id))
    assert heading(page) == "Thank you. Your copy is ready."
    order_page = path_to("order", anna().id)
    db.session.remove()
    with statements() as told:
        client.get(order_page)
    # Link and order, rights, editions, money, consents, the shop's own terms, its move, its letters,
    # the link that was asked for, and who sells.
    assert len(told) == 10
    found = re.findall(r'href="(/download/[^"]+)"', page)
    assert [each.rsplit("/", 1)[1] for each in found] == [
        "send-early-years-edition-2.pdf",
        "send-early-years-edition-2.epub",
        "send-early-years-edition-1.pdf",
        "send-early-years-edition-1.epub",
    ]
    assert [client.get(each).status_code for each in found] == [200] * 4


@on_both_when_long
def test_the_status_is_right_though_the_gateways_news_is_late(
    client: FlaskClient, order_id: int
) -> None:
    path = paid(order_id, Arrival.LATE)
    assert db.session.get_one(Order, order_id).status is OrderStatus.PENDING
    assert heading(page_of(client, path)) == "Thank you for your pre-order"
    again = count_rows()
    page_of(client, path)
    assert count_rows() == again


def test_head_asks_nobody_and_writes_nothing(client: FlaskClient, order_id: int) -> None:
    path = paid(order_id, Arrival.LATE)
    before = count_rows()
    assert client.head(path).status_code == 200
    assert count_rows() == before
    assert db.session.get_one(Order, order_id).status is OrderStatus.PENDING


def test_an_unpaid_order_says_that_nothing_was_charged_and_can_be_paid(
    client: FlaskClient, order_id: int
) -> None:
    path = order_path(order_id)
    page = page_of(client, path)
    assert heading(page) == "Your order is not paid yet"
    assert "You have not been charged." in page
    answer = client.post(f"{path}/pay")
    assert (answer.status_code, answer.data) == (303, b"")  # its address holds a token
    assert "Order and pay £12.50" in page_of(client, answer.headers["Location"])
    with transaction() as session:
        retire(session.query(Publication).one(), "Olga")
    assert client.get(answer.headers["Location"]).status_code == 410


def test_a_gateway_that_does_not_answer_is_no_fault_of_the_page(
    client: FlaskClient, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = paid(order_id, Arrival.LATE)

    def silent(*_: object) -> None:
        raise GatewayUnreachable

    monkeypatch.setattr(DemoGateway, "fetch", silent)
    page = page_of(client, path)
    assert heading(page) == "We are asking whether you have paid"
    assert "you need not pay again" in " ".join(page.split())
    assert "You have not been charged" not in page


@pytest.mark.parametrize("is_limited", [True, False], ids=["limited", "control"])
def test_however_often_a_page_is_loaded_the_gateway_is_asked_so_often_alone(
    client: FlaskClient, order_id: int, monkeypatch: pytest.MonkeyPatch, is_limited: bool
) -> None:
    """It answers so many questions a second for all buyers of the shop."""
    monkeypatch.setattr(limiter, "enabled", is_limited)
    path, asked = paid(order_id, Arrival.LATE), []

    def silent(*_: object) -> None:
        asked.append(order_id)
        raise GatewayUnreachable

    monkeypatch.setattr(DemoGateway, "fetch", silent)
    for where in (path, f"{path}/cancel") * 12:
        page_of(client, where)
    assert len(asked) == (20 if is_limited else 24)
    assert heading(page_of(client, path)) == "We are asking whether you have paid"


def test_an_unpaid_order_is_given_up_on_a_page_of_its_own(
    client: FlaskClient, order_id: int
) -> None:
    path = order_path(order_id)
    assert "Give up this order" in page_of(client, f"{path}/cancel")
    assert client.post(f"{path}/cancel", data=SURE).status_code == 303
    page = page_of(client, path)
    assert heading(page) == "This order is closed"
    assert "You gave it up before it was paid. You have not been charged." in " ".join(page.split())


@on_both_when_long
def test_a_pre_order_is_cancelled_and_refunded_by_one_press(
    client: FlaskClient, order_id: int
) -> None:
    path = paid(order_id)
    asking = page_of(client, f"{path}/cancel")
    assert "You get all of your £12.50 back" in asking
    assert "5 to 10 working days" in asking
    for _ in range(2):
        answer = client.post(f"{path}/cancel", data=SURE)
        assert answer.status_code == 303
    page = page_of(client, path)
    assert heading(page) == "This order is cancelled and refunded"
    assert "We have paid £12.50 back" in page
    assert f'href="{PATH}"' in page
    assert "5 to 10 working days" in page
    kinds = db.session.scalars(
        sa.select(Delivery.kind).where(Delivery.kind == "order_refunded")
    ).all()
    assert kinds == ["order_refunded"]


def test_asking_to_cancel_changes_nothing(client: FlaskClient, order_id: int) -> None:
    path = paid(order_id)
    before = count_rows()
    page_of(client, f"{path}/cancel")
    client.head(f"{path}/cancel")
    assert count_rows() == before


def test_a_released_order_with_consent_cannot_be_cancelled_here(client: FlaskClient) -> None:
    a_paid_order(a_shop())
    path = path_to("order", anna().id)
    assert "Cancel this order" not in page_of(client, path)
    for answer in (client.get(f"{path}/cancel"), client.post(f"{path}/cancel", data=SURE)):
        assert answer.status_code == 409
        check_page(answer.text, path=path)


def without_waiver(order_id: int) -> str:
    """A pre-order that was released while the right to cancel runs."""
    path = paid(order_id)
    put_out(publication(), 1)
    return path


@pytest.mark.parametrize(
    ("expected_on", "said"),
    [
        (
            date(2027, 3, 31),
            (
                "You can cancel until it is published. Your 14 days run until the end of 15 March 2027,"
                " and you can cancel after that too."
            ),
        ),
        (
            date(2027, 3, 8),
            (
                "You can cancel until it is published, and until the end of 15 March 2027 in any case:"
                " your 14 days run until then."
            ),
        ),
        (
            None,
            (
                "You can cancel until it is published, and until the end of 15 March 2027 in any case:"
                " your 14 days run until then."
            ),
        ),
    ],
)
def test_a_pre_order_within_the_14_days_says_so_and_in_any_case_only_where_they_are_longer(
    client: FlaskClient, order_id: int, frozen: Clock, expected_on: date | None, said: str
) -> None:
    path = paid(order_id)
    with transaction():
        publication().expected_on = expected_on
    assert said in page_of(client, path)
    frozen.advance(days=15)
    page = page_of(client, path)
    assert "You can cancel until it is published." in page
    assert "14 days run" not in page


@on_both_when_long
def test_within_the_14_days_a_copy_that_was_not_handed_over_is_cancelled(
    client: FlaskClient, order_id: int
) -> None:
    path = without_waiver(order_id)
    page = page_of(client, path)
    assert "You can cancel until the end of 15 March 2027" in page
    assert client.post(f"{path}/cancel", data=SURE).status_code == 303
    assert heading(page_of(client, path)) == "This order is cancelled and refunded"
    assert client.post(f"{path}/cancel", data=SURE).status_code == 303
    assert client.post(f"{path}/consent", data={"wants_now": "yes"}).status_code == 409


@on_both_when_long
def test_who_does_not_want_to_wait_consents_later(client: FlaskClient, order_id: int) -> None:
    path = without_waiver(order_id)
    page = page_of(client, path)
    assert "16 March 2027" in page
    assert f'href="{path}/consent"' in page
    unticked = client.post(f"{path}/consent", data={})
    assert unticked.status_code == 422
    check_page(unticked.text, path=path)
    asking = page_of(client, f"{path}/consent")
    assert "I understand that I then lose my 14-day right to cancel." in asking
    assert "checked" not in asking
    assert client.post(f"{path}/consent", data={"wants_now": "yes"}).status_code == 303
    page = page_of(client, path)
    assert "Download PDF" in page
    assert "Cancel this order" not in page
    assert "Your right to cancel ended when your copy was ready" in page
    # The law wants the consent confirmed in a letter.
    confirmed = " ".join(text_of(sent()[-1]).split())
    assert "On 1 March 2027, 10:00 GMT, you agreed to these words: “Send me" in confirmed
    assert "Your copy of edition 1 is ready." in confirmed


@pytest.mark.parametrize("action", ["pay", "cancel", "consent", "billing"])
def test_another_sites_form_is_refused(client: FlaskClient, order_id: int, action: str) -> None:
    path = paid(order_id)
    before = count_rows()
    answer = client.post(
        f"{path}/{action}",
        data={"wants_now": "yes", "notices": "stop", "email": "x@reader.example"},
        headers={"Origin": "https://elsewhere.example"},
    )
    assert answer.status_code == 403
    before["rate_counts"] = count_rows()["rate_counts"]
    assert count_rows() == before


def test_an_order_that_ran_out_says_so(client: FlaskClient, order_id: int) -> None:
    path = order_path(order_id)
    with transaction() as session:
        session.get_one(Order, order_id).status = OrderStatus.EXPIRED
    page = page_of(client, path)
    assert "It was not paid in time." in page
    assert f'href="{PATH}"' in page


def test_tokens_and_addresses_stand_in_no_log(
    client: FlaskClient, order_id: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = paid(order_id)
    library = path_to("library", anna().id)
    for each in (path, library, f"{library}x", "/library/nonsense", f"{path}/cancel"):
        client.get(each)
    client.post(f"{library}/address", data={"email": "new@reader.example"})
    client.post("/find-my-copies", data={"who": "anna@reader.example"})
    client.post(f"{path}/cancel", data=SURE)
    sent()
    text = caplog.text
    tokens = (path.split("/")[2], library.split("/")[2])
    assert [word for word in (*tokens, "reader.example") if word in text] == []
