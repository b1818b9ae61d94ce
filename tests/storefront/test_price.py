"""One figure on page, review, order and receipt: codes, members, VAT, currencies, countries."""

from datetime import date
from xml.etree.ElementTree import Element

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Publication, VatTreatment
from store.catalog.sellers import state_seller
from store.entitlements.links import order_link, token_of
from store.kit.database import db, transaction
from store.orders.discounts import add_discount, discount_by_name, end_discount
from store.orders.models import Order
from store.payments.models import Checkout
from tests import factories
from tests.conftest import Clock, on_both_when_long
from tests.pages import Page, check_page
from tests.storefront.forms import fields_of, text_of

PATH = "/publications/send-early-years/order"


@pytest.fixture(autouse=True)
def publication(app: Flask, frozen: Clock) -> Publication:
    """A pre-order expected on 31 March, on 1 March 2027."""
    with transaction():
        factories.a_seller()
        return factories.a_publication(expected_on=date(2027, 3, 31))


def a_discount(**given: object) -> None:
    """20 % by the code EARLY20, unless said otherwise."""
    values: dict[str, object] = {"code": "EARLY20", "percent": 20}
    with transaction():
        add_discount("Early bird", **(values | given))  # type: ignore[arg-type]


def reviewed(client: FlaskClient, *, status: int = 200, **typed: str) -> str:
    """The page after the details were sent."""
    given = fields_of(client.get(PATH).text, "email") | {"email": "anna@reader.example"} | typed
    answer = client.post(PATH, data=given)
    assert answer.status_code == status
    check_page(answer.text, path=PATH)
    return answer.text


def words_of(element: Element) -> str:
    """Its words, blanks as one."""
    return " ".join("".join(element.itertext()).split())


def facts(html: str) -> dict[str, str]:
    """The summary of the review page, term by term."""
    rows = [row for dl in Page(html).all("dl") for row in dl]
    return {words_of(row[0]): words_of(row[1]) for row in rows}


def placed(client: FlaskClient, html: str) -> Order:
    """The order that the review's button places."""
    assert client.post(PATH, data=fields_of(html, "seen_amount")).status_code == 303
    db.session.rollback()
    return db.session.scalars(sa.select(Order)).one()


@on_both_when_long
def test_the_same_figure_stands_on_review_and_order(client: FlaskClient) -> None:
    a_discount()
    html = reviewed(client, code="early20")
    seen = facts(html)
    assert seen["Discount: Early bird (EARLY20)"] == "£2.50 off £12.50"
    assert seen["Total no VAT to pay"] == "£10.00"
    assert "Order and pay £10.00" in html
    assert placed(client, html).total_amount == 1000


def test_a_code_that_does_not_count_is_said_beside_its_field_and_all_is_kept(
    client: FlaskClient,
) -> None:
    html = reviewed(client, status=422, code="LATE", name="Anna Berg")
    assert next(
        words_of(one) for one in Page(html).all("p") if one.attrib.get("id") == "code-error"
    ) == ("Error: We do not know the code “LATE”. Check it, or take it out.")
    kept = fields_of(html, "email")
    assert (kept["code"], kept["name"]) == ("LATE", "Anna Berg")


def test_a_code_that_was_used_up_meanwhile_is_said_and_nothing_is_placed(
    client: FlaskClient,
) -> None:
    a_discount(max_orders=1)
    mine = reviewed(client, code="EARLY20")
    other = reviewed(client, code="EARLY20", email="ben@reader.example")
    placed(client, other)
    answer = client.post(PATH, data=fields_of(mine, "seen_amount"))
    assert answer.status_code == 422
    assert "has been used as often as it may be" in answer.text
    assert db.session.scalar(sa.select(sa.func.count(Order.id))) == 1


@pytest.mark.parametrize("change", ["the code is over", "the price is another"])
def test_an_old_unpaid_order_shows_what_it_costs_now_before_it_is_paid(
    client: FlaskClient, change: str
) -> None:
    a_discount()
    order = placed(client, reviewed(client, code="EARLY20"))
    with transaction() as session:
        resume = f"{PATH}?resume={token_of(order_link(order.id, order.customer_id))}"
        if change == "the code is over":
            end_discount(discount_by_name("EARLY20"))
        else:
            session.execute(sa.update(Publication).values(price_amount=1500))
    html = client.get(resume).text
    check_page(html, path=resume)
    new = "£12.50" if change == "the code is over" else "£12.00"
    why = "The code “EARLY20” does not count any more. " if change == "the code is over" else ""
    assert f"{why}When you ordered the total was £10.00. It is now {new}." in text_of(html)
    assert facts(html)["Total no VAT to pay"] == new
    assert client.post(PATH, data=fields_of(html, "seen_amount")).status_code == 303
    db.session.rollback()
    (checkout,) = db.session.scalars(sa.select(Checkout).filter_by(status="open"))
    assert f"£{checkout.amount / 100:.2f}" == new


