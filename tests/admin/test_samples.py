"""The free sample of a publication: put beside it at the desk, and read by everybody in the shop."""

import hashlib
import io
import re
import zipfile
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from store.catalog.models import Publication, PublicationStatus, Sample
from store.demo.seed import edition_files
from store.kit.database import db, transaction
from store.staff.models import AuditEntry
from tests.admin.sign_in import press
from tests.catalog.files import book, page
from tests.conftest import on_both_when_long
from tests.factories import a_sample, an_asset, an_edition
from tests.pages import check_page
from tests.storefront.forms import text_of

DESK = "/admin/publications/send-early-years/sample"
SHOP = "/publications/send-early-years"
WORDS = " ".join(["word"] * 60)
EPUB = book({"EPUB/c1.xhtml": page(f"<h1>Chapter one</h1><p>{WORDS}</p>")})


def put(desk: FlaskClient, *files: bytes) -> TestResponse:
    sent = [(io.BytesIO(one), "part") for one in files]
    return press(desk, DESK, {"files": sent}, content_type="multipart/form-data")


def told() -> list[tuple[str, Any, Any]]:
    db.session.rollback()
    query = sa.select(AuditEntry).where(AuditEntry.act.startswith("sample"))
    return [(one.act, one.before, one.after) for one in db.session.scalars(query)]


def with_edition(publication: Publication) -> bytes:
    """The real PDF of the demonstration's first edition, as a draft's file; 12 pages."""
    pdf = edition_files(1)[0].read_bytes()
    with transaction() as session:
        edition = an_edition(session.get_one(Publication, publication.id))
        an_asset(edition, "pdf", pdf, facts={"pages": 12, "words": 4000})
    return pdf


@on_both_when_long
def test_an_epub_is_uploaded_read_by_strangers_replaced_and_taken_away(
    desk: FlaskClient, client: FlaskClient, publication: Publication
) -> None:
    assert client.get(f"{SHOP}/sample").status_code == 404
    assert f"{SHOP}/sample" not in client.get(SHOP).text

    assert put(desk, EPUB).status_code == 303

    assert "Look inside Chapter one word word" in text_of(client.get(SHOP).text)
    assert f'<a href="{SHOP}/sample">Read a sample<span' in client.get("/").text
    answer = client.get(f"{SHOP}/sample")
    check_page(answer.text, path="sample")
    assert f"<h2>Chapter one</h2>\n<p>{WORDS}</p>" in answer.text
    again = client.get(f"{SHOP}/sample", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, answer.headers.getlist("Set-Cookie")) == (304, [])
    file = client.get(f"{SHOP}/sample/send-early-years-sample.epub")
    assert (file.data, file.content_type) == (EPUB, "application/epub+zip")

    other = book({"EPUB/c1.xhtml": page("<h1>Another</h1><p>Short.</p>")})
    assert put(desk, other).status_code == 303
    assert "Another Short." in text_of(client.get(f"{SHOP}/sample").text)
    assert "Look inside" in client.get(SHOP).text

    pressed = {"format": "epub"}
    assert press(desk, f"{DESK}/remove", pressed, seen_on=DESK).status_code == 303
    assert client.get(f"{SHOP}/sample").status_code == 404
    assert f"{SHOP}/sample" not in client.get(SHOP).text
    assert [act for act, _, _ in told()] == ["sample_put", "sample_put", "sample_removed"]


def test_pages_are_chosen_from_the_newest_pdf_and_downloaded_in_ranges(
    desk: FlaskClient, client: FlaskClient, publication: Publication
) -> None:
    with_edition(publication)
    chosen = {"first": "2", "last": "4"}

    assert press(desk, f"{DESK}/pages", chosen, seen_on=DESK).status_code == 303

    sample = db.session.scalars(sa.select(Sample)).one()
    assert (sample.pages, sample.origin) == (3, "pages 2 to 4 of edition 1")
    ((_, _, after),) = told()
    assert after["from"] == "pages 2 to 4 of edition 1"
    path = f"{SHOP}/sample/send-early-years-sample.pdf"
    whole = client.get(path)
    part = client.get(path, headers={"Range": "bytes=0-4"})
    assert hashlib.sha256(whole.data).hexdigest() == sample.sha256
    assert (part.status_code, part.data) == (206, b"%PDF-")
    assert whole.headers["Cache-Control"] == "public, max-age=0, must-revalidate"
    assert "send-early-years-sample.pdf" in whole.headers["Content-Disposition"]
    assert "X-Robots-Tag" not in whole.headers
    words = text_of(client.get(f"{SHOP}/sample").text)
    assert f"As PDF, 3 pages, {round(sample.size / 1000)} kB" in words


CHAPTERS = f"{DESK}/chapters"


def with_epub(publication: Publication, number: int = 1) -> int:
    """The real EPUB of the demonstration's edition, as a draft's file; the number of its row."""
    with transaction() as session:
        edition = an_edition(session.get_one(Publication, publication.id), number)
        facts = {"words": 3000}
        return an_asset(edition, "epub", edition_files(number)[1].read_bytes(), facts=facts).id


def choose(desk: FlaskClient, file: int, *numbers: int) -> TestResponse:
    given = {"file": str(file), "chapter": [str(one) for one in numbers]}
    return press(desk, CHAPTERS, given, seen_on=CHAPTERS)


