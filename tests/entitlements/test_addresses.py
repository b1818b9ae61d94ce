"""Change of address: behind the library link, proved by mail to the new one, told to the old one,
which may undo it; old links die (B10)."""

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from store.entitlements.addresses import AddressTaken, correct_address
from store.entitlements.fresh_links import SameAddress
from store.kit.database import db, transaction
from store.kit.limits import limiter
from store.kit.status import StatusChange
from store.mail.models import Delivery, DeliveryStatus
from store.orders.customers import customer_by_address
from store.orders.models import Customer, Order
from tests.conftest import Clock, on_both
from tests.editions import a_shop
from tests.entitlements.presses import SURE, address_of, asked_to_change, changed
from tests.factories import a_customer
from tests.letters import links_in, sent, text_of
from tests.links import anna, path_to
from tests.pages import check_page
from tests.purchases import ANNA, a_paid_order, annas_order
from tests.rows import count_rows

pytestmark = pytest.mark.usefixtures("frozen")

NEW = "Anna.New+send@Reader.Example"


@pytest.fixture
def library_path(client: FlaskClient, frozen: Clock) -> str:
    annas_order()
    return path_to("library", anna().id)


@on_both
def test_the_new_address_is_proved_and_the_old_links_die(
    client: FlaskClient, library_path: str
) -> None:
    customer_id = anna().id
    mailed = [path_to(purpose, customer_id) for purpose in ("library", "order", "stop")]
    path = asked_to_change(client, library_path, NEW)
    before = count_rows()
    page = client.get(path)
    assert client.head(path).status_code == page.status_code == 200
    check_page(page.text, path="/address/…")
    unticked = client.post(path)
    assert unticked.status_code == 422
    check_page(unticked.text, path="/address/…")
    assert count_rows() == before
    assert address_of(customer_id) == ANNA
    done = client.post(path, data=SURE)
    assert done.status_code == 200
    check_page(done.text, path="/address/…")
    db.session.rollback()
    customer = db.session.get_one(Customer, customer_id)
    assert (customer.email, customer.email_key) == (NEW, NEW.lower())
    for old in mailed:
        answer = client.get(old)
        assert answer.status_code == 410
        check_page(answer.text, path=old)
        # A stranger may have placed the order, and is told nothing of the customer.
        is_mailed_only = not old.startswith("/orders/")
        assert ("The e-mail address was changed" in answer.text) is is_mailed_only
        assert "Mail me a fresh link" in answer.text
    told, fresh = sorted(sent()[-2:], key=lambda letter: letter["Subject"], reverse=True)
    assert told["Subject"] == "Your e-mail address was changed"
    assert told["To"].addresses[0].addr_spec == ANNA
    assert "A•••@Reader.Example" in text_of(told)
    assert [link.split("/")[1] for link in links_in(text_of(told))] == ["undo"]
    assert fresh["Subject"] == "Here are your copies and orders"
    assert fresh["To"].addresses[0].addr_spec == NEW
    assert [client.get(link).status_code for link in links_in(text_of(fresh))] == [200, 200]


@on_both
def test_the_button_of_an_ended_link_mails_to_the_surviving_address(
    client: FlaskClient, frozen: Clock, library_path: str
) -> None:
    changed(client, anna().id, NEW)
    frozen.advance(minutes=11)
    token = library_path.removeprefix("/library/")
    assert client.post("/find-my-copies/renew", data={"token": token}).status_code == 200
    letter = sent()[-1]
    assert (letter["Subject"], letter["To"].addresses[0].addr_spec) == (
        "Here are your copies and orders",
        NEW,
    )


def test_an_order_link_changes_no_address(client: FlaskClient, library_path: str) -> None:
    order = path_to("order", anna().id)
    before = count_rows()
    assert client.get(f"{order}/address").status_code == 404
    assert client.post(f"{order}/address", data={"email": NEW}).status_code == 404
    token = order.removeprefix("/orders/")
    for path in (f"/library/{token}/address", f"/library/{token}/end-links", f"/undo/{token}"):
        assert client.get(path).status_code == 404
        assert client.post(path, data={"email": NEW} | SURE).status_code == 404
    assert count_rows() | {"rate_counts": 0} == before


def test_nothing_changes_until_the_button_is_pressed(
    client: FlaskClient, library_path: str
) -> None:
    asked_to_change(client, library_path, NEW)
    db.session.rollback()
    assert anna().email == ANNA
    assert client.get(library_path).status_code == 200


def test_only_the_newest_link_counts_and_only_for_a_day(
    client: FlaskClient, library_path: str, frozen: Clock
) -> None:
    first = asked_to_change(client, library_path, NEW)
    second = asked_to_change(client, library_path, "other@reader.example")
    answer = client.post(first, data=SURE)
    assert answer.status_code == 410
    check_page(answer.text, path="/address/…")
    assert "only the newest one counts" in answer.text
    frozen.advance(hours=24, seconds=1)
    assert client.post(second, data=SURE).status_code == 410
    assert customer_by_address("other@reader.example") is None


