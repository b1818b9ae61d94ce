"""The first page of the desk: the next step, what needs a person, what goes out, thirty days."""

import html
import re
from datetime import timedelta

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Publication
from store.distribution import releasing
from store.entitlements.erasing import erase_person
from store.kit import clock
from store.kit.database import db, transaction
from store.mail.models import Delivery, DeliveryStatus
from tests.admin.contested import contest
from tests.admin.sign_in import press, signed_in
from tests.conftest import Clock, on_both
from tests.editions import a_shop, draft
from tests.letters import send
from tests.links import anna
from tests.pages import page_at
from tests.purchases import a_paid_order

NEED = re.compile(r"<li>\s*<p>\s*<b>(.*?)</b>(.*?)</li>", re.DOTALL)
LINK = re.compile(r'<a class="button ([a-z]*)" href="([^"]+)">([^<]+)</a>')


def home(desk: FlaskClient) -> str:
    return html.unescape(page_at(desk, "/admin/"))


def needs(page: str) -> list[tuple[str, str]]:
    """What stands in bold on the list of needs, and the button beside it."""
    sheet = page.partition('<ul class="rows sheet">')[2].partition("</ul>")[0]
    acts = [(what, LINK.search(rest)) for what, rest in NEED.findall(sheet)]
    return [(what, found[3] if found else "") for what, found in acts]


def first_button(page: str) -> tuple[str, str]:
    found = LINK.search(page)
    assert found
    return found[3], found[2]


def test_the_first_button_is_the_next_step_of_the_main_job(
    frozen: Clock, desk: FlaskClient
) -> None:
    assert first_button(home(desk)) == ("Say who sells", "/admin/seller")
    publication = a_shop()
    path = f"/admin/publications/{publication.slug}"
    words = f"Upload the next edition of {publication.title}"
    assert first_button(home(desk)) == (words, f"{path}/upload")
    with transaction() as session:
        draft(session.get_one(Publication, publication.id), 2)
    edition = f"{path}/editions/2"
    assert first_button(home(desk)) == ("Go on with edition 2", edition)
    a_paid_order(db.session.merge(publication))
    press(desk, f"{edition}/release", {"people": "1", "when": "now"}, seen_on=edition)
    assert first_button(home(desk)) == ("Look at edition 2 before it goes out", edition)
    frozen.advance(hours=1)
    releasing.release_due()
    page = home(desk)
    assert first_button(page) == ("Watch edition 2 go out", edition)
    assert "Goes out now" in page
    send()
    assert "Goes out now" not in home(desk)
    assert "Nothing needs you now" in home(desk)


@on_both
def test_what_needs_a_person_stands_there_with_its_act_nearest_deadline_first(
    frozen: Clock, desk: FlaskClient, order_id: int
) -> None:
    assert needs(home(desk)) == []
    contest(order_id)  # to be answered within nine days
    with transaction() as session:
        publication = session.scalars(sa.select(Publication)).one()
        publication.expected_on = clock.now().date() + timedelta(days=7)
        title = publication.title
        letter = session.scalars(sa.select(Delivery).order_by(Delivery.id)).first()
        assert letter
        letter.status, letter.reason = DeliveryStatus.FAILED, "550 5.1.1 No such mailbox"
    page = home(desk)
    assert "Three things need you" in page
    assert needs(page) == [
        (f"{title} is promised for Monday 8 March, in 7 days.", "Move the date"),
        ("A bank disputes £12.50.", "Answer it"),
        ("1 letter could not be delivered.", "Mend the address"),
    ]
    assert "Answer by Wednesday 10 March, in 9 days." in page
    frozen.advance(days=8)
    late = needs(home(signed_in(desk)))
    assert late[0] == (f"{title} was promised for 8 March 2027.", "Move the date")


def test_a_role_is_shown_what_it_may_do(app: Flask, frozen: Clock, order_id: int) -> None:
    contest(order_id)
    with transaction() as session:
        session.scalars(sa.select(Publication)).one().expected_on = clock.now().date()
    seen = {
        role: [act for _, act in needs(home(signed_in(app.test_client(), role)))]
        for role in ("owner", "editor", "support")
    }
    assert seen == {
        "owner": ["Move the date", "Answer it"],
        "editor": ["Move the date"],
        "support": ["Answer it"],
    }


@on_both
def test_thirty_days_stand_against_the_thirty_before(frozen: Clock, desk: FlaskClient) -> None:
    publication = a_shop()
    assert "Thirty days" not in home(desk)
    for number in range(3):
        a_paid_order(db.session.merge(publication), f"early{number}@reader.example")
    frozen.advance(days=30)
    a_paid_order(db.session.merge(publication), "late@reader.example")
    page = home(signed_in(desk))
    figures = re.findall(
        r'<dt class="small">([^<]+)</dt>\s*<dd class="big">\s*([^<]+?)\s*</dd>', page
    )
    assert figures == [
        ("Received, less what went back", "£12.50"),
        ("Orders paid", "1"),
        ("The 30 days before", "3"),
    ]
    chart = "Orders a day, 2 March 2027 to 31 March 2027: 1 order, most on 31 March 2027 with 1."
    assert f"{chart} The 30 days before: 3." in page
    rows = re.findall(r'<th scope="row">([^<]+)</th>(.*?)</tr>', page, re.DOTALL)
    assert len(rows) == 30
    assert re.findall(r">([^<\s]+)<", rows[0][1]) == ["1", "£12.50", "3"]
    frozen.advance(days=31)
    page = home(signed_in(desk))
    assert "The 30 days before: 1." in page


def test_what_somebody_erased_paid_today_is_still_a_sentence(desk: FlaskClient) -> None:
    a_paid_order(a_shop())
    assert "Anna Berg paid £12.50" in home(desk)
    with transaction():
        erase_person(anna().id, clock.now())
    page = home(desk)
    assert "Somebody who was erased paid £12.50" in page
    assert "Anna" not in page
