"""A rehearsal counts what a release would do, shows the letter, and writes nothing."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.models import Publication, PublicationStatus
from store.distribution.coverage import coverage
from store.distribution.rehearsal import count_due, count_people, in_prospect, rehearse
from store.entitlements import granting
from store.kit.database import db, transaction
from store.orders.models import Order
from tests.conftest import Clock, on_both
from tests.editions import draft, edition_of, release
from tests.factories import a_publication, a_released_edition, a_seller, an_asset, an_edition
from tests.news import stop_news
from tests.purchases import buy
from tests.statements import statements


@on_both
def test_the_rehearsal_counts_what_the_release_then_does(app: Flask, frozen: Clock) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        buy(publication, "pre@reader.example", wants_now=False)
        granting.revoke_order(buy(publication, "back@reader.example"), "refunded")
        first = draft(publication)
    seen = rehearse(first)
    assert (seen.recipients, seen.owners, seen.preorders, seen.waiting) == (1, 0, 1, 1)
    release(first)
    with transaction():
        buy(publication, "late@reader.example")
        stop_news(buy(publication, "stop@reader.example").customer_id, publication.id)
        edition = draft(publication, 2)
    seen = rehearse(edition)
    # The pre-order whose 14 days run has no copy yet, so this edition will be its first.
    assert (seen.recipients, seen.owners, seen.preorders, seen.waiting) == (2, 1, 1, 1)
    assert seen.left_out == {"asked us to stop": 1, "refunded": 1}
    assert seen.concerned == 4
    done = coverage(release(edition))
    assert (done.waiting, done.left_out, done.total) == (2, seen.left_out, 4)
    assert coverage(first).total == 2


def test_the_rehearsal_shows_the_letter_of_a_real_customer_and_writes_nothing(
    app: Flask, frozen: Clock
) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        buy(publication, name="Anna Berg")
        edition = draft(publication)
    written: list[str] = []

    def note(_c: object, _u: object, statement: str, *_rest: object) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "BEGIN", "WITH")):
            written.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", note)
    seen = rehearse(edition)
    sa.event.remove(db.engine, "before_cursor_execute", note)
    assert written == []
    assert not db.session.new
    assert not db.session.dirty
    assert seen.letter_to == "anna@reader.example"
    assert "Dear Anna Berg," in seen.letter.text
    assert "http://127.0.0.1:8000/library/…" in seen.letter.text
    assert "/stop/…" in seen.letter.html
    assert "[TEST]" not in seen.letter.subject
    assert seen.warnings == []
    db.session.rollback()


@pytest.mark.usefixtures("frozen")
def test_what_is_missing_or_odd_is_said(app: Flask) -> None:
    with transaction():
        a_seller()
        publication = a_publication(status=PublicationStatus.DRAFT)
        last = an_edition(publication, 1, status="released")
        last.released_at = last.created_at - timedelta(days=1)
        for format in ("pdf", "epub"):
            an_asset(last, format, b"same", facts={"pages": 100})
        edition = an_edition(publication, 2, notes="")
        an_asset(
            edition,
            "pdf",
            b"same",
            findings=[
                {"level": "warn", "code": "pdf-untagged", "sentence": "It is not tagged."},
                {"level": "pass", "code": "pdf-opens", "sentence": "It opens."},
            ],
        )
    assert rehearse(edition).warnings == [
        "There are no notes: the letter will not say what changed.",
        "The publication is not on sale.",
        "PDF: It is not tagged.",
        "PDF: This is the same file as in edition 1.",
        "Edition 1 came as EPUB too; this one does not.",
        "Nobody has bought this publication yet, so no letter will be sent.",
    ]


def test_an_edition_with_half_the_pages_is_odd(app: Flask, frozen: Clock) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        a_released_edition(publication, 1)
        edition = an_edition(publication, 2)
        an_asset(edition, "pdf", facts={"pages": 6})
        an_asset(edition, "epub")
    odd = [one for one in rehearse(edition).warnings if "pages" in one]
    assert odd == [
        "PDF: The last edition had 12 pages, this one has 6. Check that the file is complete."
    ]


def test_the_withdrawn_file_uploaded_a_second_time_is_said(app: Flask, frozen: Clock) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        a_released_edition(publication, 1)
        an_asset(
            an_edition(publication, 2, status="withdrawn", released_at=frozen.at), "pdf", b"no"
        )
        edition = an_edition(publication, 3)
        an_asset(edition, "pdf", b"no")
        an_asset(edition, "epub")

        warnings = rehearse(edition).warnings

    assert "PDF: This is the same file as in edition 2." in warnings


def test_a_draft_shows_what_the_timetable_counted_and_every_new_buyer(
    app: Flask, frozen: Clock
) -> None:
    with transaction():
        a_seller()
        publication = a_publication()
        publication_id = publication.id
        order_id = buy(publication).id
        buy(publication, "ben@reader.example")
        edition_id = draft(publication).id
    assert (count_due(), count_due()) == (1, 0)
    with statements() as told:
        seen = in_prospect(edition_of(edition_id))
    assert [one for one in told if "best" in one] == []
    assert seen == rehearse(edition_of(edition_id))
    with transaction() as session:
        granting.revoke_order(session.get_one(Order, order_id), "refunded")
    assert in_prospect(edition_of(edition_id)).recipients == 2
    # The press compares with the rows, and the page then shows what they say.
    assert count_people(edition_of(edition_id)) == 1
    assert in_prospect(edition_of(edition_id)).recipients == 1
    frozen.advance(minutes=2)
    assert count_due() == 1
    with transaction() as session:
        buy(session.get_one(Publication, publication_id), "carla@reader.example")
    assert in_prospect(edition_of(edition_id)).recipients == 2
    frozen.advance(minutes=2)
    with transaction() as session:
        publication = session.get_one(Publication, publication_id)
        granting.revoke_order(buy(publication, "dora@reader.example"), "refunded")
    assert count_due() == 1
    assert in_prospect(edition_of(edition_id)).left_out == {"refunded": 2}
    db.session.rollback()
