"""An order link proves who placed one order and nothing else: it opens that order, and only that."""

import re

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Publication
from store.demo.pay import Arrival, Decision, decide
from store.entitlements.links import order_link, token_of
from store.entitlements.models import Download
from store.kit import tokens
from store.kit.database import db, transaction
from store.kit.space import unrecorded_downloads
from store.orders.customers import find_or_add_customer
from store.orders.models import Customer
from tests.conftest import Clock, on_both_when_long
from tests.editions import drafted_and_released, put_out
from tests.letters import sent
from tests.letters import text_of as words_of
from tests.links import anna, link_to
from tests.purchases import ANNA, apply_received, give_imported
from tests.rows import count_rows
from tests.storefront.forms import fields_of, text_of
from tests.storefront.strangers import (
    CHEAP,
    SECRETS,
    annas_shop,
    pays,
    places,
    reachable,
    strangers_order,
    strangers_path,
)

pytestmark = pytest.mark.usefixtures("frozen")


@pytest.fixture
def annas(app: Flask, frozen: Clock) -> str:
    """The reference of what Anna bought; the shop sells another title for £3."""
    return annas_shop()


def told(pages: dict[str, str], reference: str) -> list[tuple[str, str]]:
    """Page and secret, for everything of Anna's that stands on a page."""
    return [
        (path, secret)
        for path, text in pages.items()
        for secret in (*SECRETS, reference)
        if secret in text
    ]


@on_both_when_long
def test_an_order_by_transfer_in_annas_name_tells_nothing_of_her(
    client: FlaskClient, annas: str
) -> None:
    places(client, pay_by="transfer")
    path = strangers_path()
    pages = reachable(client, path)
    assert "Reference to quote" in pages[path]
    assert "Check your order" in "".join(pages.values())
    assert told(pages, annas) == []


@pytest.mark.parametrize("decision", [Decision.DECLINE, Decision.ABANDON])
def test_the_way_back_from_the_payment_page_tells_nothing_of_her(
    client: FlaskClient, annas: str, decision: Decision
) -> None:
    decide(places(client).rsplit("/", 1)[1], decision, Arrival.ONCE)
    token = strangers_path().rsplit("/", 1)[1]
    for start in (f"/publications/cheap/order?resume={token}", f"/orders/{token}"):
        pages = reachable(client, start)
        assert "Check your order" in "".join(pages.values())
        assert told(pages, annas) == []


@on_both_when_long
def test_buying_the_cheap_title_in_annas_name_shows_the_cheap_title(
    client: FlaskClient, annas: str
) -> None:
    path = pays(client)
    pages = reachable(client, path)
    assert told(pages, annas) == []
    assert f"{CHEAP}, edition 1</p>" in pages[path]
    assert sorted(one.rsplit("/", 1)[1] for one in pages if one.startswith("/download/")) == [
        "cheap-edition-1.epub",
        "cheap-edition-1.pdf",
    ]


@pytest.mark.parametrize("door", ["address", "notices", "news"])
def test_the_doors_to_the_customer_are_gone(client: FlaskClient, annas: str, door: str) -> None:
    path = pays(client)
    before = count_rows()
    token = path.rsplit("/", 1)[1]
    given = {"email": "sam@stranger.example", "notices": "stop"}
    answers = [
        client.get(f"{path}/{door}"),
        client.post(f"{path}/{door}", data=given),
        client.get(f"/library/{token}"),
        client.get(f"/library/{token}/address"),
        client.post(f"/library/{token}/address", data=given),
        client.post(f"/stop/{token}", data=given),
        client.post(f"/address/{token}", data=given),
    ]
    assert {answer.status_code for answer in answers} <= {404, 405}
    assert [answer.text for answer in answers if ANNA in answer.text] == []
    assert count_rows() | {"rate_counts": 0} == before | {"rate_counts": 0}


def downloads_of(client: FlaskClient, path: str) -> list[str]:
    return sorted(one for one in reachable(client, path) if one.startswith("/download/"))


@on_both_when_long
def test_a_download_asks_the_orders_own_right(client: FlaskClient, annas: str) -> None:
    path = pays(client)
    mine = downloads_of(client, path)
    token = mine[0].split("/")[2]
    assert [client.get(one).status_code for one in mine] == [200, 200]
    for other in ("send-early-years-2-pdf", "send-early-years-1-pdf", "send-early-years-9-pdf"):
        answers = [
            client.get(f"/download/{token}/{other}/cheap-edition-1.pdf"),
            client.get(f"/download/{token}/{other}"),
            client.get(f"/download/{token}/{other.replace('-pdf', '.pdf')}"),
        ]
        assert [answer.status_code for answer in answers] == [404] * 3
        assert len({answer.text for answer in answers}) == 1
    rows = db.session.scalars(sa.select(Download)).all()
    assert {row.order_id for row in rows} == {strangers_order().id}


