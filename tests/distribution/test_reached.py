"""The customer's page answers for all editions at once whether they came, and mends what did not."""

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from store.catalog.models import Edition
from store.distribution.coverage import coverage_of
from store.distribution.reached import reached
from store.entitlements.access import ever_released_for
from store.entitlements.received import record_download
from store.kit import clock
from store.kit.database import db, transaction
from store.mail.models import Attempt, Delivery, DeliveryStatus
from store.orders.customers import find_or_add_customer
from tests.admin.sign_in import press, signed_in
from tests.conftest import Clock, on_both
from tests.editions import a_shop, drafted_and_released, withdraw
from tests.letters import send
from tests.links import anna
from tests.pages import check_page, page_at
from tests.purchases import a_paid_order, give_imported
from tests.statements import statements


@pytest.fixture
def desk(client: FlaskClient, frozen: Clock) -> FlaskClient:
    """An owner at the desk. Anna fetched edition 1, was refused edition 2, and edition 3 is
    withdrawn; of another publication she was imported as having the first."""
    publication, other = a_shop(editions=0), a_shop(slug="other")
    a_paid_order(publication)
    with transaction():
        give_imported(find_or_add_customer("anna@reader.example"), other, notify=False)
    frozen.advance(days=20)
    for number in (1, 2, 3):
        drafted_and_released(publication, number)
        send()
        frozen.advance(days=1)
    edition = db.session.scalars(sa.select(Edition).filter_by(number=3)).one()
    withdraw(edition)
    with transaction() as session:
        first = session.scalars(sa.select(Edition).filter_by(publication_id=1, number=1)).one()
        asset_id = first.assets[0].id
        letter = session.scalars(
            sa.select(Delivery)
            .join(Edition, Edition.id == Delivery.edition_id)
            .where(Edition.number == 2, Delivery.kind == "edition_notice")
        ).one()
        letter.status, letter.reason = DeliveryStatus.FAILED, "refused"
        session.add(
            Attempt(
                delivery_id=letter.id,
                worker="w",
                address="anna@reader.example",
                started_at=clock.now(),
                ended_at=clock.now(),
                reply="550 5.1.1 no such mailbox",
            )
        )
    record_download("token", anna().id, asset_id)
    return signed_in(client)


@on_both
def test_one_table_answers_for_every_edition_and_mends_what_failed(desk: FlaskClient) -> None:
    customer = anna()
    told = {
        (one.edition.publication.slug, one.edition.number): (one.column, one.because)
        for one in reached(customer, ever_released_for(customer.id))
    }
    assert {edition: column for edition, (column, _) in told.items()} == {
        ("send-early-years", 1): "handed_over",
        ("send-early-years", 2): "undeliverable",
        ("send-early-years", 3): "handed_over",
        ("other", 1): "left_out",
    }
    assert "Downloaded on" in told["send-early-years", 1][1]
    assert "550 5.1.1 no such mailbox" in told["send-early-years", 2][1]
    for edition in ever_released_for(customer.id):
        key = edition.publication.slug, edition.number
        assert coverage_of(edition, customer).column == told[key][0], key
    db.session.rollback()

    path = f"/admin/customers/{customer.id}"
    page = page_at(desk, path)
    check_page(page, path=path)
    table = page.partition('id="reached"')[2].partition("</table>")[0]
    assert [table.count(f"{answer}</span>") for answer in ("Yes", "No", "Not due")] == [2, 1, 1]
    assert f'href="{path}/address?meant=1"' in table
    act = table.partition('action="/admin/letters/')[2].partition('"')[0]
    assert press(desk, f"/admin/letters/{act}", seen_on=path).status_code == 303
    assert (
        "No</span>" not in page_at(desk, path).partition('id="reached"')[2].partition("</table>")[0]
    )


@on_both
def test_many_editions_take_no_more_statements(desk: FlaskClient) -> None:
    def asked() -> int:
        db.session.rollback()
        customer = anna()
        with statements() as told:
            reached(customer, ever_released_for(customer.id))
        return len(told)

    few = asked()
    publication = db.session.scalars(sa.select(Edition)).first()
    assert publication
    for number in range(4, 8):
        drafted_and_released(publication.publication, number)
    assert asked() == few
