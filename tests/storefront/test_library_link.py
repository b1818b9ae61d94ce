"""One press on a paid order's page, and on a dead link's, mails the library link to the address on
file, and the page says truthfully what became of it."""

import re

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from store.entitlements.granting import settle_access
from store.kit import clock
from store.kit.database import db, transaction
from store.mail.models import Delivery, DeliveryStatus
from store.orders.models import Order
from tests.conftest import Clock, on_both_when_long
from tests.editions import a_shop
from tests.letters import sent, text_of
from tests.links import anna, order_path, path_to
from tests.pages import check_page
from tests.purchases import ANNA, a_paid_order, an_order
from tests.storefront.strangers import annas_shop, pays

pytestmark = pytest.mark.usefixtures("frozen")
MASKED = "a•••@reader.example"


@pytest.fixture
def path(client: FlaskClient, frozen: Clock) -> str:
    """The page of Anna's paid order, at 14:03 in the shop's zone; the confirmation has left."""
    order_id = a_paid_order(a_shop()).id
    sent()
    frozen.advance(hours=4, minutes=3, seconds=20)
    return order_path(order_id)


def press(client: FlaskClient, path: str) -> TestResponse:
    return client.post(f"{path}/library-link", headers={"Sec-Fetch-Site": "same-origin"})


def told(client: FlaskClient, path: str) -> str:
    """What the page says of the letter; empty where it says nothing."""
    page = client.get(path).text
    check_page(page, path=path)
    found = re.search(r'id="library-link".*?<div class="note[^>]*>\s*<p>(.*?)</p>', page, re.DOTALL)
    return found[1].strip() if found else ""


def may_ask(client: FlaskClient, path: str) -> bool:
    return "/library-link" in client.get(path).text


def links_letters() -> list[str]:
    return [one["To"] for one in sent() if one["Subject"] == "Here are your copies and orders"]


@on_both_when_long
def test_the_press_mails_the_library_link_and_the_page_says_when(
    client: FlaskClient, path: str, frozen: Clock
) -> None:
    assert (told(client, path), may_ask(client, path)) == ("", True)
    answer = press(client, path)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{path}#library-link")
    again = "Look there, or ask again after 14:13."
    on_its_way = f"Asked for at 14:03. The letter to {MASKED} is on its way. {again}"
    assert (told(client, path), may_ask(client, path)) == (on_its_way, False)
    frozen.advance(minutes=1)
    assert links_letters() == [f"Anna Berg <{ANNA}>"]
    assert "/library/" in text_of(sent()[-1])
    gone = f"Asked for at 14:03. The letter has gone to {MASKED}."
    assert told(client, path) == f"{gone} {again}"
    frozen.advance(minutes=9)
    assert (told(client, path), may_ask(client, path)) == (gone, True)


def test_ten_presses_and_a_reload_make_one_letter(
    client: FlaskClient, path: str, frozen: Clock
) -> None:
    for _ in range(10):
        press(client, path)
        sent()
        frozen.advance(seconds=50)
    assert len(links_letters()) == 1
    frozen.advance(seconds=80)
    press(client, path)
    assert len(links_letters()) == 2


def set_delivery(status: DeliveryStatus, reason: str = "", **values: object) -> None:
    with transaction() as session:
        session.execute(
            sa.update(Delivery)
            .where(Delivery.kind == "find_my_copies")
            .values(status=status, reason=reason, **values)
        )


@pytest.mark.parametrize(
    ("status", "reason", "sentence"),
    [
        (
            DeliveryStatus.FAILED,
            "550 5.1.1 <Anna@Reader.Example> no mailbox here for anna",
            f"We could not deliver it to {MASKED}: 550 5.1.1 {MASKED} no mailbox here for a•••",
        ),
        (
            DeliveryStatus.HELD,
            "could not be written: KeyError",
            f"We could not deliver it to {MASKED} yet: a person here looks at it.",
        ),
    ],
)
def test_a_letter_that_did_not_go_is_called_so_without_the_address(
    client: FlaskClient, path: str, status: DeliveryStatus, reason: str, sentence: str
) -> None:
    press(client, path)
    set_delivery(status, reason)
    assert told(client, path) == f"Asked for at 14:03. {sentence}"
    assert ANNA.casefold() not in client.get(path).text.casefold()