def test_a_second_press_says_that_it_is_done(client: FlaskClient, library_path: str) -> None:
    path = asked_to_change(client, library_path, NEW)
    client.post(path, data=SURE)
    for again in (client.post(path, data=SURE), client.get(path)):
        assert again.status_code == 200
        check_page(again.text, path="/address/…")
        assert "This address is confirmed already" in again.text
    assert len(sent()) == 4


@on_both
def test_an_address_of_another_customer_is_refused_and_leads_to_a_person(
    client: FlaskClient, library_path: str
) -> None:
    a_paid_order(a_shop(slug="other"), NEW.lower())
    path = asked_to_change(client, library_path, NEW)
    answer = client.post(path, data=SURE)
    assert answer.status_code == 409
    check_page(answer.text, path="/address/…")
    assert "Write to us" in answer.text
    db.session.rollback()
    assert anna().email == ANNA
    assert client.get(library_path).status_code == 200


def test_asking_tells_nobody_who_else_is_known(client: FlaskClient, library_path: str) -> None:
    with transaction():
        a_customer("known@reader.example")
    pages = [
        client.post(f"{library_path}/address", data={"email": each})
        for each in ("known@reader.example", "fresh@reader.example")
    ]
    assert [page.status_code for page in pages] == [200, 200]
    assert pages[0].text.replace("known", "fresh") == pages[1].text


@pytest.mark.parametrize("is_limited", [True, False], ids=["limited", "control"])
def test_a_mailbox_is_not_flooded_with_letters_that_somebody_else_asks_for(
    client: FlaskClient,
    library_path: str,
    frozen: Clock,
    monkeypatch: pytest.MonkeyPatch,
    is_limited: bool,
) -> None:
    monkeypatch.setattr(limiter, "enabled", is_limited)
    asks = [
        client.post(f"{library_path}/address", data={"email": spelled})
        for spelled in ["victim@reader.example", "VICTIM@reader.example"] * 4
    ]
    found = [answer.status_code for answer in asks]
    assert found == ([200] * 5 + [429] * 3 if is_limited else [200] * 8)
    check_page(asks[-1].text, path=library_path)
    said = "Too many letters went to this address today. Wait 24 hours, then try again."
    assert (said in asks[-1].text) == is_limited
    assert "from here" not in asks[-1].text
    assert ('value="VICTIM@reader.example"' in asks[-1].text) == is_limited


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [("", "Enter your e-mail address."), (ANNA, "That is the address we have already.")],
)
def test_what_cannot_be_an_address_is_said_beside_the_field(
    client: FlaskClient, library_path: str, typed: str, sentence: str
) -> None:
    answer = client.post(f"{library_path}/address", data={"email": typed})
    assert answer.status_code == 422
    check_page(answer.text, path=library_path)
    assert sentence in answer.text


def test_only_the_capitals_may_change(client: FlaskClient, library_path: str) -> None:
    client.post(asked_to_change(client, library_path, "ANNA@reader.example"), data=SURE)
    db.session.rollback()
    assert anna().email == "ANNA@reader.example"


@on_both
def test_staff_correct_an_address_without_proof_and_what_failed_goes_again(
    client: FlaskClient, library_path: str
) -> None:
    with transaction() as session:
        delivery = session.scalars(sa.select(Delivery)).one()
        delivery.status = DeliveryStatus.FAILED
    with transaction():
        customer_id = correct_address(anna(), NEW, "staff@publisher.example").id
    letters = {
        (m["Subject"].split(":")[0].split(" ")[1], m["To"].addresses[0].addr_spec)
        for m in sent()[1:]
    }
    assert letters == {("e-mail", ANNA), ("are", NEW), ("order", NEW)}
    assert client.get(library_path).status_code == 410
    change = db.session.scalars(
        sa.select(StatusChange).where(StatusChange.entity == "customers")
    ).one()
    assert (change.entity_id, change.who) == (customer_id, "staff@publisher.example")
    with pytest.raises(SameAddress), transaction():
        correct_address(db.session.get_one(Customer, customer_id), NEW, "staff@publisher.example")


@on_both
def test_the_old_address_undoes_what_staff_corrected(
    client: FlaskClient, library_path: str
) -> None:
    with transaction():
        customer_id = correct_address(anna(), NEW, "staff@publisher.example").id
    told = next(one for one in sent() if one["Subject"] == "Your e-mail address was changed")
    assert client.post(links_in(text_of(told))[0], data=SURE).status_code == 200
    assert address_of(customer_id) == ANNA


def test_staff_cannot_bring_two_customers_together_by_the_way(library_path: str) -> None:
    a_paid_order(a_shop(slug="other"), "other@reader.example")
    with pytest.raises(AddressTaken), transaction():
        correct_address(anna(), "OTHER@reader.example", "staff@publisher.example")
    assert anna().email == ANNA


def test_orders_keep_the_address_that_they_were_placed_with(
    client: FlaskClient, library_path: str
) -> None:
    client.post(asked_to_change(client, library_path, NEW), data=SURE)
    db.session.rollback()
    assert db.session.scalar(sa.select(Order.email)) == ANNA