@on_both_when_long
def test_chapters_are_chosen_by_name_from_the_newest_epub_and_read_in_the_shop(
    desk: FlaskClient, client: FlaskClient, publication: Publication
) -> None:
    file = with_epub(publication)
    assert f'href="{CHAPTERS}"' in desk.get(DESK).text
    page = desk.get(CHAPTERS)
    check_page(page.text, path=CHAPTERS)
    found = re.findall(r'value="(\d+)"[^>]*>\s*<label[^>]*>([^<]+)</label>', page.text)
    (number,) = [number for number, name in found if name == "Using this booklet"]

    assert choose(desk, file, int(number)).status_code == 303

    sample = db.session.scalars(sa.select(Sample)).one()
    assert (sample.format, sample.chapters, sample.origin) == ("epub", 1, "1 chapter of edition 1")
    ((_, _, after),) = told()
    assert after["from"] == "1 chapter of edition 1"
    words = text_of(client.get(f"{SHOP}/sample").text)
    assert "This is a short working text for people" in words
    assert "Working with parents" not in words
    assert "Look inside Using this booklet This is a short" in text_of(client.get(SHOP).text)
    answer = client.get(f"{SHOP}/sample/send-early-years-sample.epub")
    assert hashlib.sha256(answer.data).hexdigest() == sample.sha256
    with zipfile.ZipFile(io.BytesIO(answer.data)) as book_of_it:
        assert len([one for one in book_of_it.namelist() if one.endswith(".xhtml")]) == 2


def test_a_choice_of_no_chapter_all_or_of_an_older_file_is_refused(
    desk: FlaskClient, client: FlaskClient, publication: Publication
) -> None:
    assert desk.get(CHAPTERS).status_code == 404
    assert f'href="{CHAPTERS}"' not in desk.get(DESK).text
    file = with_epub(publication)
    numbers = [
        int(one) for one in re.findall(r'name="chapter"[^>]*value="(\d+)"', desk.get(CHAPTERS).text)
    ]
    refusals = {
        "Tick the chapters that everybody may read.": choose(desk, file),
        "A sample is a part. Leave some chapters out.": choose(desk, file, *numbers),
        "Choose chapters of this EPUB.": choose(desk, file, 999),
        "A newer EPUB has come meanwhile.": choose(desk, file + 1, numbers[0]),
    }
    for sentence, answer in refusals.items():
        assert answer.status_code == 422, sentence
        assert sentence in text_of(answer.text)
        check_page(answer.text, path=CHAPTERS)
    kept = choose(desk, file + 1, numbers[1]).text
    assert re.findall(r'value="(\d+)"\s+checked', kept) == [str(numbers[1])]
    assert told() == []
    assert client.get(f"{SHOP}/sample").status_code == 404


def test_what_would_give_an_edition_away_is_refused(
    desk: FlaskClient, client: FlaskClient, publication: Publication
) -> None:
    whole = with_edition(publication)
    refusals = {
        "This is the file of an edition": put(desk, whole),
        "A sample is a part. Leave some pages out.": press(
            desk, f"{DESK}/pages", {"first": "1", "last": "12"}, seen_on=DESK
        ),
        "Choose pages from 1 to 12": press(
            desk, f"{DESK}/pages", {"first": "7", "last": "13"}, seen_on=DESK
        ),
        "Enter the number of a page.": press(
            desk, f"{DESK}/pages", {"first": "x", "last": "3"}, seen_on=DESK
        ),
        "This has 15 pages, and edition 1 has 12.": put(desk, edition_files(2)[0].read_bytes()),
        "The file must be a PDF or EPUB.": put(desk, b"words"),
        "Choose a PDF or an EPUB to upload.": put(desk),
    }
    for sentence, answer in refusals.items():
        assert answer.status_code == 422, sentence
        assert sentence in text_of(answer.text)
        check_page(answer.text, path=DESK)
    assert told() == []
    assert client.get(f"{SHOP}/sample").status_code == 404


@pytest.mark.parametrize(
    ("status", "code"), [(PublicationStatus.DRAFT, 404), (PublicationStatus.RETIRED, 410)]
)
def test_of_what_is_not_on_sale_strangers_see_no_sample(
    desk: FlaskClient,
    client: FlaskClient,
    publication: Publication,
    status: PublicationStatus,
    code: int,
) -> None:
    with transaction() as session:
        found = session.get_one(Publication, publication.id)
        a_sample(found)
        found.status = status
    for path in (f"{SHOP}/sample", f"{SHOP}/sample/send-early-years-sample.epub"):
        assert client.get(path).status_code == code
    assert desk.get(f"{DESK}/epub").data == b"sample"


def test_a_long_sample_is_read_a_chapter_at_a_time(
    client: FlaskClient, publication: Publication
) -> None:
    with transaction() as session:
        a_sample(session.get_one(Publication, publication.id), chapters=2)
    first, second = client.get(f"{SHOP}/sample"), client.get(f"{SHOP}/sample?chapter=2")
    assert f'href="{SHOP}/sample?chapter=2">Next chapter</a>' in first.text
    shown = ["<h2>Chapter 2</h2>" in one.text for one in (first, second)]
    assert shown == [False, True]
    assert {client.get(f"{SHOP}/sample?chapter={n}").status_code for n in ("3", "0", "x")} == {404}
