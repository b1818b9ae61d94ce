"""What goes along with every answer and every letter, kept as snapshots; hosts and sizes refused."""

import email
import gzip
import re
from collections.abc import Iterator
from datetime import timedelta
from email import policy
from email.header import decode_header, make_header
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.app import create_app
from store.catalog.models import Publication
from store.catalog.sellers import state_seller
from store.entitlements.addresses import confirm_change, undo_change
from store.entitlements.erasures import stop_erasure
from store.entitlements.fresh_links import ask_for_copies
from store.entitlements.links import open_link
from store.entitlements.models import Link, News
from store.entitlements.news import choose_by_press
from store.entitlements.order_moves import accept_move, hold_order, request_move, settle_held
from store.entitlements.second_addresses import refuse_second
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import letters, outbox
from store.mail.models import CapturedLetter, Delivery
from store.mail.worker import send_due_letters
from store.orders.models import Order
from store.payments.checkout import begin_checkout
from store.payments.date_moves import change_date
from store.payments.refunds import refund_order
from store.staff.membership import invite
from tests.conftest import Clock, make_settings
from tests.editions import draft, release
from tests.factories import a_publication, a_seller
from tests.mail.letter_rules import Head, broken
from tests.pages import check_letter_html, check_page
from tests.payments.gateway_side import failed_slowly
from tests.purchases import an_order, buy
from tests.snapshots import snapshot
from tests.stocked import Stocked, stock

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Values that differ from run to run: what they look like stands in the snapshot.
MASKS = [
    (r"[\w-]{30,}\.[\w-]{5,8}\.[\w-]{20,}", "TOKEN"),
    (r"\b[0-9a-f]{64}\b", "SHA256"),
    (r"^(Message-ID: <)[^@]+@", r"\1RANDOM@"),
    (r"^Date: .*$", "Date: MOMENT"),
    (r"^(X-Request-Id: )[0-9a-f]{12}$", r"\1NUMBER"),
    (r"\b[2-9A-Z]{4}-[2-9A-Z]{4}\b", "REFERENCE"),
    (r"\.[0-9a-f]{12}\.", ".DIGEST."),
]


def _masked(text: str) -> str:
    for pattern, word in MASKS:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text


@pytest.fixture
def shop(frozen: Clock, app: Flask) -> Stocked:
    """A shop in which every public address leads somewhere, at 10:00 on 1 March 2027."""
    return stock(app)


def test_headers_of_answers_are_as_they_were(shop: Stocked, client: FlaskClient) -> None:
    addresses = {
        "a public page": "/publications/<slug>",
        "a page about us": "/terms",
        "the order form": "/publications/<slug>/order",
        "the library": "/library/<token>",
        "an order": "/orders/<token>",
        "the stop page": "/stop/<token>",
        "a download": "/download/<token>/<asset>",
        "a cover": "/covers/<digest>/<int:width>.<kind>",
        "a free sample": "/publications/<slug>/sample/<filename>",
        "a static file": "/static/<name>",
        "a letter in the inbox": "/demo/inbox/<int:letter_id>",
        "its HTML": "/demo/inbox/<int:letter_id>/html",
        "its source": "/demo/inbox/<int:letter_id>/source",
        "the desk without a sign-in": "/admin/",
        "the desk's sign-in": "/admin/sign-in",
        "a page that is not there": "/nowhere",
        "health": "/healthz",
    }
    parts = []
    for name, rule in addresses.items():
        answer = client.get(shop.path(rule), headers={"Accept-Encoding": "gzip"})
        head = "".join(f"{key}: {value}\n" for key, value in sorted(answer.headers))
        parts.append(f"## {name}: {answer.status}\n{head}\n")
    snapshot("headers.txt", _cookies_masked(_masked("".join(parts))))


def _cookies_masked(text: str) -> str:
    text = re.sub(r"Content-Length: \d+", "Content-Length: N", text)
    return re.sub(r"(Set-Cookie: \w+)=[^;]+", r"\1=SIGNED", text)


def test_every_page_carries_the_policy_to_the_letter(shop: Stocked, client: FlaskClient) -> None:
    for rule in (
        "/",
        "/terms",
        "/library/<token>",
        "/find-my-copies",
        "/nowhere",
        "/admin/sign-in",
    ):
        answer = client.get(shop.path(rule))
        assert answer.headers.getlist("Content-Security-Policy") == [POLICY]


