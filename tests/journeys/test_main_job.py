"""The main job through the doors that people take, without scripts, every page on the way checked:
pre-order, pay, upload, release, letter, download, cancel, stop, renew, coverage."""

import email
import re
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from store.commands.demo import DEMO_OWNER, ensure_demo_owner
from store.demo.seed import edition_files, edition_notes, seed_publication, seed_seller
from store.kit.database import db, transaction
from store.mail.models import CapturedLetter
from tests.admin.conftest import Browser
from tests.conftest import on_both
from tests.mail.letter_rules import broken
from tests.pages import Page, check_letter_html, check_page
from tests.storefront.forms import fields_of, text_of

SLUG = "send-early-years"
DESK = f"/admin/publications/{SLUG}"


class Visitor:
    """A browser without scripts: follows links and sends the forms that a page shows."""

    def __init__(self, app: Flask) -> None:
        self._client = app.test_client()
        self.html = ""
        self.path = ""

    def open(self, path: str) -> "Visitor":
        return self._take(self._client.get(path), path)

    def send(self, button: str, **fields: Any) -> "Visitor":
        """Fill in and send the form that holds the button."""
        page = Page(self.html)
        pressed, above = next(
            (one, above) for one, above in page.elements
            if one.tag == "button" and " ".join("".join(one.itertext()).split()) == button
        )  # fmt: skip
        named = pressed.attrib.get("form")
        forms = [one for one in page.all("form") if one.attrib.get("id") == named and named]
        form = (forms or [one for one in above if one.tag == "form"])[0]
        own = {one.attrib["name"]: one.attrib.get("value", "") for one in form.iter("input")
               if one.attrib.get("type") not in {"checkbox", "radio", "file"}
               or "checked" in one.attrib}  # fmt: skip
        own |= {one.attrib["name"]: (one.text or "").strip() for one in form.iter("textarea")}
        if "name" in pressed.attrib:
            own[pressed.attrib["name"]] = pressed.attrib.get("value", "")
        path = form.attrib.get("action") or self.path
        return self._take(self._client.post(path, data=own | fields), path)

    def follow(self, words: str) -> "Visitor":
        """Press the link with these words."""
        link = next(
            one for one in Page(self.html).all("a")
            if " ".join("".join(one.itertext()).split()) == words
        )  # fmt: skip
        return self.open(link.attrib["href"])

    def get(self, path: str) -> bytes:
        """A file."""
        answer = self._client.get(path)
        assert answer.status_code == 200
        return answer.data

    @property
    def words(self) -> str:
        return text_of(self.html)

    def _take(self, answer: TestResponse, path: str) -> "Visitor":
        while answer.status_code in {302, 303}:
            path = urlsplit(answer.headers["Location"]).path
            query = urlsplit(answer.headers["Location"]).query
            answer = self._client.get(f"{path}?{query}" if query else path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:2000])
        self.html, self.path = answer.text, path
        check_page(self.html, path=path)
        return self


@pytest.fixture
def shop(app: Flask) -> Flask:
    """A shop with the sample publication on sale and its owner at the desk."""
    app.test_client_class = Browser
    with transaction():
        seed_seller()
        seed_publication()
    return app


def work(app: Flask) -> None:
    """What the worker does when bells have rung."""
    huey = app.extensions["colophon.huey"]
    while (task := huey.dequeue()) is not None:
        huey.execute(task)


def letters(app: Flask, to: str, words: str) -> list[EmailMessage]:
    """What arrived at an address, by words of the subject."""
    work(app)
    db.session.rollback()
    query = sa.select(CapturedLetter.octets).where(CapturedLetter.recipient == to)
    found = [
        cast(EmailMessage, email.message_from_bytes(octets, policy=default))
        for octets in db.session.scalars(query.order_by(CapturedLetter.id))
    ]
    db.session.rollback()
    return [letter for letter in found if words in letter["Subject"]]


def link(letter: EmailMessage, door: str) -> str:
    """The path of the first link to a door, the same in both parts."""
    parts = {kind: letter.get_body((kind,)) for kind in ("plain", "html")}
    texts = {kind: part.get_content() for kind, part in parts.items() if part}
    check_letter_html(texts["html"])
    found = {re.search(rf"https?://[^\"\s]+(/{door}/[\w.=-]+)", text)[1] for text in texts.values()}  # type: ignore[index]
    assert len(found) == 1
    return cast(str, found.pop())


