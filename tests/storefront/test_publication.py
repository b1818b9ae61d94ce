"""The shop window: what a visitor reads before ordering, and what is never promised."""

import hashlib
import io
import json
import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from store.catalog.models import Edition, Publication, PublicationStatus
from store.catalog.publications import publication_by_slug
from store.kit.config import config
from store.kit.database import db, transaction
from store.kit.storage import storage
from store.staff import kept_files
from tests import factories
from tests.catalog.files import picture
from tests.conftest import Clock
from tests.pages import Page, check_page
from tests.storefront.forms import text_of

PATH = "/publications/send-early-years"
PDF = {"pages": 12, "words": 12_000, "tagged": True, "pdfua": "1", "bookmarks": True}
PDF |= {"language": "cy"}
EPUB = {
    "language": "en-GB",
    "accessibility": {
        "accessibilityFeature": ["alternativeText", "tableOfContents", "unknownFeature"],
        "conformsTo": "EPUB Accessibility 1.1 - WCAG 2.2 Level AA",
    },
}


@pytest.fixture(autouse=True)
def seller(app: Flask, frozen: Clock) -> None:
    """Somebody sells, on 1 March 2027."""
    with transaction():
        factories.a_seller()


def publish(**given: object) -> None:
    """Put a publication into the window."""
    with transaction():
        factories.a_publication(**given)


def release(number: int = 1, **given: object) -> None:
    """Release an edition with both formats and the facts of real files."""
    with transaction():
        edition = factories.an_edition(
            publication_by_slug("send-early-years"),
            number,
            status="released",
            released_at=datetime(2027, 3, 1, 9, tzinfo=UTC),
        )
        factories.an_asset(edition, "pdf", b"p" * 1_900_000, facts=PDF, **given)
        factories.an_asset(edition, "epub", b"e" * 84_000, facts=EPUB)


def get(client: FlaskClient, path: str = PATH, status: int = 200) -> str:
    """Fetch a page, look it over, and be sure that it sets no cookie."""
    answer = client.get(path)
    assert answer.status_code == status
    assert "Set-Cookie" not in answer.headers
    check_page(answer.text, path=path)
    return answer.text


def test_a_preorder_says_what_happens_when(client: FlaskClient) -> None:
    publish(expected_on=date(2027, 3, 31), updates_months=24)
    words = text_of(get(client))
    for sentence in (
        "Published by Early Years Sample Press",
        (
            "Pre-order: published by the end of March 2027 £12.50 No VAT to pay "
            "You can cancel until it is published. Pre-order for £12.50"
        ),
        "Formats, planned PDF, EPUB or both",
        "Today You are charged £12.50 and get a receipt.",
        "Until it is published (by the end of March 2027) You can cancel and get all of it back.",
        "On the day of release You get the link to your copy by e\N{NON-BREAKING HYPHEN}mail.",
        "When an edition is renewed You get it too, free, for 2 years.",
    ):
        assert sentence in words


def test_after_the_release_the_same_page_sells_for_immediate_download(client: FlaskClient) -> None:
    publish()
    release()
    words = text_of(get(client))
    for sentence in (
        (
            "£12.50 No VAT to pay Edition 1, published on 1 March 2027. "
            "PDF and EPUB, 12 pages, no copy protection. Later editions are yours too. Buy for £12.50"
        ),
        "Editions Edition 1, published on 1 March 2027",
        "First edition, on sale now 1 March 2027, 12 pages First point Second point",
        "At once You get the link to your copy by e\N{NON-BREAKING HYPHEN}mail.",
        (
            "Edition 1, published on 1 March 2027 Formats PDF, 1.9 MB. EPUB, 84 kB "
            "Length 12 pages, about 1 hour to read Language Welsh and English Accessibility"
        ),
        "The PDF is tagged for screen readers, says that it follows PDF/UA-1 and has bookmarks.",
        "The EPUB has pictures described in words and table of contents.",
        "Of the EPUB its publisher states: made to EPUB Accessibility 1.1 - WCAG 2.2 Level AA.",
        "None: the files are yours to keep, copy to your devices and print.",
        "PDF: computers, tablets and phones, in any PDF reader.",
        "Sold to United Kingdom",
    ):
        assert sentence in words
    assert "re-order" not in words


