"""The library page: what a customer sees of what they own (journeys B1 to B5)."""

import re
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from store.entitlements.granting import revoke_order
from store.entitlements.links import token_of
from store.kit import tokens
from store.kit.database import db, transaction
from store.orders.models import Order
from tests.conftest import Clock, on_both_when_long
from tests.editions import a_shop, guide, put_out, withdraw
from tests.letters import sent
from tests.links import anna, link_to, path_to
from tests.pages import check_page
from tests.purchases import ANNA, a_paid_order
from tests.rows import count_rows
from tests.statements import statements

pytestmark = pytest.mark.usefixtures("frozen")


def page_of(client: FlaskClient) -> str:
    path = path_to("library", anna().id)
    answer = client.get(path)
    assert answer.status_code == 200
    check_page(answer.text, path=path)
    return answer.text


@on_both_when_long
def test_the_newest_edition_comes_first_with_a_button_for_each_format(
    client: FlaskClient, frozen: Clock
) -> None:
    a_paid_order(a_shop())
    assert "Edition 1, newest" in page_of(client)
    first = re.findall(r'class="button[^"]*"\s+href="([^"]+)"', page_of(client))[0]
    named = client.get(first).headers["Content-Disposition"]
    title = "Effective SEND Practice in the Early Years, edition 1.pdf"
    assert named == f"attachment; filename=\"{title}\"; filename*=UTF-8''{quote(title)}"
    frozen.advance(days=40)
    put_out(guide(1), 2)
    put_out(guide(1), 3)
    page = page_of(client)
    assert re.findall(r'class="button[^"]*"\s+href="/download/[^/]+/([^"]+)">([^<]+)<', page) == [
        ("send-early-years-3-pdf/send-early-years-edition-3.pdf", "Download PDF"),
        ("send-early-years-3-epub/send-early-years-edition-3.epub", "Download EPUB"),
    ]
    assert "New for you: edition 3" in page
    assert "Renewed on 10 April 2027. You last took edition 1." in page
    assert "What changed since your edition 1" in page
    assert re.findall(r"<h4>(Edition \d), 10 April 2027</h4>", page) == ["Edition 3", "Edition 2"]
    assert "Ordered 1 March 2027" in page
    assert "a•••@reader.example" in page
    assert ANNA not in page
    assert "12 pages" in page
    assert "for phones and e-readers" in page
    assert "<li>First point</li>" in page
    assert len(re.findall(r"(?:PDF|EPUB) <code>[0-9a-f]{64}</code>", page)) == 2
    assert re.findall(r'href="/download/[^/]+/[^/]+/(send-early-years-edition-1\.\w+)"', page) == [
        "send-early-years-edition-1.pdf",
        "send-early-years-edition-1.epub",
    ]


def test_showing_it_writes_nothing_and_nobody_keeps_it(client: FlaskClient) -> None:
    a_paid_order(a_shop())
    path = path_to("library", anna().id)
    before = count_rows()
    got, headed = client.get(path), client.head(path)
    assert count_rows() == before
    assert got.headers["Cache-Control"] == "no-store"
    assert got.headers["X-Robots-Tag"] == "noindex"
    assert got.headers["Referrer-Policy"] == "same-origin"
    assert "Set-Cookie" not in got.headers
    assert headed.status_code == got.status_code
    assert headed.data == b""
    assert set(headed.headers.keys()) == set(got.headers.keys())


def test_a_pre_order_shows_when_it_comes_and_never_a_date_that_has_passed(
    client: FlaskClient, frozen: Clock
) -> None:
    a_paid_order(a_shop(editions=0))
    assert "We publish it by the end of March 2027." in page_of(client)
    frozen.advance(days=40)
    page = page_of(client)
    assert "We mail you the link on the day it is published." in page
    assert "March 2027. On that day" not in page


def test_a_pre_order_without_consent_that_comes_after_the_14_days_does_not_wait(
    client: FlaskClient,
) -> None:
    a_paid_order(a_shop(editions=0), wants_now=False)
    page = page_of(client)
    assert "Pre-ordered" in page
    assert "We publish it by the end of March 2027. On that day we mail you the link." in page
    assert "16 March" not in page


def test_a_copy_that_waits_says_until_when_and_how_to_have_it_now(client: FlaskClient) -> None:
    a_paid_order(a_shop(), wants_now=False)
    page = page_of(client)
    assert "We publish it" not in page
    assert "Your copy is ready on 16 March 2027" in page
    assert "/download/" not in page
    order = re.search(r'href="(/orders/[^"]+)">your order', page)
    assert order is not None
    assert client.get(order[1]).status_code == 200


