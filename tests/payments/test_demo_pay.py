"""The demonstration's payment page, as a buyer without JavaScript uses it."""

import pytest
from flask.testing import FlaskClient

from store.demo.pay import held_news
from store.kit.database import db
from store.orders.models import OrderStatus
from store.payments.models import EventStatus, GatewayEvent
from tests.conftest import Clock, on_both_when_long
from tests.purchases import an_order, apply_received, start
from tests.rows import order_of, rows


@pytest.fixture
def order_id(client: FlaskClient, frozen: Clock) -> int:
    """A pending order."""
    return an_order()


def _press(client: FlaskClient, reference: str, **fields: str) -> tuple[int, str]:
    answer = client.post(f"/demo/pay/{reference}", data=fields)
    return answer.status_code, answer.headers.get("Location", "")


def test_the_page_says_what_it_is_and_what_is_paid(client: FlaskClient, order_id: int) -> None:
    answer = client.get(f"/demo/pay/{start(order_id)}")

    page = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert "Demonstration: no money moves" in page
    assert order_of(order_id).reference in page
    assert [
        f'value="{value}">{label}<' in page
        for value, label in (
            ("pay", "Pay £12.50"),
            ("decline", "Decline the card"),
            ("abandon", "Leave without paying"),
        )
    ] == [True, True, True]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Robots-Tag"] == "noindex"
    assert "Set-Cookie" not in answer.headers


@on_both_when_long
def test_paying_leads_to_the_order_page(client: FlaskClient, order_id: int) -> None:
    status, where = _press(client, start(order_id), decision="pay")

    assert (status, where.startswith("/orders/")) == (303, True)
    apply_received()
    assert order_of(order_id).status is OrderStatus.PAID


@pytest.mark.parametrize("decision", ["decline", "abandon"])
def test_not_paying_leads_back_to_the_review_page(
    client: FlaskClient, order_id: int, decision: str
) -> None:
    status, where = _press(client, start(order_id), decision=decision)

    assert status == 303
    assert where.startswith("/publications/send-early-years/order?resume=")
    apply_received()
    assert order_of(order_id).status is OrderStatus.PENDING


@pytest.mark.parametrize(
    ("decision", "reason"),
    [("decline", "Your bank declined the card."), ("abandon", "You left the payment page.")],
)
@pytest.mark.parametrize("news", ["once", "late"])
def test_the_review_page_says_why_though_the_news_is_still_on_its_way(
    client: FlaskClient, order_id: int, decision: str, reason: str, news: str
) -> None:
    where = _press(client, start(order_id), decision=decision, news=news)[1]

    page = client.get(where).get_data(as_text=True)

    assert f"{reason} You have not been charged." in page
    assert "a•••@reader.example" in page
    assert "anna@reader.example" not in page


def test_the_order_page_is_right_though_the_news_is_still_on_its_way(
    client: FlaskClient, order_id: int
) -> None:
    where = _press(client, start(order_id), decision="pay", news="late")[1]

    assert "Thank you for your pre-order" in client.get(where).get_data(as_text=True)
    assert order_of(order_id).status is OrderStatus.PAID


def test_a_decision_is_made_once(client: FlaskClient, order_id: int) -> None:
    reference = start(order_id)
    first = _press(client, reference, decision="pay")
    second = _press(client, reference, decision="decline")

    assert first == second
    apply_received()
    assert order_of(order_id).status is OrderStatus.PAID
    page = client.get(f"/demo/pay/{reference}").get_data(as_text=True)
    assert "This payment is made." in page
    assert 'name="decision"' not in page


def test_held_news_waits_for_a_press(client: FlaskClient, order_id: int) -> None:
    reference = start(order_id)
    _press(client, reference, decision="pay", news="late")
    assert rows(GatewayEvent.id) == []
    assert "Deliver the held news" in client.get(f"/demo/pay/{reference}").get_data(as_text=True)

    answer = client.post(f"/demo/pay/{reference}/news")

    assert (answer.status_code, answer.headers["Location"]) == (303, f"/demo/pay/{reference}")
    assert rows(GatewayEvent.kind, GatewayEvent.status) == [("checkout.paid", EventStatus.RECEIVED)]
    assert held_news(reference) == []
    assert "Deliver the held news" not in client.get(f"/demo/pay/{reference}").get_data(
        as_text=True
    )


def test_news_out_of_order_brings_the_oldest_last(client: FlaskClient, order_id: int) -> None:
    _press(client, start(order_id), decision="pay", news="out-of-order")

    db.session.rollback()
    kinds = [kind for (kind,) in db.session.query(GatewayEvent.kind).order_by(GatewayEvent.id)]
    assert kinds == ["checkout.paid", "checkout.card_failed", "checkout.opened"]


def test_after_the_time_to_pay_nothing_can_be_paid(
    client: FlaskClient, order_id: int, frozen: Clock
) -> None:
    reference = start(order_id)
    frozen.advance(hours=23)

    status, where = _press(client, reference, decision="pay")

    assert (status, where.startswith("/publications/")) == (303, True)
    page = client.get(f"/demo/pay/{reference}").get_data(as_text=True)
    assert "The time for this payment ran out. Nothing was charged." in page


@pytest.mark.parametrize(
    "fields", [{}, {"decision": "steal"}, {"decision": "pay", "news": "never"}]
)
def test_a_form_that_is_not_ours_is_refused(
    client: FlaskClient, order_id: int, fields: dict[str, str]
) -> None:
    assert _press(client, start(order_id), **fields)[0] == 400


def test_a_form_from_another_site_is_refused(client: FlaskClient, order_id: int) -> None:
    reference = start(order_id)
    for path in (f"/demo/pay/{reference}", f"/demo/pay/{reference}/news"):
        answer = client.post(
            path, data={"decision": "pay"}, headers={"Sec-Fetch-Site": "cross-site"}
        )
        assert answer.status_code == 403
    assert order_of(order_id).status is OrderStatus.PENDING


def test_an_unknown_payment_is_a_404(client: FlaskClient, frozen: Clock) -> None:
    assert client.get("/demo/pay/demo_unknown").status_code == 404
    assert client.post("/demo/pay/demo_unknown", data={"decision": "pay"}).status_code == 404
    assert client.post("/demo/pay/demo_unknown/news").status_code == 404
