"""Links as they come out of letters, chats and papers: with a mark behind, torn, or cut short."""

from urllib.parse import quote

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.entitlements.models import Link
from store.kit import tokens
from store.kit.database import db, transaction
from store.storefront.lost_links import DOORS
from tests.conftest import Clock
from tests.letters import sent
from tests.links import anna, path_to
from tests.pages import check_page
from tests.rows import count_rows
from tests.stocked import Stocked, stock
from tests.storefront.forms import fields_of, text_of

pytestmark = pytest.mark.usefixtures("frozen")

MARKS = [".", ",", ")", ">", "]", '"', "'", ";", ":", "!", "?", "…", "”", ").", ">,", "%2E", "%22"]
BUTTON = "Mail me a fresh link"


@pytest.fixture
def shop(app: Flask, frozen: Clock) -> Stocked:
    return stock(app)


def doors(shop: Stocked, app: Flask) -> list[str]:
    """An address of every door that a token opens, but those of the demonstration."""
    rules = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and rule.rule.split("/")[1] in DOORS
    }
    return sorted(shop.path(rule) for rule in rules)


def token_in(path: str) -> str:
    return path.split("/")[2]


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.long)])
def test_a_mark_behind_a_good_link_leads_to_the_page(
    app: Flask, client: FlaskClient, shop: Stocked, every: int
) -> None:
    """At each door each seventh mark, at the next door others; `make test-long` tries them all."""
    for number, path in enumerate(doors(shop, app)):
        token, plain = token_in(path), client.get(path)
        for mark in MARKS[number % every :: every]:
            behind_token = path.replace(token, token + quote(mark))
            for written in (path + mark, path + quote(mark), behind_token):
                answer = client.get(written, follow_redirects=True)
                assert answer.status_code == 200, written
                if answer.mimetype == "text/html":
                    assert text_of(answer.text) == text_of(plain.text)
                    assert f"{token}{quote(mark)}" not in answer.text


def test_a_link_that_was_torn_at_column_76_works(
    app: Flask, client: FlaskClient, shop: Stocked
) -> None:
    at = 76 - len("http://127.0.0.1:8000")
    for path in doors(shop, app):
        for tear in ("\r\n", "\n", " ", "=\n", "=\r\n", "=", "\u00ad"):
            answer = client.get(path[:at] + quote(tear) + path[at:])
            assert answer.status_code == 200, (path, tear)


def test_a_link_cut_short_leads_to_the_page_or_to_the_button(
    app: Flask, client: FlaskClient, shop: Stocked
) -> None:
    before = count_rows()
    for path in doors(shop, app):
        start = path.index(token_in(path)) + 31
        for end in {start, start + 1, start + 2, start + 20, *range(start + 40, len(path))}:
            answer = client.get(path[:end], follow_redirects=True)
            if answer.status_code == 200:
                assert len(path[:end].split("/")[2]) == 83, path[:end]
                continue
            if not path.startswith(("/library/", "/orders/", "/stop/", "/download/")):
                words = ("Find my copies", "Ask for a new link", BUTTON)
                assert answer.status_code == 410
                assert any(one in text_of(answer.text) for one in words)
                continue
            is_file = path.startswith("/download/") and path[:end].count("/") > 2
            assert answer.status_code == (404 if is_file and path[end - 1] != "/" else 410), path[
                :end
            ]
            assert BUTTON in answer.text
    for path in doors(shop, app):
        cut = path[: path.index(token_in(path)) + 30]
        answer = client.get(cut, follow_redirects=True)
        assert answer.status_code == 404
        assert "Part of it may be missing." in text_of(answer.text)
    after = count_rows()
    assert {name for name in before if before[name] != after[name]} <= {"downloads"}


