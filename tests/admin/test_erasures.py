"""Staff erase a customer: at the desk by an owner's code, on record."""

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from store.entitlements.erasures import open_erasure
from store.kit import clock
from store.kit.database import db
from store.payments.erasures import carry_out_due
from store.staff.credentials import authenticator
from store.staff.models import AuditEntry
from tests.admin.sign_in import press, signed_in
from tests.admin.test_orders_and_customers import with_two_step
from tests.conftest import Clock
from tests.editions import a_shop
from tests.letters import sent
from tests.links import anna
from tests.pages import check_page, page_at
from tests.purchases import a_paid_order


@pytest.fixture
def desk(client: FlaskClient, frozen: Clock) -> FlaskClient:
    """An owner at the desk of a shop in which Anna bought."""
    a_paid_order(a_shop())
    return signed_in(client)


def acts() -> list[tuple[str, object]]:
    """What is on record about customers, the newest last."""
    query = sa.select(AuditEntry.act, AuditEntry.entity_id).where(AuditEntry.entity == "customers")
    return [tuple(row) for row in db.session.execute(query.order_by(AuditEntry.id))]  # type: ignore[misc]


def test_an_owner_erases_with_a_code_at_once_where_they_asked_by_letter(
    desk: FlaskClient, frozen: Clock
) -> None:
    number, secret = anna().id, with_two_step("owner@publisher.example")
    customer, path = f"/admin/customers/{number}", f"/admin/customers/{number}/erase"
    assert f'href="{path}"' in page_at(desk, customer)
    check_page(page_at(desk, path), path=path)
    assert press(desk, path, {"code": "000000"}).status_code == 422
    frozen.advance(minutes=1)
    code = authenticator(secret).at(clock.now())
    assert press(desk, path, {"code": code}).status_code == 303
    check_page(page_at(desk, customer), path=customer)
    assert press(desk, f"{path}/stop", seen_on=customer).status_code == 303
    assert open_erasure(number) is None
    frozen.advance(minutes=1)
    code = authenticator(secret).at(clock.now())
    assert press(desk, path, {"code": code, "at_once": "yes"}).status_code == 303
    carry_out_due()
    assert desk.get(customer).status_code == 200  # the letters have not left
    sent()
    carry_out_due()
    assert desk.get(customer).status_code == 410
    done = ["erasure_asked", "erasure_stopped", "erasure_asked"]
    assert acts() == [(act, number) for act in done]