def test_a_download_behind_the_library_link_is_noted_as_one(
    client: FlaskClient, annas: str
) -> None:
    page = client.get(f"/library/{token_of(link_to('library', anna().id))}")
    assert page.status_code == 200, page.text
    path = re.findall(r'href="(/download/[^"]+)"', page.text)[0]
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    db.session.rollback()
    # A disk that takes nothing lets the file go without its note, and counts that.
    assert unrecorded_downloads() == 0
    assert db.session.scalars(sa.select(Download.order_id)).all() == [None]


@on_both_when_long
def test_the_right_of_one_order_opens_nothing_for_another_of_the_same_title(
    client: FlaskClient, annas: str, frozen: Clock
) -> None:
    """An older order gives edition 1, a newer one begins with edition 2."""
    pays(client)
    shop = strangers_order().lines[0].publication
    old = strangers_path()
    frozen.advance(days=2)
    put_out(shop, 2)
    frozen.advance(days=1)
    new = pays(client)
    named = [[one.rsplit("/", 1)[1] for one in downloads_of(client, path)] for path in (old, new)]
    assert named[1] == ["cheap-edition-2.epub", "cheap-edition-2.pdf"]
    assert len(named[0]) == 4
    of_new = downloads_of(client, new)[0].split("/")[2]
    assert client.get(f"/download/{of_new}/cheap-1-pdf/a.pdf").status_code == 410


def test_head_and_what_a_browser_has_already_count_nothing(client: FlaskClient, annas: str) -> None:
    path = downloads_of(client, pays(client))[1]
    tag = client.head(path).headers["ETag"]
    with transaction() as session:
        session.execute(sa.delete(Download))
    before = count_rows()
    head = client.head(path)
    assert (head.status_code, head.data) == (200, b"")
    kept = client.get(path, headers={"If-None-Match": tag})
    assert (kept.status_code, kept.data, kept.headers["ETag"]) == (304, b"", tag)
    assert count_rows() == before
    part = client.get(path, headers={"Range": "bytes=0-1", "If-Range": tag})
    assert (part.status_code, len(part.data)) == (206, 2)
    assert client.get(path, headers={"If-Range": '"old"', "Range": "bytes=0-1"}).status_code == 200


def test_a_token_of_one_kind_is_none_of_another(client: FlaskClient, annas: str) -> None:
    path = downloads_of(client, pays(client))[0]
    _, _, download, asset, name = path.split("/")
    order = strangers_path().rsplit("/", 1)[1]
    library = token_of(link_to("library", anna().id))
    reference = tokens.read(order, "order", 9)
    as_library = tokens.sign(reference, "download")
    statuses = {
        where: client.get(where).status_code
        for where in (
            f"/download/{order}/{asset}/{name}",
            f"/download/{library}/{asset}/{name}",
            f"/download/{as_library}/{asset}/{name}",
            f"/orders/{download}",
            f"/library/{download}",
        )
    }
    assert list(statuses.values()) == [410, 410, 410, 410, 404]


def test_a_day_later_the_page_gives_fresh_downloads(
    client: FlaskClient, annas: str, frozen: Clock
) -> None:
    path = pays(client)
    old = downloads_of(client, path)
    frozen.advance(days=1, seconds=1)
    answer = client.get(old[0])
    assert (answer.status_code, "Mail me a fresh link" in answer.text) == (410, True)
    assert [client.get(one).status_code for one in downloads_of(client, path)] == [200, 200]