def test_over_https_the_cookie_is_bound_to_the_host_and_https_is_kept(
    database_url: str, tmp_path: Path
) -> None:
    settings = make_settings(
        tmp_path, database_url=database_url, base_url="https://shop.example.org"
    )
    app = create_app(settings)
    client = app.test_client()
    with app.app_context():
        page = client.get("/terms", base_url="https://shop.example.org")
        desk = client.get("/admin/sign-in", base_url="https://shop.example.org")
        db.session.remove()
        db.engine.dispose()
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert page.headers.getlist("Set-Cookie") == []
    (cookie,) = desk.headers.getlist("Set-Cookie")
    assert re.sub(r"=[^;]+", "=SIGNED", cookie, count=1) == (
        "__Host-desk=SIGNED; Secure; HttpOnly; Path=/; SameSite=Lax"
    )


@pytest.mark.parametrize(
    ("env", "host", "status"),
    [
        ("testing", "shop.example.org", 200),
        ("testing", "shop.example.org:8443", 200),
        ("testing", "localhost", 200),
        ("testing", "evil.example", 400),
        ("testing", "shop.example.org.evil.example", 400),
        ("testing", "evilshop.example.org", 400),
        ("production", "shop.example.org", 200),
        ("production", "localhost", 400),
        ("production", "127.0.0.1", 400),
    ],
)
def test_only_our_own_name_is_answered(
    database_url: str, tmp_path: Path, env: str, host: str, status: int
) -> None:
    mail = {"mail_server": "mail.example.org", "mail_default_sender": "shop@example.org"}
    settings = make_settings(
        tmp_path, database_url=database_url, env=env, base_url="https://shop.example.org", **mail
    )
    app = create_app(settings)
    answer = app.test_client().get("/terms", headers={"Host": host})
    with app.app_context():
        db.engine.dispose()
    assert answer.status_code == status
    assert "evil" not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/find-my-copies", {"who": "x" * 70_000}),
        ("/publications/send-early-years/order", {"name": "x" * 70_000}),
        ("/publications/send-early-years/order", {f"field{n}": "x" for n in range(100_000)}),
        ("/webhooks/demo", {"x": "y" * 70_000}),
    ],
    ids=["a field", "an order", "many fields", "a webhook"],
)
def test_what_is_too_large_is_refused_in_words(
    app: Flask, client: FlaskClient, path: str, data: dict[str, str]
) -> None:
    with transaction():
        a_seller()
        a_publication()
    answer = client.post(path, data=data)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 413
    check_page(page, path=path)
    assert "That is larger than we can take." in page


def test_too_many_parts_of_a_form_are_refused_in_words(client: FlaskClient) -> None:
    fields = {f"field{n}": "x" for n in range(70)}
    answer = client.post("/find-my-copies", data=fields, content_type="multipart/form-data")
    assert answer.status_code == 413
    check_page(answer.get_data(as_text=True), path="/find-my-copies")


@pytest.fixture
def every_letter(frozen: Clock, database_url: str, tmp_path: Path) -> Iterator[dict[str, bytes]]:
    """The octets of one letter of each kind, sent by the rules that doors call."""
    url = "https://shop.example.org"
    app = create_app(make_settings(tmp_path, database_url=database_url, base_url=url))
    with app.app_context():
        shop = stock(app)
        with transaction():
            state_seller(bank_details="Sort code 00-00-00, account 00000000")
        begin_checkout(an_order("t" * 22), "manual")
        failed_slowly(an_order("s" * 22))
        send_due_letters()
        with transaction():
            refuse_second(open_link(shop.refuse, "refuse"))
        with transaction() as session:
            order_id = open_link(shop.order, "order").order_id or 0
            anna_id = confirm_change(open_link(shop.address, "address")).id
            ask_for_copies("anna@new.example")
            choose_by_press(anna_id, 2, News.NOTHING)
            stop_erasure(anna_id, "customer")
            outbox.alert_staff("A test of alerts", "Nothing happened.", "test-alert")
            drafted = draft(session.get_one(Publication, 1), 2)
        release(drafted)
        send_due_letters()
        with transaction():
            undo_change(open_link(shop.undo, "undo"))
        objected = _moved_and_objected()
        with transaction():
            settle_held(objected, is_given_back=True, who="test")
            invite("ines@publisher.example", "editor")
        refund_order(order_id, who="test", why="", key="k")
        with transaction():
            promised = a_publication("promised")
            buy(promised)
            change_date(promised, clock.now().date() + timedelta(days=60), "Late.", "test")
        send_due_letters()
        yield _captured_by_kind()
        db.session.remove()
        db.engine.dispose()


