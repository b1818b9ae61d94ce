"""Cases of money that other shops met: free after a code, and prices that no service takes."""

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import EditionStatus, Publication, PublicationStatus
from store.cli import main
from store.commands import base
from store.distribution.releasing import release_edition
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.orders.discounts import add_discount
from store.orders.models import Order
from store.payments.models import Payment
from store.payments.receipts import receipt_of
from tests import factories
from tests.admin.sign_in import signed_in
from tests.conftest import Clock, on_both_when_long
from tests.pages import read
from tests.rows import rows
from tests.storefront.forms import fields_of, text_of

PATH = "/publications/send-early-years/order"


@pytest.fixture(autouse=True)
def publication_id(app: Flask, frozen: Clock) -> int:
    """A pre-order at £12.50, and a code that takes all of it off."""
    with transaction():
        factories.a_seller()
        add_discount("For trustees", code="ALLOFIT", percent=100)
        return factories.a_publication(status=PublicationStatus.LISTED).id


@on_both_when_long
@pytest.mark.parametrize("is_released", [False, True])
def test_free_after_a_code_needs_no_card_page_and_gets_the_next_edition(
    client: FlaskClient, publication_id: int, is_released: bool
) -> None:
    if is_released:
        with transaction() as session:
            factories.a_released_edition(session.get_one(Publication, publication_id))
    typed = {"email": "anna@reader.example", "code": "ALLOFIT"}
    given = fields_of(client.get(PATH).text, "email") | typed
    review = client.post(PATH, data=given).text
    assert "Order, nothing to pay" in text_of(review)

    answer = client.post(PATH, data=fields_of(review, "seen_amount"))

    assert (answer.status_code, "/orders/" in answer.headers["Location"]) == (303, True)
    assert rows(Order.status, Order.total_amount) == [("paid", 0)]
    assert rows(Payment.amount) == [(0,)]
    assert rows(Delivery.kind) == [("order_confirmation",)]
    receipt = receipt_of(db.session.scalars(sa.select(Order)).one())
    assert receipt.lines[0].amount == "£12.50"
    assert receipt.discount is not None
    assert (receipt.discount.amount, receipt.total) == ("−£12.50", "£0.00")
    reference = rows(Order.reference)[0][0]
    desk = signed_in(client)
    assert f"/admin/orders/{reference}/refund" not in read(desk, f"/admin/orders/{reference}")

    number = 2 if is_released else 1
    with transaction() as session:
        publication = session.get_one(Publication, publication_id)
        edition = factories.an_edition(publication, number, status=EditionStatus.SCHEDULED)
        factories.an_asset(edition)
        release_edition(edition, "olga")
        edition_id = edition.id
    notices = [one for one in rows(Delivery.edition_id, Delivery.kind) if one[0] == edition_id]
    assert [kind for _, kind in notices] == ["edition_notice"]


@pytest.mark.parametrize("price", ["0.29", "0.01"])
def test_a_price_that_no_service_takes_is_refused_when_it_is_set(
    app: Flask, monkeypatch: pytest.MonkeyPatch, price: str
) -> None:
    monkeypatch.setattr(base, "the_shop", lambda: app)
    words = ["publication", "add", "guide", "--title", "Guide", "--price", price]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "£0.30" in result.output
    assert len(rows(Publication.id)) == 1