@on_both_when_long
def test_a_link_whose_customer_is_no_longer_its_orders_opens_nothing(
    client: FlaskClient, annas: str
) -> None:
    path = pays(client)
    files = downloads_of(client, path)
    with transaction() as session:
        order = strangers_order()
        other = find_or_add_customer("olive@reader.example")
        order.customer_id = other.id
        session.flush()
    before = count_rows()
    doors = [path, *(f"{path}/{one}" for one in ("cancel", "consent", "receipt", "billing"))]
    for door in [*doors, *files, f"/publications/cheap/order?resume={path.rsplit('/', 1)[1]}"]:
        answer = client.get(door)
        assert (answer.status_code, "Mail me a fresh link" in answer.text) == (410, True), door
        assert "olive@" not in answer.text
    for door in ("cancel", "consent", "billing", "pay"):
        given = {"wants_now": "yes", "sure": "yes", "organisation": "Elm"}
        assert client.post(f"{path}/{door}", data=given).status_code == 410
    assert count_rows() | {"rate_counts": 0} == before | {"rate_counts": 0}
    with transaction():
        fresh = token_of(order_link(strangers_order().id, strangers_order().customer_id))
    assert client.get(f"/orders/{fresh}").status_code == 200


def test_an_order_is_taken_up_again_without_a_word_of_what_was_typed(
    client: FlaskClient, annas: str
) -> None:
    typed = {"organisation": "Elm Nursery", "purchase_order_number": "PO-7"}
    places(client, **typed)
    token = strangers_path().rsplit("/", 1)[1]
    review = client.get(f"/publications/cheap/order?resume={token}").text
    change = client.post(
        "/publications/cheap/order", data=fields_of(review, "step") | {"step": "change"}
    ).text
    for page in (review, change):
        assert [word for word in (ANNA, "Sam Stranger", "Elm", "PO-7") if word in page] == []
        assert "a•••@reader.example" in text_of(page)
    given = fields_of(change, "email") | {"purchase_order_number": "PO-8"}
    again = client.post("/publications/cheap/order", data=given).text
    assert "PO-8" in text_of(again)
    assert ANNA not in again
    answer = client.post("/publications/cheap/order", data=fields_of(again, "seen_amount"))
    assert answer.status_code == 303
    order = strangers_order()
    kept = (order.email, order.name, order.organisation, order.purchase_order_number)
    assert kept == (ANNA, "Sam Stranger", "Elm Nursery", "PO-8")


def test_an_order_is_taken_up_again_for_another_address(client: FlaskClient, annas: str) -> None:
    places(client)
    token = strangers_path().rsplit("/", 1)[1]
    review = client.get(f"/publications/cheap/order?resume={token}").text
    given = fields_of(review, "step") | {"step": "details", "email": "sam@stranger.example"}
    again = client.post("/publications/cheap/order", data=given).text
    assert "E-mail sam@stranger.example Change" in text_of(again)
    client.post("/publications/cheap/order", data=fields_of(again, "seen_amount"))
    assert strangers_order().email == "sam@stranger.example"


def test_a_typed_address_that_looks_wrong_is_asked_about_and_a_kept_one_is_not(
    client: FlaskClient, annas: str
) -> None:
    decide(places(client).rsplit("/", 1)[1], Decision.DECLINE, Arrival.ONCE)
    apply_received()
    token = strangers_path().rsplit("/", 1)[1]
    review = client.get(f"/publications/cheap/order?resume={token}").text
    given = fields_of(review, "step") | {"step": "details", "email": "sam@gmial.com"}
    assert (
        "Did you mean <b>sam@gmail.com</b>?"
        in client.post("/publications/cheap/order", data=given).text
    )


@on_both_when_long
@pytest.mark.parametrize("is_paid", [False, True], ids=["unpaid", "paid"])
def test_nobody_names_a_customer_whose_address_they_type(
    client: FlaskClient, frozen: Clock, is_paid: bool
) -> None:
    annas_shop()
    with transaction():
        owned = db.session.scalars(sa.select(Publication).order_by(Publication.id)).first()
        assert owned is not None
        customer = find_or_add_customer("ben@reader.example")
        give_imported(customer, owned, notify=False)
        publication_id = owned.id
    going = places(client, email="ben@reader.example", name="Silly Goose")
    if is_paid:
        decide(going.rsplit("/", 1)[1], Decision.PAY, Arrival.ONCE)
        apply_received()
    with transaction() as session:
        assert [one.name for one in session.scalars(sa.select(Customer).order_by(Customer.id))] == [
            "Anna Berg",
            "",
        ]
    with transaction() as session:
        publication = session.get_one(Publication, publication_id)
    drafted_and_released(publication, 3)
    to_ben = [one for one in sent() if one["To"].addresses[0].addr_spec == "ben@reader.example"]
    news = to_ben[-1]
    assert "Edition 3" in news["Subject"]
    assert news["To"].addresses[0].display_name == ""
    assert "Silly Goose" not in words_of(news)