def order(visitor: Visitor, address: str, act: str, *, now: bool = True) -> None:
    """From the publication's page to the paid order."""
    visitor.open(f"/publications/{SLUG}").follow(f"{act} for £12.50")
    visitor.send("Continue", email=address, name="Anna Berg")
    assert address in visitor.words
    assert "no VAT to pay £12.50" in visitor.words
    if "wants_now" in visitor.html and now:
        visitor.send("Order and pay £12.50 by card", wants_now="yes")
    else:
        visitor.send("Order and pay £12.50 by card")
    visitor.send("Pay £12.50")
    assert "You paid £12.50." in visitor.words


def publish(desk: Visitor, number: int, people: str) -> int:
    """From the publication's page to letters that leave; how many forms were sent."""
    desk.open(DESK).follow("Upload an edition")
    files = [path.open("rb") for path in edition_files(number)]
    desk.send("Upload", files=files, notes=edition_notes(number), severity="guidance")
    for file in files:
        file.close()
    assert "Nothing is sent yet." in desk.words
    desk.send(f"Release edition {number} to {people}", when="now")
    return 2


@on_both
def test_the_main_job_from_preorder_to_the_renewed_edition(shop: Flask) -> None:
    visitor, desk = Visitor(shop), Visitor(shop)
    anna, ben, chloe, dev, eve = (
        f"{name}@reader.example" for name in ["anna", "ben", "chloe", "dev", "eve"]
    )
    for address in (anna, ben, chloe):
        order(visitor, address, "Pre-order")
        assert len(letters(shop, address, "pre-order")) == 1

    # Chloé cancels; nobody asks why, all of it comes back.
    visitor.follow("Cancel this order").send("Cancel and get £12.50 back", sure="yes")
    assert "This order is cancelled and refunded" in visitor.words
    assert len(letters(shop, chloe, "refunded")) == 1

    desk.open("/admin/sign-in")
    desk.send("Sign in", email=DEMO_OWNER, password=ensure_demo_owner())
    assert publish(desk, 1, "2 people") <= 3
    copies = {address: link(letters(shop, address, "Edition 1")[0], "library")
              for address in (anna, ben)}  # fmt: skip
    assert letters(shop, chloe, "Edition 1") == []
    first = {path: path.read_bytes() for path in edition_files(1)}
    for path, octets in first.items():
        visitor.open(copies[anna])
        kind = path.suffix.removeprefix(".").upper()
        link_to = next(one for one in Page(visitor.html).all("a") if one.text == f"Download {kind}")
        assert visitor.get(link_to.attrib["href"]) == octets

    # Ben wants no more news, Dev buys what is out, Eve rather keeps her 14 days.
    visitor.open(link(letters(shop, ben, "Edition 1")[0], "stop")).send("Stop news of new editions")
    order(visitor, dev, "Buy")
    assert "edition 1 Download PDF" in visitor.words
    order(visitor, eve, "Buy", now=False)
    assert "Download PDF" not in visitor.words

    assert publish(desk, 2, "3 people") <= 3
    for address in (anna, dev):
        renewed = letters(shop, address, "Edition 2")
        assert len(renewed) == 1
        visitor.open(link(renewed[0], "library"))
        # Anna has fetched the one before.
        told = "New for you: edition 2" if address == anna else "Edition 2, newest"
        assert told in visitor.words
    assert letters(shop, ben, "Edition 2") == []
    assert letters(shop, eve, "Edition 2") == []
    # The old letter leads to the renewed edition even for a customer who stopped the news.
    assert "Edition 2, newest" in visitor.open(copies[ben]).words

    desk.open(f"{DESK}/editions/2")
    account = _columns(desk)
    assert account["handed over"] == "2"
    assert account["waiting"] == "1"
    assert account["left out"] == "2"
    assert account["missing"] == account["undeliverable"] == account["held"] == "0"
    desk.open(f"{DESK}/editions/2/people/left_out")
    assert "Asked for no notices of new editions" in desk.words
    assert "The order was refunded" in desk.words
    for octets in db.session.scalars(sa.select(CapturedLetter.octets)):
        assert broken(octets, domain="127.0.0.1", notice=False) == []


def _columns(visitor: Visitor) -> dict[str, str]:
    """What each column of the account is called, and its count."""
    columns = next(
        one for one in Page(visitor.html).all("ul") if one.attrib.get("class") == "columns"
    )
    told = [[text.strip() for text in one.itertext() if text.strip()] for one in columns]
    return {words: count for count, words in told}


def test_the_fields_of_a_form_keep_what_was_typed_from_step_to_step(shop: Flask) -> None:
    visitor = Visitor(shop)
    visitor.open(f"/publications/{SLUG}/order")
    typed = {"email": "zoë@reader.example", "name": "Zoë <b>Ní</b>", "organisation": "Hill & Dale"}
    visitor.send("Continue", **typed)
    visitor.send("Change e-mail")
    kept = fields_of(visitor.html, "email")
    assert {name: kept[name] for name in typed} == typed
