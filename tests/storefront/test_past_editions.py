"""What a publication has been through: its editions, the dates that moved, and the feed of them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import DateMove, EditionStatus, PublicationStatus
from store.catalog.publications import publication_by_slug
from store.cli import main
from store.commands import base
from store.kit.database import db, transaction
from store.storefront.history import LONGEST_BEGINNING
from tests import factories
from tests.conftest import Clock, on_both
from tests.editions import guide
from tests.pages import Page, page_at
from tests.statements import statements
from tests.storefront.forms import text_of

SLUG = "send-early-years"
PATH = f"/publications/{SLUG}"
FEED = f"{PATH}/editions.atom"
ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture(autouse=True)
def window(app: Flask, frozen: Clock) -> None:
    """A publication of which nothing is out yet, on 1 March 2027."""
    with transaction():
        factories.a_seller()
        factories.a_publication(expected_on=date(2027, 6, 17))
    db.session.remove()


def out(number: int, day: datetime, **given: object) -> None:
    """An edition that was released on a day."""
    with transaction():
        publication = publication_by_slug(SLUG)
        factories.a_released_edition(publication, number, released_at=day, **given)
    db.session.remove()


def three() -> None:
    """Three editions, of which the second was withdrawn."""
    out(1, datetime(2026, 3, 31, 9, tzinfo=UTC), notes="")
    gone = {"status": EditionStatus.WITHDRAWN, "notes": "- A **wrong** table"}
    gone |= {"withdrawn_at": datetime(2026, 9, 16, 9, tzinfo=UTC)}
    out(2, datetime(2026, 9, 14, 9, tzinfo=UTC), **gone)
    out(3, datetime(2027, 2, 28, 23, 30, tzinfo=UTC), label="Spring", notes="- The *right* table")


def editions_on(html: str) -> list[str]:
    """The words of each edition."""
    (listed,) = [one for one in Page(html).all("ol") if one.get("class") == "editions"]
    return [" ".join("".join(one.itertext()).split()) for one in listed]


@on_both
def test_editions_are_told_with_day_and_change_and_a_withdrawn_one_as_withdrawn(
    client: FlaskClient,
) -> None:
    three()
    html = page_at(client, PATH)
    assert "Renewed once, last on 28 February 2027" in text_of(html)
    expected = [
        "3 Edition 3, Spring, on sale now 28 February 2027, 12 pages The right table",
        (
            "2 Edition 2 14 September 2026, 12 pages. Withdrawn on 16 September 2026, "
            "because something in it was wrong."
        ),
        "1 First edition 31 March 2026, 12 pages",
    ]
    assert editions_on(html) == expected
    assert editions_on(page_at(client, f"{PATH}/editions")) == expected
    assert "All editions" not in text_of(html)


def test_where_all_editions_were_withdrawn_it_is_a_preorder_and_says_so(
    client: FlaskClient,
) -> None:
    moment = datetime(2027, 2, 27, 9, tzinfo=UTC)
    out(1, moment, status=EditionStatus.WITHDRAWN, withdrawn_at=moment + timedelta(days=1))
    words = text_of(page_at(client, PATH))
    assert "Pre-order for £12.50" in words
    assert "No edition is out now 1 First edition 27 February 2027, 12 pages. Withdrawn" in words
    assert "on sale now" not in words


def test_thirty_editions_fold_into_eight_and_a_page_of_all(client: FlaskClient) -> None:
    with transaction():
        publication = publication_by_slug(SLUG)
        for number in range(1, 31):
            day = datetime(2024, 1, 1, 9, tzinfo=UTC) + timedelta(days=30 * number)
            notes = "- A line\n" * 300 if number == 29 else f"Change {number}"
            factories.an_edition(
                publication, number, status="released", released_at=day, notes=notes
            )
        factories.an_edition(publication, 31, notes="A secret to come")
    html = page_at(client, PATH)
    assert "Renewed 29 times, last on 19 June 2026" in text_of(html)
    shown = editions_on(html)
    assert [one.split()[0] for one in shown] == [str(number) for number in range(30, 22, -1)]
    assert len(shown[1]) < LONGEST_BEGINNING
    assert shown[1].endswith("A line All that changed in edition 29")
    assert f'href="{PATH}/editions?edition=29"' in html
    first = page_at(client, f"{PATH}/editions")
    assert editions_on(first)[1].count("A line") == 300
    with statements() as told:
        (on,) = [one.get("href") for one in Page(first).all("a") if one.get("rel") == "next"]
        second = editions_on(page_at(client, str(on)))
    assert [one.split()[0] for one in second] == [str(number) for number in range(18, 6, -1)]
    assert len(told) == 5  # with the files of the edition on sale, whose cover stands beside
    assert "secret" not in html + first + client.get(FEED).text


def test_a_preorder_says_what_is_planned_as_planned_and_how_its_date_moved(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = ("--planned-formats", "PDF and EPUB", "--planned-length", "about 48 pages")
    planned += ("--planned-access", "PDF tagged for screen readers")
    monkeypatch.setattr(base, "the_shop", lambda: app)
    done = CliRunner().invoke(main, ["publication", "edit", SLUG, *planned])
    assert done.exit_code == 0, done.output
    with transaction() as session:
        publication = publication_by_slug(SLUG)
        for number, old_on, new_on, day, reason in (
            (1, date(2027, 3, 31), date(2027, 5, 20), 1, ""),
            (2, date(2027, 5, 20), date(2027, 6, 17), 8, "Two reviewers asked for more time."),
        ):
            session.add(
                DateMove(
                    publication_id=publication.id,
                    number=number,
                    old_on=old_on,
                    new_on=new_on,
                    reason=reason,
                    moved_at=datetime(2027, 2, day, 9, tzinfo=UTC),
                    moved_by="Olga Berg",
                )
            )
    html = page_at(client, PATH)
    words = text_of(html)
    for sentence in (
        "Planned: PDF and EPUB, about 48 pages. You can cancel until it is published.",
        (
            "Formats, planned PDF and EPUB Length, planned About 48 pages Language English "
            "Accessibility, planned PDF tagged for screen readers"
        ),
        (
            "Since 8 February 2027 17 June 2027. Two reviewers asked for more time. "
            "Since 1 February 2027 20 May 2027. Before that the end of March 2027."
        ),
    ):
        assert sentence in words
    assert "Olga" not in html
    out(1, datetime(2027, 2, 28, 9, tzinfo=UTC))
    words = text_of(page_at(client, PATH))
    assert "lanned" not in words
    assert "Two reviewers" not in words


def said(feed: ET.Element, path: str) -> list[str | None]:
    """The text of each element of the feed at a path."""
    return [one.text for one in feed.iterfind("/".join(ATOM + name for name in path.split("/")))]


def faults(feed: ET.Element) -> Iterator[str]:
    """What RFC 4287 (4.1.1, 4.1.2, 4.2) asks for and this feed has not."""
    for element in (feed, *feed.iter(f"{ATOM}entry")):
        for name in ("id", "title", "updated"):
            if len(element.findall(ATOM + name)) != 1:
                yield f"not one {name} in {element.tag}"
        for moment in (*element.findall(f"{ATOM}updated"), *element.findall(f"{ATOM}published")):
            if datetime.fromisoformat(str(moment.text)).tzinfo is None:
                yield f"{moment.text} has no zone"
        kinds = [one.get("rel") for one in element.findall(f"{ATOM}link")]
        if "alternate" not in kinds or len(kinds) != len(set(kinds)):
            yield f"links {kinds}"
    if not feed.findall(f"{ATOM}author/{ATOM}name"):
        yield "no author"
    ids = [one.text for one in feed.iter(f"{ATOM}id")]
    if len(set(ids)) < len(ids):
        yield f"ids {ids}"


def test_the_feed_is_valid_atom_and_asks_for_nothing_but_what_is_new(client: FlaskClient) -> None:
    empty = client.get(FEED)
    assert list(faults(ET.fromstring(empty.data))) == []
    three()
    html = page_at(client, PATH)
    (link,) = [one for one in Page(html).all("link") if one.get("rel") == "alternate"]
    assert (link.get("type"), link.get("href")) == ("application/atom+xml", FEED)
    answer = client.get(FEED)
    assert answer.content_type == "application/atom+xml; charset=utf-8"
    feed = ET.fromstring(answer.data)
    assert feed.tag == f"{ATOM}feed"
    assert list(faults(feed)) == []
    assert said(feed, "title") == ["Editions of Effective SEND Practice in the Early Years"]
    assert said(feed, "updated") == ["2027-02-28T23:30:00+00:00"]
    titles = ["Edition 3, Spring", "Edition 2 (withdrawn)", "First edition"]
    assert said(feed, "entry/title") == titles
    assert said(feed, "entry/content") == ["<ul>\n<li>The <em>right</em> table</li>\n</ul>"]
    assert said(feed, "entry/summary") == [
        "Withdrawn on 16 September 2026, because something in it was wrong.",
        "Published on 31 March 2026.",
    ]
    with statements() as told:
        again = client.get(FEED, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data, len(told)) == (304, b"", 1)
    assert empty.headers["ETag"] != answer.headers["ETag"]


def test_a_feed_stays_well_formed_and_goes_with_its_publication(client: FlaskClient) -> None:
    out(1, datetime(2027, 2, 28, 9, tzinfo=UTC), notes="]]> \ufffe & <b>", label="<&>")
    with transaction():
        publication_by_slug(SLUG).title = "A < B & C"
    feed = ET.fromstring(client.get(FEED).data)
    assert said(feed, "title") == ["Editions of A < B & C"]
    assert said(feed, "entry/title") == ["First edition, <&>"]
    for status, code in ((PublicationStatus.RETIRED, 410), (PublicationStatus.DRAFT, 404)):
        with transaction():
            guide(publication_by_slug(SLUG).id).status = status
        assert client.get(FEED).status_code == code
        assert client.get(f"{PATH}/editions").status_code == code
