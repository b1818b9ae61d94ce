"""The key of an order form leads to its order for a day, and no further than the links to it: once
one of them has ended, or for another address, the way there comes by letter alone."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient

from store.demo.pay import Arrival, Decision, decide
from store.entitlements.addresses import correct_address, merge_customers
from store.kit.database import db, transaction
from store.orders.models import Customer, Order
from store.payments import order_forms
from tests.conftest import Clock, on_both, on_both_when_long
from tests.editions import a_shop
from tests.entitlements.presses import SURE, changed, moved, objection
from tests.letters import links_in, sent
from tests.letters import text_of as text_part
from tests.links import anna, path_to
from tests.pages import check_page
from tests.purchases import ANNA, a_paid_order, apply_received
from tests.storefront.forms import fields_of, text_of
from tests.storefront.strangers import strangers_order

pytestmark = pytest.mark.usefixtures("frozen")

PATH = "/publications/send-early-years/order"
NEW, EVIL = "anna@secretnew.example", "evil@elsewhere.example"
SENT = "This form was sent already"


def ordered(client: FlaskClient, *, is_paid: bool = True) -> dict[str, str]:
    """Anna orders, and pays; what her review page would send again."""
    form = fields_of(client.get(PATH).text, "email") | {"email": ANNA, "name": "Anna Berg"}
    review = fields_of(client.post(PATH, data=form).text, "seen_amount") | {"wants_now": "yes"}
    answer = client.post(PATH, data=review)
    if is_paid:
        decide(answer.headers["Location"].rsplit("/", 1)[1], Decision.PAY, Arrival.ONCE)
        apply_received()
        sent()
    return review


def refused(client: FlaskClient, given: dict[str, str]) -> str:
    """Send the form again; the page that leads nowhere and names nobody."""
    before = _orders()
    answer = client.post(PATH, data=given)
    assert (answer.status_code, "Location" in answer.headers) == (410, False)
    assert answer.headers["Cache-Control"] == "no-store"
    check_page(answer.text, path=PATH)
    words = text_of(answer.text)
    assert SENT in words
    secrets = (ANNA, NEW, EVIL, "•••", "/orders/", "/download/", before[0][1])
    assert [one for one in secrets if one in answer.text] == []
    assert f'href="{PATH}"' in answer.text
    assert _orders() == before
    return answer.text


def _orders() -> list[tuple[object, ...]]:
    db.session.rollback()
    orders = db.session.query(Order).order_by(Order.id)
    return [(one.id, one.reference, one.status, one.email, one.placed_at) for one in orders]


def _move(client: FlaskClient) -> None:
    moved(client, strangers_order().id, "carl@other.example")


def _hold(client: FlaskClient) -> None:
    _move(client)
    client.post(objection(strangers_order().id), data=SURE)


def _end_links(client: FlaskClient) -> None:
    client.post(f"{path_to('library', anna().id)}/end-links", data=SURE)


def _change(client: FlaskClient) -> None:
    changed(client, anna().id, NEW)


def _change_and_undo(client: FlaskClient) -> None:
    assert client.post(changed(client, anna().id, NEW), data=SURE).status_code == 200
    assert anna().email == ANNA


def _correct(client: FlaskClient) -> None:
    with transaction() as session:
        correct_address(session.get_one(Customer, anna().id), NEW, "staff")


def _merge(client: FlaskClient) -> None:
    kept = a_paid_order(a_shop(slug="other"), NEW).customer_id
    with transaction() as session:
        gone = session.get_one(Customer, anna().id)
        merge_customers(gone, session.get_one(Customer, kept), "staff")


def _merge_into_hers(client: FlaskClient) -> None:
    gone = a_paid_order(a_shop(slug="other"), NEW).customer_id
    with transaction() as session:
        kept = session.get_one(Customer, anna().id)
        merge_customers(session.get_one(Customer, gone), kept, "staff")


ENDINGS = [_move, _hold, _end_links, _change, _change_and_undo, _correct, _merge, _merge_into_hers]


@on_both_when_long
@pytest.mark.parametrize("end", ENDINGS, ids=lambda end: end.__name__.strip("_"))
@pytest.mark.parametrize("email", [ANNA, pytest.param(NEW, marks=pytest.mark.long), EVIL])
def test_a_form_sent_again_opens_no_order_whose_links_have_ended(
    client: FlaskClient, end: Callable[[FlaskClient], None], email: str
) -> None:
    a_shop()
    given = ordered(client)
    end(client)
    refused(client, given | {"email": email})


@on_both_when_long
@pytest.mark.parametrize("end", [_change, _correct])
@pytest.mark.parametrize("email", [ANNA, pytest.param(NEW, marks=pytest.mark.long), EVIL])
def test_nor_one_that_is_not_paid_whose_links_have_ended(
    client: FlaskClient, end: Callable[[FlaskClient], None], email: str
) -> None:
    a_paid_order(a_shop())
    given = ordered(client, is_paid=False)
    end(client)
    refused(client, given | {"email": email})


@on_both
def test_a_second_press_leads_to_the_order_within_a_day_and_not_after(
    client: FlaskClient, frozen: Clock
) -> None:
    a_shop()
    given = ordered(client)
    frozen.advance(hours=23, minutes=59)
    again = client.post(PATH, data=given)
    assert again.status_code == 303
    page = client.get(urlsplit(again.headers["Location"]).path).text
    assert strangers_order().reference in page
    frozen.advance(minutes=1)
    refused(client, given)


def test_pressing_every_day_does_not_hold_the_way_open(client: FlaskClient, frozen: Clock) -> None:
    a_shop()
    given = ordered(client, is_paid=False)
    for _ in range(2):
        frozen.advance(hours=11)
        assert client.post(PATH, data=given).status_code == 303
    frozen.advance(hours=2)
    refused(client, given)


@pytest.mark.parametrize("email", [EVIL, "anna@reader.example.elsewhere.example"])
def test_another_address_never_leads_to_a_paid_order(client: FlaskClient, email: str) -> None:
    a_shop()
    given = ordered(client)
    refused(client, given | {"email": email})
    spelt = given | {"email": " Anna <ANNA@Reader.example>"}
    assert client.post(PATH, data=spelt).status_code == 303


def test_the_button_mails_to_the_address_on_file(client: FlaskClient, frozen: Clock) -> None:
    a_shop()
    given = ordered(client)
    _change(client)
    frozen.advance(minutes=11)
    fields = fields_of(refused(client, given | {"email": EVIL}), "token")
    count = len(sent())
    assert client.post("/find-my-copies/renew", data=fields).status_code == 200
    (letter,) = sent()[count:]
    assert letter["To"].addresses[0].addr_spec == NEW
    assert client.get(f"/orders/{fields['token']}").status_code == 410
    assert client.get(links_in(text_part(letter))[0]).status_code == 200


def test_control_without_the_question_the_key_opens_what_has_ended(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_shop()
    given = ordered(client)
    _change(client)
    monkeypatch.setattr(order_forms, "key_opens", lambda order: True)
    monkeypatch.setattr(order_forms, "is_for", lambda order, email: True)
    assert "/orders/" in client.post(PATH, data=given).headers["Location"]