def test_no_page_promises_the_past(client: FlaskClient, frozen: Clock) -> None:
    publish(expected_on=date(2027, 3, 31))
    frozen.set(datetime(2027, 3, 31, 22, 59, tzinfo=UTC))
    assert "Published by the end of March 2027" in text_of(get(client))
    frozen.set(datetime(2027, 3, 31, 23, 0, tzinfo=UTC))  # midnight in London
    for path in (PATH, "/"):
        page = get(client, path)
        assert "Not published yet" in text_of(page)
        assert "2027" not in page
    assert "Until it is published You can cancel" in text_of(get(client))


def test_the_page_of_another_currency_has_its_own_figures(client: FlaskClient) -> None:
    publish(price_amount=1500, currency="JPY")
    assert "Pre-order for ¥1,500" in text_of(get(client))


def test_machines_read_the_offer(client: FlaskClient) -> None:
    publish(expected_on=date(2027, 3, 31), isbn="9780000000002", author="A </script> B")
    page = Page(get(client))
    (script,) = [one for one in page.all("script") if "src" not in one.attrib]
    data = json.loads(script.text or "")
    assert (data["@type"], data["isbn"], data["author"]["name"]) == (
        ["Book", "Product"],
        "9780000000002",
        "A </script> B",
    )
    assert data["offers"] == {
        "@type": "Offer",
        "url": f"http://127.0.0.1:8000{PATH}",
        "price": "12.50",
        "priceCurrency": "GBP",
        "availability": "https://schema.org/PreOrder",
        "availabilityStarts": "2027-03-31",
        "seller": {"@type": "Organization", "name": "Early Years Sample Press"},
        "eligibleRegion": ["GB"],
    }
    release()
    page = Page(get(client))
    (script,) = [one for one in page.all("script") if "src" not in one.attrib]
    data = json.loads(script.text or "")
    assert data["offers"]["availability"] == "https://schema.org/InStock"
    assert (data["bookEdition"], data["datePublished"]) == ("1", "2027-03-01")


def test_machines_read_the_day_of_the_shops_zone_and_an_organisation_as_one(
    client: FlaskClient,
) -> None:
    publish(author="Early Years Sample Press")
    release()
    with transaction() as session:
        late = datetime(2027, 7, 1, 23, 30, tzinfo=UTC)  # 2 July in London
        session.scalars(sa.select(Edition)).one().released_at = late
    data = _read_by_machines(client)
    assert data["datePublished"] == "2027-07-02"
    assert data["author"] == {"@type": "Organization", "name": "Early Years Sample Press"}
    for author, kind in {
        "Anna Berg": "Person",
        "National Childminding Association": "Organization",
    }.items():
        with transaction() as session:
            session.scalars(sa.select(Publication)).one().author = author
        assert _read_by_machines(client)["author"] == {"@type": kind, "name": author}


def _read_by_machines(client: FlaskClient) -> dict[str, Any]:
    (script,) = [one for one in Page(get(client)).all("script") if "src" not in one.attrib]
    found: dict[str, Any] = json.loads(script.text or "")
    return found


def test_the_page_tells_others_what_it_is(client: FlaskClient) -> None:
    publish()
    page = Page(get(client))
    metas = {
        one.attrib.get("property") or one.attrib.get("name"): one.attrib.get("content")
        for one in page.all("meta")
    }
    links = {one.attrib["rel"]: one.attrib["href"] for one in page.all("link")}
    assert links["canonical"] == metas["og:url"] == f"http://127.0.0.1:8000{PATH}"
    assert metas["og:type"] == "book"
    assert metas["og:title"] == "Effective SEND Practice in the Early Years"
    assert metas["description"] == metas["og:description"]
    assert metas["description"] == (
        "Next steps following the Improvement Plan 2023. Pre-order for £12.50, "
        "published by the end of March 2027. Renewed editions are included."
    )


