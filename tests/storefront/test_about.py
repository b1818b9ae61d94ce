"""Who we are, what holds, and whether the shop is up."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.sellers import state_seller
from store.entitlements.links import order_link, token_of
from store.kit.bucket import Bucket
from store.kit.database import transaction
from store.orders import consents
from store.orders.models import Order
from tests.conftest import Clock, on_both, on_both_when_long
from tests.factories import a_seller
from tests.pages import Page, check_page
from tests.purchases import an_order
from tests.serving import until
from tests.storefront.forms import text_of

# What a version says is never edited again: write a new one beside it.
TERMS = {
    "2026-1": "6a72335ef00fb260424914cfd04319b045443ef25e7473df7f015aff928503fd",
    "2026-2": "d12cb7e8303c988bee9ad8fc719d33e577b3f0837c7cff9e2c57caf9cf35560c",
}
TEMPLATES = Path(__file__).parent.parent.parent / "templates"


@pytest.mark.parametrize(
    "path", ["/terms", "/terms/2026-1", "/privacy", "/accessibility", "/cancellation-form"]
)
def test_the_pages_about_us_say_who_we_are(app: Flask, client: FlaskClient, path: str) -> None:
    with transaction():
        a_seller()

    answer = client.get(path)

    assert answer.status_code == 200
    check_page(answer.text, path=path)
    assert "Early Years Sample Press, a trading name of" in answer.text
    assert "registered charity 000000" in answer.text
    assert "Set-Cookie" not in answer.headers


def test_every_version_of_the_terms_stands_as_it_was_written() -> None:
    files = (TEMPLATES / "storefront" / "terms").iterdir()
    assert {one.stem: hashlib.sha256(one.read_bytes()).hexdigest() for one in files} == TERMS
    assert consents.TERMS_VERSIONS.keys() == TERMS.keys()
    assert list(consents.TERMS_VERSIONS)[-1] == consents.CURRENT_TERMS


def test_the_terms_say_since_when_they_hold_and_lead_to_the_older_ones(
    app: Flask, client: FlaskClient
) -> None:
    with transaction():
        a_seller()
    page = client.get("/terms").text
    assert "Version 2026-2, from 25 November 2026." in text_of(page)
    assert 'href="/terms/2026-1"' in page
    assert client.get("/terms/2026-2").text == page
    old = client.get("/terms/2026-1").text
    assert "There is a newer one." in text_of(old)
    assert "What you get" in text_of(old)


@pytest.mark.parametrize("path", ["/terms/2019-1", "/terms/2026-2?seller=7", "/terms/2026-2?seller=x",
                                  "/terms/2026-2?seller=99999999999999999999"])  # fmt: skip
def test_terms_that_never_were_are_not_found(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


@on_both_when_long
def test_an_order_under_an_old_version_leads_to_it_and_to_who_sold_then(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consents, "CURRENT_TERMS", "2026-1")
    old_id = an_order()
    monkeypatch.setattr(consents, "CURRENT_TERMS", "2026-2")
    new_id = an_order("n" * 22)
    with transaction():
        state_seller(trading_name="New Name", vat_number="GB 1", countries="GB,IE")
    for order_id, version in ((old_id, "2026-1"), (new_id, "2026-2")):
        with transaction() as session:
            order = session.get_one(Order, order_id)
            path = f"/orders/{token_of(order_link(order.id, order.customer_id))}"
        links = [link.attrib["href"] for link in Page(client.get(path).text).all("a")]
        terms = next(href for href in links if href.startswith("/terms/"))
        assert terms == f"/terms/{version}?seller={order.seller_id}"
        page = text_of(client.get(terms).text)
        assert f"Version {version}, from" in page
        assert "New Name" not in page
        assert "We are registered for VAT" not in page
    assert "We are registered for VAT. Our VAT number is GB 1." in text_of(
        client.get("/terms").text
    )


def test_the_terms_follow_from_who_sells(app: Flask, client: FlaskClient) -> None:
    with transaction():
        a_seller(company_number="SC123456", countries="GB,IE,FR", bank_details="Sort code 00-00-00")
    page = text_of(client.get("/terms").text)
    for words in (
        "registered charity 000000, company number SC123456, registered in Scotland. 1 Sample",
        "or call 020 7946 0000.",
        "You pay online, or by bank transfer.",
        "We are not registered for VAT, so you pay none.",
        "We sell to people in: United Kingdom, Ireland and France.",
        "You can cancel within 14 days after the day you ordered.",
        "never later than 14 days after you tell us. It goes back the way you paid.",
    ):
        assert words in page
    with transaction():
        a_seller(vat_number="GB 1", phone="")
    page = text_of(client.get("/terms").text)
    assert "You pay online. We are registered for VAT. Our VAT number is GB 1." in page
    assert "call" not in page.partition("How you order")[0]


def test_the_cancellation_form_is_the_models_and_can_be_sent_as_a_mail(
    app: Flask, client: FlaskClient
) -> None:
    with transaction():
        a_seller(address="1 Sample Street\nLondon")
    page = client.get("/cancellation-form").text
    words = text_of(page)
    for part in (
        "Early Years Sample Press CIO",
        "hello@publisher.example",
        "I/We* hereby give notice that I/we* cancel my/our* contract for the supply of",
        "Ordered on",
        "Your signature (only if you send this on paper)",
    ):
        assert part in words
    links = [link.attrib["href"] for link in Page(page).all("a")]
    mail = next(href for href in links if href.startswith("mailto:") and "?" in href)
    assert unquote(mail).startswith(
        "mailto:hello@publisher.example?subject=I cancel my order&body="
    )


def test_the_form_stands_before_it_is_said_who_sells(client: FlaskClient) -> None:
    answer = client.get("/cancellation-form")
    check_page(answer.text, path="/cancellation-form")
    assert "mailto:" not in answer.text


def test_a_page_that_is_not_there_says_so_in_our_words(client: FlaskClient) -> None:
    answer = client.get("/nothing-here")

    assert answer.status_code == 404
    check_page(answer.text, path="/nothing-here")
    assert "There is no page at this address." in answer.text


def test_the_shop_is_up(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "up"}


@on_both
def test_the_shop_is_ready_when_database_and_storage_answer(client: FlaskClient) -> None:
    assert client.get("/readyz").json == {
        "status": "ready",
        "database": True,
        "storage": True,
        "tables": True,
        "writing": True,
        "no_letters_since": None,
        "unrecorded_downloads": 0,
        "not_well": [],
    }


@pytest.mark.parametrize("storage_url", ["s3"], indirect=True)
def test_however_often_somebody_asks_whether_it_is_ready_the_bucket_is_asked_once(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket counts each request, and who hears nothing of it waits."""
    asked, ask, go_on = [], Bucket.ask, threading.Event()

    def counted(bucket: Bucket) -> None:
        asked.append(bucket)
        ask(bucket)

    def away(bucket: Bucket) -> None:
        asked.append(bucket)
        go_on.wait(20)
        raise OSError("no route")

    monkeypatch.setattr(Bucket, "ask", counted)
    for _ in range(20):
        assert client.get("/readyz").get_json()["storage"] is True
    assert len(asked) == 1
    monkeypatch.setattr("store.kit.storage.KEPT_SECONDS", 0)
    client.get("/readyz")
    assert len(asked) == 2  # the control
    monkeypatch.setattr(Bucket, "ask", away)
    with ThreadPoolExecutor(1) as another:
        slow = another.submit(client.application.test_client().get, "/readyz")
        until(lambda: len(asked) == 3, "the bucket is asked")
        assert client.get("/readyz").get_json()["storage"] is True  # at once, as it was
        go_on.set()
        assert slow.result().get_json()["storage"] is False


def test_a_request_for_another_host_is_refused(client: FlaskClient) -> None:
    assert client.get("/terms", headers={"Host": "evil.example"}).status_code == 400


def test_security_txt_names_the_seller_and_never_runs_out(
    app: Flask, client: FlaskClient, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = app.extensions["colophon.settings"]
    monkeypatch.setitem(settings.__dict__, "base_url", "https://shop.example.org")
    with transaction():
        a_seller()
    for day in ("2027-05-29T23:00:00Z", "2028-05-28T23:00:00Z"):
        answer = client.get("/.well-known/security.txt")
        assert answer.content_type == "text/plain; charset=utf-8"
        assert answer.text.splitlines() == [
            "Contact: mailto:hello@publisher.example",
            f"Expires: {day}",
            "Preferred-Languages: en",
            "Canonical: https://shop.example.org/.well-known/security.txt",
        ]
        frozen.advance(days=365)


def test_security_txt_without_a_seller_names_the_sender(app: Flask, client: FlaskClient) -> None:
    said = client.get("/.well-known/security.txt").text
    assert "Contact: mailto:shop@127.0.0.1\n" in said
    assert "Canonical" not in said