def _moved_and_objected() -> int:
    """An order that went to another address, and is held; its number."""
    with transaction() as session:
        paid = sa.select(Order.id).where(Order.status == "paid").order_by(Order.id.desc())
        order_id = session.scalars(paid).first() or 0
        moving = request_move(order_id, "else@new.example").id
    with transaction() as session:
        accept_move(session.get_one(Link, moving))
    send_due_letters()
    with transaction() as session:
        undo = sa.select(Link).where(Link.purpose == "undo", Link.order_id == order_id)
        hold_order(session.scalars(undo).one())
    return order_id


def _captured_by_kind() -> dict[str, bytes]:
    """The first letter of each kind; the Message-ID says which it is."""
    db.session.rollback()
    kinds = {one.message_id: one.kind for one in db.session.scalars(sa.select(Delivery))}
    found: dict[str, bytes] = {}
    for octets in db.session.scalars(sa.select(CapturedLetter.octets).order_by(CapturedLetter.id)):
        found.setdefault(kinds[Head(octets).one("message-id")], octets)
    return found


def test_letters_of_every_kind_are_sent_and_their_headers_are_as_they_were(
    every_letter: dict[str, bytes],
) -> None:
    assert sorted(every_letter) == letters.kinds()
    parts = []
    for kind, octets in sorted(every_letter.items()):
        head = octets.split(b"\r\n\r\n", 1)[0].decode("ascii").replace("\r\n", "\n")
        parts.append(f"## {kind}\n{_readable(head)}\n\n")
    snapshot("letters.txt", _masked("".join(parts)))


def _readable(head: str) -> str:
    """The head with its encoded words in plain letters, so that order references can be masked."""
    words = re.compile(r"^(Subject: )(=\?.*(?:\n =\?.*)*)$", re.MULTILINE)
    return words.sub(lambda found: found[1] + str(make_header(decode_header(found[2]))), head)


def test_letters_of_every_kind_keep_the_rules_of_mail(every_letter: dict[str, bytes]) -> None:
    for kind, octets in every_letter.items():
        assert broken(octets, notice=kind == "edition_notice") == [], kind
        message = email.message_from_bytes(octets, policy=policy.default)
        html = message.get_body(("html",))
        assert html is not None
        check_letter_html(html.get_content())


@pytest.mark.parametrize("kind", letters.kinds())
def test_every_kind_of_letter_has_a_preview(app: Flask, kind: str) -> None:
    with transaction():
        a_seller()
    shown = letters.preview(kind)
    assert shown.subject
    assert shown.text
    assert shown.html


def test_what_is_public_is_compressed_and_no_page_with_a_secret(
    shop: Stocked, client: FlaskClient
) -> None:
    def how(rule: str) -> tuple[str | None, str | None]:
        answer = client.get(shop.path(rule), headers={"Accept-Encoding": "br;q=1.0, gzip;q=0.8"})
        return answer.headers.get("Content-Encoding"), answer.headers.get("Vary")

    for rule in ("/", "/publications/<slug>", "/terms", "/privacy", "/static/<name>"):
        path = shop.path(rule)
        assert how(rule) == ("gzip", "Accept-Encoding"), rule
        packed = client.get(path, headers={"Accept-Encoding": "gzip"})
        plain = client.get(path, headers={"Accept-Encoding": "gzip;q=0"})
        assert gzip.decompress(packed.data) == plain.data
        assert len(packed.data) < len(plain.data) * 2 // 3
    for rule in (
        "/library/<token>",
        "/orders/<token>",
        "/publications/<slug>/order",
        "/stop/<token>",
        "/find-my-copies",
        "/admin/sign-in",
        "/covers/<digest>/<int:width>.<kind>",
    ):
        assert how(rule)[0] is None, rule