def test_what_staff_write_is_text_or_clean_markdown(client: FlaskClient) -> None:
    publish(
        title="<b>Bold</b> & more",
        description="**Yes** <script>alert(1)</script>\n\n[x](javascript:alert(1))",
        contents="- One\n- Two",
        audience="Key persons",
    )
    html = get(client)
    assert "<strong>Yes</strong>" in html
    assert "<li>Two</li>" in html
    assert "&lt;b&gt;Bold&lt;/b&gt; &amp; more" in html
    assert "<script>alert" not in html
    assert "What is inside One Two Who it is for Key persons" in text_of(html)


@pytest.mark.parametrize("path", [PATH, f"{PATH}/order", f"{PATH}/cover.png"])
def test_a_draft_is_not_there(client: FlaskClient, path: str) -> None:
    publish(status=PublicationStatus.DRAFT)
    assert "We have no publication at this address." in text_of(get(client, path, 404))


@pytest.mark.parametrize("path", [PATH, f"{PATH}/order"])
def test_a_retired_one_is_no_longer_sold_and_leads_its_buyers_on(
    client: FlaskClient, path: str
) -> None:
    publish(status=PublicationStatus.RETIRED)
    html = get(client, path, 410)
    assert "We no longer sell this publication." in text_of(html)
    assert 'href="/find-my-copies">Find my copies</a>' in html


def test_the_front_page_shows_what_is_on_sale_in_a_fixed_number_of_statements(
    client: FlaskClient,
) -> None:
    def statements() -> int:
        seen: list[str] = []
        note = lambda *given: seen.append(given[2])  # noqa: E731
        sa.event.listen(db.engine, "before_cursor_execute", note)
        get(client, "/")
        sa.event.remove(db.engine, "before_cursor_execute", note)
        return len(seen)

    publish()
    release()
    release(2)
    few = statements()
    with transaction():
        for number in range(9):
            one = factories.a_publication(f"number-{number}", title=f"Number {number}")
            factories.a_released_edition(one)
        factories.a_publication("hidden", title="Hidden", status=PublicationStatus.DRAFT)
    assert statements() == few
    words = text_of(get(client, "/"))
    assert "Number 8" in words
    assert "Edition 2, renewed on 1 March 2027" in words
    assert "Hidden" not in words


def test_three_titles_stand_large_with_a_button_and_a_fourth_makes_a_shelf(
    client: FlaskClient,
) -> None:
    def buttons() -> list[str]:
        return re.findall(r'<a class="button [a-z]*" href="([^"]+)">', get(client, "/"))

    publish()
    release()
    for number in range(2):
        with transaction():
            factories.a_publication(f"number-{number}", title=f"Number {number}")
    orders = [f"{PATH}/order", "/publications/number-0/order", "/publications/number-1/order"]
    assert sorted(buttons()) == sorted(orders)
    covers = re.findall(r'<a class="cover" href="([^"]+)">', get(client, "/"))
    assert [f"{one}/order" for one in covers] == buttons()
    with transaction():
        factories.a_publication("number-2", title="Number 2")
    assert buttons() == []
    assert get(client, "/").count('<a class="stand"') == 4


def test_an_empty_shop_says_what_will_stand_there(client: FlaskClient) -> None:
    assert "Nothing is on sale yet" in text_of(get(client, "/"))


def test_pages_may_be_kept_but_are_asked_for_again(client: FlaskClient) -> None:
    publish()
    for path in ("/", PATH):
        assert client.get(path).headers["Cache-Control"] == "public, max-age=0, must-revalidate"