def test_too_little_to_charge_is_refused_on_the_review(client: FlaskClient) -> None:
    a_discount(percent=99)
    html = reviewed(client, status=422, code="EARLY20")
    assert "no less than £0.30 can be charged" in html
    assert [words_of(one) for one in Page(html).all("button")][-1] == "Change the code"


def test_nothing_to_pay_says_so_on_the_button(client: FlaskClient) -> None:
    a_discount(percent=100)
    html = reviewed(client, code="EARLY20")
    assert facts(html)["Total no VAT to pay"] == "£0.00"
    assert "Order, nothing to pay" in html


def test_a_bank_transfer_is_offered_where_the_seller_has_an_account(client: FlaskClient) -> None:
    assert "bank transfer" not in reviewed(client)
    with transaction():
        state_seller(bank_details="Sample Bank, 00-00-00, 12345678")
    html = reviewed(client)
    assert "Order and pay £12.50" in html
    fields = fields_of(html, "seen_amount") | {"pay_by": "transfer"}
    answer = client.post(PATH, data=fields)
    assert answer.status_code == 303
    assert "Sample Bank, 00-00-00, 12345678" in client.get(answer.location).text


def test_a_member_s_address_that_is_typed_costs_what_it_costs_everybody(
    client: FlaskClient,
) -> None:
    a_discount(code="", domains="nursery.example")
    other = facts(reviewed(client))
    member = facts(reviewed(client, email="anna@nursery.example"))
    assert member["Total no VAT to pay"] == other["Total no VAT to pay"] == "£12.50"
    assert member.keys() == other.keys()


def test_a_member_s_price_is_not_taken_from_the_form(client: FlaskClient) -> None:
    html = reviewed(client)
    forged = fields_of(html, "seen_amount") | {"seen_amount": "100"}
    answer = client.post(PATH, data=forged)
    assert answer.status_code == 422
    assert "It is now £12.50." in answer.text


@pytest.mark.parametrize(
    ("treatment", "note"),
    [
        (VatTreatment.ZERO_RATED, "no VAT to pay"),
        (VatTreatment.NOT_REGISTERED, "no VAT is charged"),
        (VatTreatment.STANDARD_INCLUDED, "includes £2.08 VAT at 20%"),
    ],
)
def test_the_vat_note_is_the_publication_s_on_every_page(
    client: FlaskClient, publication: Publication, treatment: VatTreatment, note: str
) -> None:
    with transaction():
        publication.vat_treatment = treatment
    assert f"{note[0].upper()}{note[1:]}</small>" in client.get(PATH.removesuffix("/order")).text
    assert facts(client.get(PATH).text)[f"Total {note}"] == "£12.50"
    assert facts(reviewed(client))[f"Total {note}"] == "£12.50"


@pytest.mark.parametrize(
    ("currency", "amount", "shown"), [("JPY", 1500, "¥1,500"), ("KWD", 12_340, "KWD12.340")]
)
def test_a_currency_has_its_own_number_of_places_everywhere(
    client: FlaskClient, publication: Publication, currency: str, amount: int, shown: str
) -> None:
    with transaction():
        publication.currency, publication.price_amount = currency, amount
    assert shown in client.get(PATH.removesuffix("/order")).text
    html = reviewed(client)
    assert facts(html)["Total no VAT to pay"] == shown
    assert placed(client, html).total_amount == amount


def test_one_country_is_said_and_not_asked(client: FlaskClient) -> None:
    html = client.get(PATH).text
    assert "We sell to readers in: United Kingdom." in html
    assert facts(client.get(PATH.removesuffix("/order")).text)["Sold to"] == "United Kingdom"
    assert "country" not in fields_of(html, "email")
    assert placed(client, reviewed(client)).country == "GB"


def test_of_several_countries_the_buyer_s_is_asked_and_kept(client: FlaskClient) -> None:
    with transaction():
        state_seller(countries="gb, ie")
    html = reviewed(client, status=422)
    assert "Choose the country that you live in." in html
    html = reviewed(client, country="IE")
    assert facts(html)["Country"] == "Ireland"
    assert placed(client, html).country == "IE"
    assert "Choose the country" in reviewed(client, status=422, country="US")


def test_where_an_order_came_from_is_kept_for_a_dispute(client: FlaskClient) -> None:
    order = placed(client, reviewed(client))
    assert order.network == "127.0.0.1"
    assert order.user_agent.startswith("Werkzeug/")