def test_a_refunded_order_says_so_and_gives_no_file(client: FlaskClient) -> None:
    order = a_paid_order(a_shop())
    with transaction() as session:
        revoke_order(session.get_one(Order, order.id), "refunded")
    page = page_of(client)
    assert "This order was refunded." in page
    assert "/download/" not in page


def test_a_withdrawn_edition_is_said_and_not_given(client: FlaskClient) -> None:
    shop = a_shop(editions=0)
    edition = put_out(shop, 1)
    a_paid_order(shop)
    withdraw(edition)
    page = page_of(client)
    assert "This edition was withdrawn" in page
    assert "/download/" not in page


@on_both_when_long
def test_a_library_of_five_takes_as_many_statements_as_one_of_one(client: FlaskClient) -> None:
    def told() -> list[str]:
        path = path_to("library", anna().id)
        db.session.remove()
        with statements() as found:
            assert client.get(path).status_code == 200
        return found

    a_paid_order(a_shop())
    with_one = told()
    # The link, all links, rights, editions, and who sells.
    assert len(with_one) == 5
    for number in range(2, 6):
        a_paid_order(a_shop(slug=f"number-{number}"))
    assert told() == with_one


@pytest.mark.parametrize("tear", ["%0A", "%20", "%20%0D%0A", "=%0A", "%0D%0A%20"])
def test_a_link_torn_by_a_mail_program_still_works(client: FlaskClient, tear: str) -> None:
    a_paid_order(a_shop())
    path = path_to("library", anna().id)
    at = len("/library/") + 40
    assert client.get(path[:at] + tear + path[at:]).status_code == 200


@pytest.mark.parametrize("purpose", ["library", "order"])
def test_an_old_link_leads_to_one_button_that_mails_a_fresh_one(
    client: FlaskClient, frozen: Clock, purpose: str
) -> None:
    a_paid_order(a_shop())
    path = path_to(purpose, anna().id)
    sent()
    frozen.advance(days=401)
    answer = client.get(path)
    assert answer.status_code == 410
    check_page(answer.text, path=path)
    assert answer.headers["Cache-Control"] == "no-store"
    assert "SEND Practice" not in answer.text
    assert "reader.example" not in answer.text
    token = re.search(r'name="token" value="([^"]+)"', answer.text)
    assert token is not None
    done = client.post("/find-my-copies/renew", data={"token": token[1]})
    assert done.status_code == 200
    check_page(done.text, path="/find-my-copies/renew")
    assert "reader.example" not in done.text
    letter = sent()[-1]
    assert letter["To"] == "Anna Berg <anna@reader.example>"
    assert letter["Subject"] == "Here are your copies and orders"


def test_a_link_with_a_wrong_signature_shows_nothing_of_what_it_names(
    client: FlaskClient,
) -> None:
    a_paid_order(a_shop())
    token = token_of(link_to("library", anna().id))
    answer = client.get(f"/library/{token[:-8]}{token[-8:][::-1]}")
    assert answer.status_code in {404, 410}
    assert "SEND Practice" not in answer.text


def test_a_known_reference_under_another_key_is_an_old_link(client: FlaskClient) -> None:
    a_paid_order(a_shop())
    link = link_to("library", anna().id)
    # What a key that left the fallbacks had signed: right form, wrong signature.
    answer = client.get(f"/library/{tokens.sign(link.reference, 'elsewhere')}")
    assert answer.status_code == 410
    assert "Mail me a fresh link" in answer.text


def test_an_unknown_link_leads_to_find_my_copies(client: FlaskClient) -> None:
    a_shop()
    for token in ("nonsense", tokens.sign(tokens.new_reference(), "library")):
        answer = client.get(f"/library/{token}")
        assert answer.status_code == 404
        check_page(answer.text, path=f"/library/{token}")
        assert 'href="/find-my-copies"' in answer.text
        assert answer.headers["X-Robots-Tag"] == "noindex"


def test_the_path_of_a_mailed_address_is_short(client: FlaskClient) -> None:
    a_paid_order(a_shop())
    paths = [path_to(purpose, anna().id) for purpose in ("library", "order", "stop", "address")]
    assert max(len(path) for path in paths) <= 92
