"""One person twice: at the desk two customers become one after a look at both, and part again."""

import re

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from store.entitlements.addresses import correct_address
from store.kit import clock
from store.kit.database import db, transaction
from store.orders.customers import find_or_add_customer, rename
from store.orders.models import Customer, CustomerNote
from store.staff.credentials import authenticator
from store.staff.models import AuditEntry
from tests.admin.sign_in import press, signed_in
from tests.admin.test_orders_and_customers import with_two_step
from tests.conftest import Clock, on_both
from tests.editions import a_shop
from tests.pages import check_page, page_at
from tests.purchases import ANNA, a_paid_order

BEN = "anna.berg@reader.example"


@pytest.fixture
def desk(client: FlaskClient, frozen: Clock) -> FlaskClient:
    """An owner at the desk of a shop in which Anna is known twice."""
    publication = a_shop()
    a_paid_order(publication)
    a_paid_order(publication, BEN)
    with transaction():
        rename(find_or_add_customer(ANNA), "Anna Berg")
    return signed_in(client)


def ids() -> list[int]:
    db.session.rollback()
    return [
        db.session.scalars(sa.select(Customer.id).filter_by(email=one)).one() for one in (ANNA, BEN)
    ]


def code(frozen: Clock, secret: str) -> str:
    frozen.advance(minutes=1)  # a code counts once
    return authenticator(secret).at(clock.now())


@on_both
def test_two_become_one_after_a_look_at_both_and_part_again(
    desk: FlaskClient, frozen: Clock
) -> None:
    anna, ben = ids()
    path, secret = f"/admin/customers/{anna}", with_two_step("owner@publisher.example")
    assert f'href="{path}/merge"' in page_at(desk, path)
    page = page_at(desk, f"{path}/merge?with={BEN}")
    check_page(page, path=path)
    assert all(words in page for words in ("Anna Berg", ANNA, BEN, "Both of them"))
    assert press(desk, f"{path}/resend", seen_on=path).status_code == 303
    wanted = {"other": str(ben), "keep": str(ben)}
    assert press(desk, f"{path}/merge?with={ben}", wanted | {"code": "000000"}).status_code == 422
    asked = {**wanted, "code": code(frozen, secret)}
    answer = press(desk, f"{path}/merge", asked, seen_on=f"{path}/merge?with={ben}")
    assert (answer.status_code, answer.location) == (303, f"/admin/customers/{ben}")
    assert desk.get(path).location == f"/admin/customers/{ben}"
    assert f"Sent all links to customer {anna}," in desk.get("/admin/audit/record.csv").text

    kept = page_at(desk, f"/admin/customers/{ben}")
    found = re.search(rf'href="(/admin/customers/{ben}/part/\d+)"', kept)
    assert found
    check_page(page_at(desk, found[1]), path=found[1])
    answer = press(desk, found[1], {"code": code(frozen, secret)})
    assert (answer.status_code, answer.location) == (303, f"/admin/customers/{ben}")
    assert ids() == [anna, ben]
    assert desk.get(found[1]).status_code == 409
    acts = db.session.scalars(sa.select(AuditEntry.act).order_by(AuditEntry.id)).all()
    assert acts[-2:] == ["customers_merged", "customers_parted"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("nobody@reader.example", "No customer has this address"),
        ("anna@", "No customer has this address"),
        (ANNA, "That is the same customer"),
        ("99999", "No customer has this address"),
    ],
)
def test_who_cannot_be_the_other_is_said_and_kept(
    desk: FlaskClient, asked: str, sentence: str
) -> None:
    path = f"/admin/customers/{ids()[0]}/merge"
    answer = desk.get(path, query_string={"with": asked})
    assert answer.status_code == 422
    check_page(answer.text, path=path)
    assert sentence in answer.text
    assert f'value="{asked}"' in answer.text


def test_while_a_change_can_be_undone_that_customer_stays(desk: FlaskClient, frozen: Clock) -> None:
    anna, ben = ids()
    path, secret = f"/admin/customers/{anna}/merge", with_two_step("owner@publisher.example")
    with transaction() as session:
        moved = session.get_one(Customer, anna)
        correct_address(moved, "thief@reader.example", "Olga", has_money=lambda _order: False)
    typed, seen_on = {"other": str(ben), "code": code(frozen, secret)}, f"{path}?with={ben}"
    refused = press(desk, path, typed | {"keep": str(ben)}, seen_on=seen_on)
    assert refused.status_code == 422
    check_page(refused.text, path=path)
    assert "Let thief@reader.example be the one that stays, or wait until then." in refused.text
    done = press(desk, path, typed | {"keep": str(anna)}, seen_on=seen_on)
    assert done.status_code == 303


def test_an_address_that_is_taken_leads_to_both(desk: FlaskClient) -> None:
    anna, ben = ids()
    path = f"/admin/customers/{anna}/address"
    answer = press(desk, path, {"email": BEN, "code": "000000"})
    assert answer.status_code == 422
    assert f'href="/admin/customers/{anna}/merge?with={ben}"' in answer.text


def test_a_slip_of_a_big_domain_is_asked_once(desk: FlaskClient, frozen: Clock) -> None:
    path = f"/admin/customers/{ids()[0]}/address"
    secret = with_two_step("owner@publisher.example")
    typed = {"email": "anna@gmial.com", "code": code(frozen, secret)}
    answer = press(desk, path, typed)
    assert answer.status_code == 422
    check_page(answer.text, path=path)
    assert "Did they mean anna@gmail.com?" in answer.text
    assert press(desk, path, typed | {"as_typed": "yes"}).status_code == 303


@on_both
def test_a_note_stays_with_a_customer_until_it_is_taken_out(desk: FlaskClient) -> None:
    path = f"/admin/customers/{ids()[0]}"
    for text, words in (("", "Write what the next"), ("x" * 1001, "at most 1,000 characters")):
        answer = press(desk, f"{path}/notes", {"note": text}, seen_on=path)
        assert answer.status_code == 422
        check_page(answer.text, path=path)
        assert words in answer.text
        assert text in answer.text
    press(desk, f"{path}/notes", {"note": "Rang: the <filter> ate it."}, seen_on=path)
    page = page_at(desk, path)
    assert "Rang: the &lt;filter&gt; ate it." in page
    assert "owner@publisher.example, 1 March 2027" in page
    db.session.rollback()
    number = db.session.scalars(sa.select(CustomerNote.id)).one()
    for status in (303, 404):
        answer = press(desk, f"{path}/notes/{number}/remove", seen_on=path)
        assert answer.status_code == status
    assert "Rang" not in page_at(desk, path)
    facts = db.session.execute(sa.select(AuditEntry.before, AuditEntry.after)).all()
    assert "Rang" not in str(facts)