def test_the_button_takes_every_spelling_and_repeats_no_token(
    client: FlaskClient, shop: Stocked
) -> None:
    token = token_in(path_to("library", anna().id))
    sent()
    for spelled in (
        token,
        token + ").",
        token[:31],
        token[:50],
        token[:60] + "=\n" + token[60:],
        token[:-1] + "A",
    ):
        answer = client.post("/find-my-copies/renew", data={"token": spelled})
        assert (answer.status_code, "Look in your mailbox" in answer.text) == (200, True), spelled
    for spelled in ("", token[:30], "x" * 40):
        assert client.post("/find-my-copies/renew", data={"token": spelled}).status_code == 404
    page = client.get(f"/library/{token[:60]}")
    carried = fields_of(page.text, "token")["token"]
    assert carried == tokens.unsigned(tokens.reference_of(token))
    assert client.get(f"/library/{carried}").status_code == 410
    assert client.post("/find-my-copies/renew", data={"token": carried}).status_code == 200
    assert sent()[-1]["Subject"] == "Here are your copies and orders"


def test_the_page_of_a_dead_link_gives_the_right_reason(
    client: FlaskClient, shop: Stocked, frozen: Clock
) -> None:
    path = path_to("library", anna().id)
    order = f"/orders/{shop.order}"
    assert text_of(client.get(path[:-5]).text).startswith("Part of this link is missing")
    frozen.advance(days=401)
    assert text_of(client.get(path).text).startswith("This link is too old")
    assert client.post(f"/address/{shop.address}").status_code == 410
    frozen.advance(days=-401)
    assert client.post(f"/address/{shop.address}", data={"sure": "yes"}).status_code == 200
    for dead in (path, order, path[:-5], f"/publications/later/order?resume={shop.preorder}"):
        answer = client.get(dead)
        assert answer.status_code == 410
        is_library = dead.startswith("/library/")
        assert ("The e-mail address was changed" in text_of(answer.text)) is is_library
        assert ("It was replaced or used up." in text_of(answer.text)) is not is_library
        assert "anna@new.example" not in answer.text
        check_page(answer.text, path=dead)
    answer = client.get(f"/publications/later/order?resume={shop.preorder}")
    sent()
    client.post("/find-my-copies/renew", data=fields_of(answer.text, "token"))
    assert sent()[-1]["To"].addresses[0].addr_spec == "anna@new.example"


def test_a_name_of_no_file_says_so_and_mails_the_way_to_all_of_them(
    client: FlaskClient, shop: Stocked
) -> None:
    token = token_in(shop.download)
    texts = set()
    for name in ("guide.pdf", "send-early-years-edition-9.pdf", "later-1-pdf/x.pdf", "x/y.epub"):
        answer = client.get(f"/download/{token}/{name}")
        assert answer.status_code == 404
        check_page(answer.text, path=name)
        texts.add(text_of(answer.text))
        assert (
            client.post("/find-my-copies/renew", data=fields_of(answer.text, "token")).status_code
            == 200
        )
    (words,) = texts
    assert words.startswith("We do not know this file Your link is good")


def test_an_ended_link_opens_in_no_spelling(client: FlaskClient, shop: Stocked) -> None:
    with transaction() as session:
        session.execute(sa.update(Link).values(revoked_at=anna().created_at))
    db.session.rollback()
    for path in (path_to("library", anna().id), f"/orders/{shop.order}", shop.download):
        if path.startswith("/library/"):
            continue
        for mark in ("", ".", ")", "%2E"):
            assert client.get(path + mark, follow_redirects=True).status_code == 410


@pytest.mark.parametrize(
    "path",
    [
        "/%2Forders/x/receipt.",
        "//orders/x/receipt.",
        "/\\orders/x/receipt.",
        "//terms.",
        "//elsewhere.example/.",
    ],
)
def test_a_mark_behind_an_address_never_leads_to_another_host(
    client: FlaskClient, shop: Stocked, path: str
) -> None:
    for asked in (path, path.replace("x", shop.order)):
        answer = client.get("/", environ_overrides={"PATH_INFO": asked})
        assert answer.status_code in {302, 308, 404, 410}
        where = answer.headers.get("Location", "/")
        assert not where.removeprefix("http://localhost").startswith(("//", "/\\")), where
