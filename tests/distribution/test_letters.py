"""The edition notice as its customer reads it, and when it is left out after all."""

import email
import re
from email import policy
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.faces import change_face
from store.catalog.models import Publication
from store.catalog.publications import publication_by_slug
from store.distribution import recalling, rehearsal
from store.entitlements import granting
from store.kit.database import db, transaction
from store.mail.letters import preview
from store.mail.models import CapturedLetter, DeliveryStatus
from store.orders.models import Customer
from tests.conftest import Clock, make_settings, on_both_when_long
from tests.distribution.reached import a_copy_came_before
from tests.editions import draft, drafted_and_released
from tests.factories import a_customer, a_publication, a_seller
from tests.letters import deliveries, send
from tests.mail.letter_rules import check
from tests.news import resume_news, stop_news
from tests.pages import Page, check_letter_html
from tests.purchases import buy, give_imported


@pytest.fixture
def publication(app: Flask, frozen: Clock) -> Publication:
    with transaction():
        a_seller()
        publication: Publication = a_publication(updates_months=24, expected_on=None)
    return publication


def _notices(letters: list[CapturedLetter]) -> list[tuple[EmailMessage, str, str]]:
    """Message, text and HTML of the letters that carry List-Unsubscribe."""
    found = []
    for letter in letters:
        message = email.message_from_bytes(letter.octets, policy=policy.default)
        if message["List-Unsubscribe"] or "[TEST]" in message["Subject"]:
            text, html = (
                part.get_content()
                for part in message.walk()
                if part.get_content_maintype() == "text"
            )
            found.append((message, text, html))
    return found


def _words(text: str) -> list[str]:
    return re.findall(r"[\w’£]+", text)


def test_a_preorder_hears_that_the_copy_is_ready(publication: Publication, frozen: Clock) -> None:
    with transaction():
        buy(publication)
    frozen.advance(days=30)
    drafted_and_released(publication, notes="- Forms for **2027**\n- See [us](https://a.example/)")
    ((message, text, html),) = _notices(send())
    title = "Effective SEND Practice in the Early Years"
    assert message["To"] == "Anna Berg <anna@reader.example>"
    assert message["Subject"] == f"Edition 1 is ready: {title}"
    assert f"You pre-ordered {title} on 1 March 2027. It is out now" in text
    assert "- Forms for 2027\r\n- See us (https://a.example/)" in text
    assert "<strong>2027</strong>" in html
    assert "New editions are yours until 31 March 2029." in text
    assert "/library/" in text
    assert "/stop/" in message["List-Unsubscribe"]
    assert "Early Years Sample Press" in text


def test_a_renewal_says_when_it_was_bought_and_that_it_costs_nothing(
    publication: Publication, frozen: Clock
) -> None:
    with transaction():
        buy(publication, name="")
        give_imported(a_customer("moved@reader.example"), publication, notify=False)
    drafted_and_released(publication)
    send()
    frozen.advance(days=60)
    drafted_and_released(publication, 2, label="Spring 2027", notes="")
    (bought, moved) = _notices(send())[-2:]
    title = "Effective SEND Practice in the Early Years"
    assert bought[0]["Subject"] == f"Edition 2 is out: {title}"
    assert (
        f"You bought {title} on 1 March 2027. This is edition 2 (Spring 2027), and it is yours "
        "at no charge." in bought[1]
    )
    assert "Dear" not in bought[1]
    assert "What changed" not in bought[1] + bought[2]
    assert f"You have a copy of {title}. This is edition 2" in moved[1]