def test_a_cover_stands_for_good_at_the_address_that_showed_it(client: FlaskClient) -> None:
    stored = picture(size=(900, 1200))
    digest = hashlib.sha256(stored).hexdigest()
    storage().put_bytes(f"covers/{digest}", stored)
    publish()
    drawn = client.get(f"{PATH}/cover.png").data
    release(cover_sha256=digest)
    address = next(one.attrib["src"] for one in Page(get(client)).all("img"))
    answer = client.get(address)
    assert client.get(f"{PATH}/cover.png").data == answer.data != drawn
    with Image.open(io.BytesIO(answer.data)) as made:
        assert (made.format, made.size) == ("JPEG", (640, 853))
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    storage().delete(f"covers/{digest}")  # made once, and kept
    assert client.get(address).data == answer.data
    for other in (address.replace("640", "641"), address.replace(digest, "0" * 64)):
        assert client.get(other).status_code == 404


def test_a_long_shelf_is_shown_a_part_at_a_time(app: Flask, client: FlaskClient) -> None:
    with transaction():
        factories.a_seller()
        for number in range(14):
            factories.a_publication(f"guide-{number:02}", title=f"Guide {number:02}")

    first = client.get("/").text
    following = re.search(r'href="(/\?after=\d+)" rel="next">Next page', first)
    assert following
    second = client.get(following[1]).text

    assert re.findall(r"Guide \d\d(?=</a>)", first) == [f"Guide {n:02}" for n in range(12)]
    assert re.findall(r"Guide \d\d(?=</a>)", second) == ["Guide 12", "Guide 13"]
    assert f'rel="canonical" href="http://127.0.0.1:8000{following[1]}"' in second
    assert client.get("/?page=2").text == first  # as pages were once counted
    check_page(second, path=following[1])


def test_the_front_page_asks_for_each_thing_once(app: Flask, client: FlaskClient) -> None:
    publish()
    client.get("/")
    db.session.remove()  # the test's context outlives a request
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(str(re.findall(r"FROM (\w+)", statement)[-1]))

    sa.event.listen(db.engine, "before_cursor_execute", note)
    client.get("/")
    sa.event.remove(db.engine, "before_cursor_execute", note)

    assert asked == ["publications", "editions", "samples", "sellers"]


def test_what_staff_change_shows_on_the_next_page(app: Flask, client: FlaskClient) -> None:
    publish(title="Old name")
    before = get(client)
    with transaction():
        publication_by_slug("send-early-years").title = "New name"
        factories.a_seller(trading_name="Another Press")
    after = get(client)

    assert ("Cover of Old name" in before, "Cover of Old name" in after) == (True, False)
    assert "Cover of New name" in after
    assert ("Another Press" in before, "Another Press" in after) == (False, True)


def test_a_drawn_cover_is_a_picture_for_letters_and_other_peoples_pages(
    client: FlaskClient,
) -> None:
    publish(title="Über Ähnliches – Ένα, Два", author="出版社")
    html = get(client)
    shared = [
        one.attrib["content"] for one in Page(html).all("meta") if "og:image" in one.attrib.values()
    ]
    assert shared == [f"{config().base_url}{PATH}/cover.png"]
    answer = client.get(f"{PATH}/cover.png")
    assert (answer.status_code, answer.content_type) == (200, "image/jpeg")
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"  # as webmail needs
    with Image.open(io.BytesIO(answer.data)) as made:
        assert (made.format, made.size) == ("JPEG", (640, 905))
        written = made.convert("L").crop((50, 100, 590, 420))
    darkest, lightest = written.getextrema()
    assert float(str(lightest)) - float(str(darkest)) > 100  # the title stands there
    assert kept_files.compare(0, lambda *_: None).unnamed == []  # which `store check` would note
    with transaction():
        publication_by_slug("send-early-years").title = "Another"
    assert client.get(f"{PATH}/cover.png").data != answer.data
    with transaction():
        publication_by_slug("send-early-years").status = PublicationStatus.RETIRED
    assert client.get(f"{PATH}/cover.png").status_code == 200  # letters of it are still read


def test_a_cover_in_letters_that_no_picture_of_ours_has_is_offered_to_nobody(
    client: FlaskClient,
) -> None:
    publish(title="早期教育")
    html = get(client)
    assert "Cover of 早期教育" in html
    assert not [one for one in Page(html).all("meta") if "og:image" in one.attrib.values()]
    assert client.get(f"{PATH}/cover.png").status_code == 404
