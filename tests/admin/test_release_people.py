"""The people of a release at the desk: tried again, and their addresses corrected, many at once."""

import re
from datetime import timedelta

import sqlalchemy as sa
from flask.testing import FlaskClient

from store.catalog.models import Edition, Publication
from store.catalog.publications import publication_by_slug
from store.kit import clock
from store.kit.database import db, transaction
from store.mail.models import Delivery, DeliveryStatus
from store.orders.models import Customer
from store.staff.credentials import new_secret, turn_on_two_step
from store.staff.people import staff_by_address
from tests.admin.sign_in import press
from tests.editions import draft, edition_of, release
from tests.letters import deliveries, send, sent, text_of
from tests.pages import check_page, page_at
from tests.purchases import buy

PUBLICATION = "/admin/publications/send-early-years"
EDITION = f"{PUBLICATION}/editions/1"


def _failed(publication: Publication, *names: str) -> dict[str, Delivery]:
    """A release of which the letters to these could not be delivered, by name."""
    with transaction():
        for name in names:
            buy(publication, f"{name}@reader.example", name)
    edition = release(_drafted(publication))
    with transaction() as session:
        letters = session.scalars(sa.select(Delivery).filter_by(edition_id=edition.id)).all()
        found = {db.session.get_one(Customer, one.customer_id).name: one for one in letters}
        for one in found.values():
            one.status, one.reason = DeliveryStatus.FAILED, "550 5.1.1 User unknown"
    return found


def _drafted(publication: Publication) -> Edition:
    with transaction():
        return draft(publication)


def test_those_ticked_are_tried_again_and_nobody_else(
    desk: FlaskClient, publication: Publication
) -> None:
    letters = _failed(publication, "anna", "ben", "cleo")
    numbers = {name: letter.id for name, letter in letters.items()}
    page = page_at(desk, f"{EDITION}/people/undeliverable")
    assert "There is no such mailbox" in page
    assert "“550 5.1.1 User unknown”" in page

    ticked = {"letter": [numbers["anna"], numbers["cleo"], "9" * 5000]}
    lists = f"{EDITION}/people/undeliverable"
    assert press(desk, f"{lists}/retry", ticked, seen_on=lists).status_code == 303

    assert "2 letters are tried again." in page_at(desk, lists)
    assert deliveries(edition_of(1)) == {
        "anna@reader.example": (DeliveryStatus.QUEUED, ""),
        "ben@reader.example": (DeliveryStatus.FAILED, "550 5.1.1 User unknown"),
        "cleo@reader.example": (DeliveryStatus.QUEUED, ""),
    }


def test_addresses_are_corrected_from_a_pasted_list_after_a_look_at_it(
    desk: FlaskClient, publication: Publication
) -> None:
    _failed(publication, "anna", "ben", "cleo")
    with transaction():
        person = staff_by_address("owner@publisher.example")
        assert person is not None
        codes = turn_on_two_step(person, new_secret())
        person.two_step_at = clock.now() - timedelta(hours=24)
    lines = [
        "Anna@Reader.example\tanna@other.example",
        "ben@reader.example; ben at other",
        "cleo@reader.example cleo@reader.example",
        "nobody@reader.example nobody@other.example",
        "anna@reader.example",
    ]
    typed = {"list": "\n".join(lines)}
    lists, correct = f"{EDITION}/people/undeliverable", f"{EDITION}/people/correct"

    looked = press(desk, correct, typed, seen_on=lists)

    assert looked.status_code == 200
    check_page(looked.text, path=correct)
    assert "Correct 1 address?" in looked.text
    assert looked.text.count("Not changed") == 4
    assert "Nobody who did not get this edition has the old address." in looked.text
    change = typed | {"step": "change"}
    refused = press(desk, correct, change | {"code": "000000"}, seen_on=lists)
    assert refused.status_code == 422
    assert "anna@other.example" in refused.text
    done = press(desk, correct, change | {"code": codes[0]}, seen_on=lists)
    assert done.status_code == 303
    assert deliveries(edition_of(1)) == {
        "anna@other.example": (DeliveryStatus.QUEUED, ""),
        "ben@reader.example": (DeliveryStatus.FAILED, "550 5.1.1 User unknown"),
        "cleo@reader.example": (DeliveryStatus.FAILED, "550 5.1.1 User unknown"),
    }


def test_a_correction_goes_in_its_own_words_to_exactly_those_who_were_sent_the_wrong_one(
    desk: FlaskClient, publication: Publication
) -> None:
    with transaction():
        buy(publication, "anna@reader.example", "anna")
    release(_drafted(publication))
    send()
    with transaction():
        buy(publication_by_slug(publication.slug), "ben@reader.example", "ben")
        wrong = draft(publication_by_slug(publication.slug), 2)
    release(wrong)
    with transaction() as session:  # Anna's letter of it never left
        letter = sa.select(Delivery).join(Customer).where(Customer.name == "anna")
        letter = letter.where(Delivery.edition_id == wrong.id)
        session.scalars(letter).one().status = DeliveryStatus.HELD
    send()
    second, third = (f"{PUBLICATION}/editions/{number}" for number in (2, 3))
    press(desk, f"{second}/withdraw", {"why": "wrong file"})
    assert "Upload the corrected edition" in page_at(desk, second)
    with transaction():
        draft(publication_by_slug(publication.slug), 3)
    typed = {"notes": "- Everything", "severity": "minor", "label": ""}
    words = {"correction": "Page 4 named last year’s duties."}
    page = page_at(desk, third)
    assert "does not say what was wrong with it." in page
    assert press(desk, f"{third}/edit", typed | words).status_code == 303

    page = page_at(desk, third)

    assert "does not say what was wrong with it." not in page
    assert re.findall(r"<b>(\d)</b><span>(.*?)</span>", page) == [
        ("1", "were sent what is withdrawn now"),
        ("1", "have an edition already"),
    ]
    assert words["correction"] in desk.get(f"{third}/letter?as=correction").text
    assert words["correction"] not in desk.get(f"{third}/letter?as=released").text
    release(edition_of(3))
    letters = {
        one["To"].addresses[0].addr_spec: one for one in sent() if "Edition 3" in one["Subject"]
    }
    assert {who: words["correction"] in text_of(one) for who, one in letters.items()} == {
        "anna@reader.example": False,
        "ben@reader.example": True,
    }
    assert "Edition 3 replaces edition 2" in letters["ben@reader.example"]["Subject"]