def test_the_notice_keeps_to_the_rules_of_deliverability(
    app: Flask, publication: Publication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = make_settings(tmp_path, base_url="https://shop.example.org")
    monkeypatch.setitem(app.extensions, "colophon.settings", public)
    with transaction():
        buy(publication)
    drafted_and_released(publication)
    (found,) = [one for one in send() if "Edition 1 is ready" in one.subject]
    broken = [row for row in check(found.octets) if not row.ok]
    assert broken == []
    assert len(found.octets) <= 15_000


def test_text_and_html_say_the_same(publication: Publication) -> None:
    with transaction():
        buy(publication)
    drafted_and_released(publication)
    _, text, html = _notices(send())[-1]
    body = re.sub(r"<style.*?</style>|<title>.*?</title>|<[^>]+>", " ", html, flags=re.DOTALL)
    shown = set(_words(re.sub(r"https?://\S+", "", text)))
    assert len(shown & set(_words(body))) / len(shown) >= 0.95


@on_both_when_long
def test_what_changed_since_the_release_leaves_the_letter_out(app: Flask, frozen: Clock) -> None:
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        refunded = buy(publication, "refunded@reader.example")
        stopped = buy(publication, "stopped@reader.example")
        a_copy_came_before(stopped)
        undone = buy(publication, "undone@reader.example")
    edition = drafted_and_released(publication)
    with transaction():
        granting.revoke_order(refunded, "refunded")
        stop_news(stopped.customer_id, publication.id)
        stop_news(undone.customer_id, publication.id)
        resume_news(undone.customer_id, publication.id)
    send()
    assert deliveries(edition) == {
        "refunded@reader.example": (DeliveryStatus.SKIPPED, "refunded"),
        "stopped@reader.example": (DeliveryStatus.SKIPPED, "asked us to stop"),
        "undone@reader.example": (DeliveryStatus.SENT, ""),
    }


def test_a_first_copy_that_waited_for_the_14_days_comes_although_notices_are_stopped(
    publication: Publication, frozen: Clock
) -> None:
    edition = drafted_and_released(publication)
    frozen.advance(days=1)
    with transaction():
        order = buy(publication, wants_now=False)
        stop_news(order.customer_id, publication.id)
    frozen.advance(days=15)
    send()
    assert deliveries(edition) == {"anna@reader.example": (DeliveryStatus.SENT, "")}
    ((_, text, _html),) = _notices(send())
    assert "The 14 days are over, and your copy of edition 1 is ready." in text


def test_who_waited_for_a_withdrawn_edition_gets_the_sound_one_as_a_first_copy(
    publication: Publication, frozen: Clock
) -> None:
    drafted_and_released(publication)
    frozen.advance(days=1)
    wrong = drafted_and_released(publication, 2)
    with transaction():
        buy(publication, wants_now=False)
        recalling.withdraw(wrong, "Olga")
    frozen.advance(days=15)
    ((_, text, _html),) = _notices(send())
    assert "The 14 days are over, and your copy of edition 1 is ready." in text


def test_a_test_letter_is_marked_and_opens_nothing_of_a_customer(publication: Publication) -> None:
    with transaction():
        edition = draft(publication)
        rehearsal.send_test(edition, "desk@publisher.example")
        rehearsal.send_test(edition, "desk@publisher.example")
    found = _notices(send())
    assert [message["To"] for message, _, _ in found] == ["desk@publisher.example"] * 2
    message, text, _ = found[0]
    assert message["Subject"].startswith("[TEST] ")
    assert message["List-Unsubscribe"] is None
    assert "/library/" not in text
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Customer)) == 0
    db.session.rollback()


def test_a_name_is_greeted_without_what_is_no_name(publication: Publication) -> None:
    with transaction():
        buy(publication, name="Ann <b>& Co</b>, Ltd")
    drafted_and_released(publication)
    ((message, text, html),) = _notices(send())
    assert "Dear Ann b Cob Ltd," in text
    assert "Dear Ann b Cob Ltd," in html
    assert message["To"].addresses[0].display_name == "Ann b Cob Ltd"


def test_the_notice_can_be_looked_at_without_a_customer(publication: Publication) -> None:
    assert preview("edition_notice").subject.startswith("Edition 2 is out: ")


@pytest.mark.parametrize(
    ("severity", "sentence"),
    [
        ("law", "The law or the rules have changed, so please work by this edition from now on."),
        ("guidance", "The guidance has changed."),
        ("minor", ""),
    ],
)
def test_a_renewal_says_how_much_it_matters(
    publication: Publication, severity: str, sentence: str
) -> None:
    with transaction():
        buy(publication)
    drafted_and_released(publication)
    send()
    drafted_and_released(publication, 2, severity=severity)
    _, text, html = _notices(send())[-1]
    said = [one for one in ("The law or", "The guidance has") if one in text]
    assert (sentence in text, sentence in html, len(said)) == (True, True, bool(sentence))


def test_a_letter_wears_the_face_of_today_and_its_cover_leads_where_its_button_does(
    publication: Publication, frozen: Clock
) -> None:
    with transaction():
        buy(publication, wants_now=True)
    drafted_and_released(publication)
    ((_, _, before),) = _notices(send())
    check_letter_html(before)
    drawn = f"http://127.0.0.1:8000/publications/{publication.slug}/cover.png"
    assert [one.attrib["src"] for one in Page(before).all("img")] == [drawn]
    frozen.advance(days=1)
    with transaction():
        change_face(accent="#7a2f2b", line="We print slowly.", logo_sha256="b" * 64)
        publication_by_slug(publication.slug).cover_sha256 = "c" * 64
    drafted_and_released(publication_by_slug(publication.slug), 2, notes="- It is *new*.")
    (_, text, html) = _notices(send())[-1]
    check_letter_html(html)
    page = Page(html)
    shown = {one.attrib["src"]: one.attrib["alt"] for one in page.all("img")}
    assert shown == {
        f"http://127.0.0.1:8000/face/{'b' * 64}.png": "",
        f"http://127.0.0.1:8000/covers/{'c' * 64}/320.jpg": f"Cover of {publication.title}",
    }
    links = {one.attrib.get("class"): one.attrib["href"] for one in page.all("a")}
    assert links["cover"] == links["press"]
    assert "It is new." in html.partition('<div class="preheader"')[2].partition("</div>")[0]
    assert ("#7a2f2b" in html, "#0e5a52" in html, "#0e5a52" in before) == (True, False, True)
    assert "We print slowly." in text