def test_a_letter_that_the_server_has_put_off_says_when_it_is_tried_again(
    client: FlaskClient, path: str
) -> None:
    press(client, path)
    later = clock.now().replace(minute=8)
    set_delivery(DeliveryStatus.QUEUED, due_at=later, tries=1)
    assert told(client, path) == (
        f"Asked for at 14:03. We could not deliver it to {MASKED} yet, and try again at 14:08. "
        "Look there, or ask again after 14:13."
    )


@pytest.mark.parametrize("asked_elsewhere", [True, False])
def test_a_letter_from_another_door_is_not_told_of_on_the_order_page(
    client: FlaskClient, path: str, frozen: Clock, asked_elsewhere: bool
) -> None:
    """A stranger may have placed the order: the page is the same whatever the customer did."""
    if asked_elsewhere:
        client.post("/find-my-copies", data={"who": ANNA})
        assert len(links_letters()) == 1
    frozen.advance(minutes=5)
    press(client, path)
    assert len(links_letters()) == 1
    gone = f"Asked for at 14:08. The letter has gone to {MASKED}."
    assert told(client, path) == f"{gone} Look there, or ask again after 14:18."
    frozen.advance(minutes=30)
    assert told(client, path) == gone


def test_a_press_at_one_door_is_not_told_of_at_another(client: FlaskClient, path: str) -> None:
    press(client, path)
    assert "Asked for at 14:03." in client.post("/find-my-copies", data={"who": ANNA}).text


def test_days_later_the_page_says_nothing_of_it(
    client: FlaskClient, path: str, frozen: Clock
) -> None:
    press(client, path)
    sent()
    frozen.advance(hours=23)
    when = "on 1 March 2027, 14:03 GMT"
    assert told(client, path) == f"Asked for {when}. The letter has gone to {MASKED}."
    frozen.advance(hours=2)
    assert told(client, path) == ""


@on_both_when_long
def test_it_belongs_to_customer_and_order_and_says_that_it_was_the_page(
    client: FlaskClient, path: str
) -> None:
    press(client, path)
    found = db.session.scalars(sa.select(Delivery).filter_by(kind="find_my_copies")).one()
    order = db.session.scalars(sa.select(Order)).one()
    assert (found.customer_id, found.order_id) == (anna().id, order.id)
    assert found.facts == {"asked_by": "the customer, from the order page"}


def test_an_order_that_is_not_paid_offers_no_library(client: FlaskClient, frozen: Clock) -> None:
    path = order_path(an_order())
    assert not may_ask(client, path)
    assert press(client, path).status_code == 409
    assert links_letters() == []


@pytest.mark.parametrize(
    ("settled", "offers"),
    [({"is_suspended": True}, True), ({"is_lost": True}, False), ({"is_refunded": True}, False)],
)
def test_a_disputed_order_still_leads_to_what_else_was_bought_and_a_closed_one_does_not(
    client: FlaskClient, path: str, settled: dict[str, bool], offers: bool
) -> None:
    with transaction() as session:
        settle_access(session.scalars(sa.select(Order)).one(), **settled)
    assert may_ask(client, path) == offers


def test_a_stranger_who_bought_in_annas_name_can_only_have_anna_mailed(
    client: FlaskClient, frozen: Clock
) -> None:
    annas_shop()
    sent()
    path = pays(client)
    answer = press(client, path)
    assert "library" not in answer.text.replace("library-link", "")
    assert links_letters() == [f"Anna Berg <{ANNA}>"]
    assert "/library/" not in client.get(path).text.replace("/library-link", "")


def renew(client: FlaskClient, path: str) -> str:
    token = path.rsplit("/", 1)[1]
    answer = client.post("/find-my-copies/renew", data={"token": token})
    assert answer.status_code == 200
    check_page(answer.text, path="/find-my-copies/renew")
    return " ".join(answer.text.split())


@pytest.mark.parametrize("purpose", ["library", "order", "stop"])
def test_a_dead_links_button_mails_once_and_says_when(
    client: FlaskClient, path: str, frozen: Clock, purpose: str
) -> None:
    dead = path if purpose == "order" else path_to(purpose, anna().id)
    for _ in range(3):
        page = renew(client, dead)
        sent()
    assert "You asked at 14:03 already." in page
    assert "Look there, or ask again after 14:13." in page
    assert links_letters() == [f"Anna Berg <{ANNA}>"]
    frozen.advance(minutes=10)
    assert "Asked for at 14:13." in renew(client, dead)
    assert len(links_letters()) == 2
