"""Bank details: owners alone, the password asked again, kept and told; and a gift taken back."""

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import PublicationStatus
from store.catalog.sellers import current_seller, state_seller
from store.cli import main
from store.commands import base
from store.entitlements.models import Entitlement
from store.kit.database import db, transaction
from store.mail.models import Delivery
from store.orders.models import Order
from store.payments.transfers import change_bank_details, masked
from tests.admin.sign_in import PASSWORD, a_member, press, signed_in
from tests.conftest import Clock, on_both_when_long
from tests.factories import a_publication, a_released_edition, a_seller
from tests.links import path_to
from tests.pages import check_page, read
from tests.purchases import give
from tests.rows import rows
from tests.storefront.forms import text_of

OLD = "Sample Press\nSort code 12-34-56\nAccount 12345678"
NEW = "Sample Press\nIBAN GB33 BUKB 2020 1555 5555 55"
PATH = "/admin/seller/bank"


@pytest.fixture(autouse=True)
def seller(app: Flask, frozen: Clock) -> None:
    """A shop that takes transfers."""
    with transaction():
        a_seller()
        state_seller(bank_details=OLD)


def details() -> str:
    db.session.rollback()
    return current_seller().bank_details


def alerts() -> list[tuple[str, str]]:
    db.session.rollback()
    found = db.session.scalars(sa.select(Delivery).filter_by(kind="staff_alert"))
    return sorted((str(one.address), str((one.facts or {})["text"])) for one in found)


@on_both_when_long
def test_an_owner_changes_the_bank_details_with_the_password_and_all_owners_hear_of_it(
    client: FlaskClient,
) -> None:
    a_member("otto@publisher.example")
    desk = signed_in(client)
    for wrong in ("", "not it"):
        answer = press(desk, PATH, {"bank_details": NEW, "password": wrong})
        assert answer.status_code == 422
        assert "That is not your password." in answer.text
        assert "GB33 BUKB" in answer.text
        check_page(answer.text, path=PATH)
    assert (details(), alerts()) == (OLD, [])

    assert press(desk, PATH, {"bank_details": NEW, "password": PASSWORD}).status_code == 303
    assert details().splitlines() == NEW.splitlines()
    told = [address for address, _ in alerts()]
    assert told == ["otto@publisher.example", "owner@publisher.example"]
    words = "Sample Press, Sort code ••-••-••, Account •••••678"
    assert all(words in text and "12345678" not in text for _, text in alerts())
    page = text_of(read(desk, PATH))
    assert f"was {words}, now Sample Press, IBAN GB••" in page
    assert "Changed by owner@publisher.example" in page
    assert "today, 10:00" in page

    assert press(desk, PATH, {"bank_details": NEW, "password": PASSWORD}).status_code == 303
    assert len(alerts()) == 2


@pytest.mark.parametrize("role", ["editor", "support"])
def test_nobody_but_owners_changes_the_bank_details(client: FlaskClient, role: str) -> None:
    desk = signed_in(client, role)
    assert desk.get(PATH).status_code == 403
    if role == "editor":
        page = read(desk, "/admin/seller")
        assert "An owner can change them." in page
        assert "12345678" not in page
        given = {"trading_name": "Sample", "email": "hello@publisher.example", "countries": "GB"}
        given["bank_details"] = NEW
        assert press(desk, "/admin/seller", given).status_code == 303
    assert details() == OLD


def test_the_command_keeps_and_tells_the_change_too(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "the_shop", lambda: app)
    result = CliRunner().invoke(main, ["seller", "set", "--bank-details", NEW])
    assert result.exit_code == 0, result.output
    assert details().splitlines() == NEW.splitlines()
    assert len(alerts()) == 1


def test_of_the_digits_the_last_three_are_shown() -> None:
    assert masked("") == "none"
    assert masked("A 12\nB 345 6") == "A ••, B •45 6"
    assert masked("12") == "12"


def test_the_same_details_change_nothing(app: Flask) -> None:
    with transaction():
        change_bank_details(f" {OLD} \r\n", "olga")
    assert alerts() == []


@pytest.fixture
def gift(seller: None) -> str:
    """A copy that was given and can be read; its order's reference."""
    with transaction():
        publication = a_publication(status=PublicationStatus.LISTED)
        a_released_edition(publication)
    give(email="guest@reader.example", name="", reason="review")
    return str(rows(Order.reference)[0][0])


@on_both_when_long
def test_a_complimentary_copy_is_taken_back_for_a_reason_and_its_pages_say_so(
    client: FlaskClient, gift: str
) -> None:
    desk = signed_in(client, "support")
    path = f"/admin/orders/{gift}"
    library = path_to("library", rows(Order.customer_id)[0][0])
    download = client.get(library).text.split('href="/download/')[1].split('"')[0]
    assert client.get(f"/download/{download}").status_code == 200
    assert "Take the copy back" in read(desk, path)
    empty = press(desk, f"{path}/take-back", {"reason": " "})
    assert (empty.status_code, "Say why it is taken back" in empty.text) == (422, True)

    for _ in range(2):
        asked = press(desk, f"{path}/take-back", {"reason": "Sent to the wrong school"})
        assert asked.status_code == 303

    assert rows(Entitlement.revoked_reason) == [("gift taken back",)]
    page = text_of(read(desk, path))
    assert page.count("You took the copy back") == page.count("Sent to the wrong school") == 1
    words = text_of(client.get(library).text)
    assert "This copy was given to you and was taken back." in words
    assert "efunded" not in words
    refused = client.get(f"/download/{download}")
    assert refused.status_code == 410
    assert "was given to you and was taken back" in refused.text


def test_what_was_bought_is_not_taken_back(
    client: FlaskClient, gift: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "the_shop", lambda: client.application)
    with transaction() as session:
        session.scalars(sa.select(Order)).one().given_reason = ""
    desk = signed_in(client)
    answer = desk.get(f"/admin/orders/{gift}/take-back")
    assert (answer.status_code, "no copy that was given" in answer.text) == (409, True)
    result = CliRunner().invoke(main, ["order", "take-back", gift, "--reason", "x"])
    assert result.exit_code == 1
    assert rows(Entitlement.revoked_reason) == [("",)]
