"""Notes on their way from the desk to page and letter: addresses whole, letters not too long."""

import re
from html import unescape
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.editions import LONGEST_NOTES, upload_edition
from store.catalog.models import Publication
from store.catalog.publications import publication_by_slug
from store.catalog.uploads import receive_file
from store.distribution.rehearsal import rehearse
from store.kit.database import db, transaction
from tests.admin.sign_in import press, signed_in, token_in
from tests.catalog.files import book, package, page
from tests.conftest import Clock, on_both_when_long
from tests.distribution.test_letters import _notices
from tests.editions import draft, reread
from tests.editions import release as release_now
from tests.factories import a_publication, a_seller, an_asset, an_edition
from tests.letters import send
from tests.pages import check_page
from tests.purchases import buy

LETTER_MOST = 90_000  # bytes, of the 102 kB that Gmail shows
EDITION = "/admin/publications/send-early-years/editions/1"
NOTES = """Download the form: https://www.gov.example/forms/send__form__v2.pdf

- https://www.gov.example/a**b**c
- [the Act](https://law.example/Act_(2026))
- __init__
- 2 ** 3 ** 4
- [our terms](/terms)
"""
ADDRESSES = [
    "https://www.gov.example/forms/send__form__v2.pdf",
    "https://www.gov.example/a**b**c",
    "https://law.example/Act_(2026)",
    "http://127.0.0.1:8000/terms",
]
PARAGRAPH = ("The duties of a setting follow the new code. " * 120)[:4999].rstrip() + "."


@pytest.fixture
def desk(client: FlaskClient, frozen: Clock) -> FlaskClient:
    """An owner at the desk."""
    return signed_in(client)


@pytest.fixture
def publication(app: Flask, frozen: Clock) -> Publication:
    with transaction():
        a_seller()
        publication: Publication = a_publication(expected_on=None)
    return publication


def released(publication: Publication, frozen: Clock, notes: str) -> tuple[str, str]:
    """Text and HTML of the one letter of an edition with these notes."""
    with transaction():
        buy(publication)
    frozen.advance(days=30)
    with transaction():
        edition = draft(publication, notes=notes)
    release_now(reread(edition))
    ((_, text, html),) = _notices(send())
    return text, html


def library_in(html: str) -> str:
    found = re.search(r'href="http://127\.0\.0\.1:8000(/library/[^"]+)"', html)
    assert found is not None
    return found[1]


@on_both_when_long
def test_addresses_in_notes_arrive_to_the_letter_everywhere(
    desk: FlaskClient, app: Flask, publication: Publication, frozen: Clock
) -> None:
    with transaction():
        edition = draft(publication, notes="")
        buy(publication)
    frozen.advance(days=30)
    signed_in(desk)
    assert (
        press(
            desk, f"{EDITION}/edit", {"notes": NOTES, "severity": "minor", "label": ""}
        ).status_code
        == 303
    )
    seen = {"draft": desk.get(EDITION).text, "preview": desk.get(f"{EDITION}/letter").text}
    plain = re.findall(r"<pre[^>]*>(.*?)</pre>", seen["draft"], re.DOTALL)[0]
    release_now(reread(edition))
    ((_, text, html),) = _notices(send())
    seen |= {"letter": html, "library": app.test_client().get(library_in(html)).text}

    for name, shown in seen.items():
        links = re.findall(r'<a [^>]*href="([^"]+)"', shown)
        for address in ADDRESSES:
            assert address in links, (name, address)
        assert "__init__" in shown, name
        assert "2 ** 3 ** 4" in shown, name
    for shown in (unescape(plain), text):
        for words in (*ADDRESSES, "__init__", "2 ** 3 ** 4"):
            assert words in shown


@pytest.mark.parametrize(
    ("notes", "last"),
    [
        ("\n\n".join([PARAGRAPH] * 100), "new code."),
        ("\n".join(f"- Item {n}: [form](https://x.example/{n})" for n in range(4000)), "Item 3999"),
        pytest.param(" ".join([PARAGRAPH] * 60), "new code.", marks=pytest.mark.long),
        pytest.param(
            "\n".join(f"- {n}\n\n  _{n}_" for n in range(6000)),
            "<em>5999</em>",
            marks=pytest.mark.long,
        ),
    ],
    ids=["paragraphs", "list", "one paragraph", "loose list"],
)
def test_a_letter_stays_within_what_mail_programs_show_and_keeps_its_links(
    app: Flask, publication: Publication, frozen: Clock, notes: str, last: str
) -> None:
    text, html = released(publication, frozen, notes)

    assert len(html.encode()) < LETTER_MOST
    assert len(text.encode()) < LETTER_MOST
    library, stop = library_in(html), re.findall(r'href="([^"]+/stop/[^"]+)"', html)
    assert len(stop) == 1
    assert f'{library}" style="color: #0e5a52;">read on in your library</a>' in html
    assert html.index(library) < html.index("What is in it")
    for shown in (text, html):
        assert "Early Years Sample Press" in shown[shown.index("The notes go on.") :]
        assert stop[0] in shown
    assert f"read on in your library:\r\nhttp://127.0.0.1:8000{library}" in text
    pages, on = [], library
    while on:
        pages.append(app.test_client().get(on).text)
        # A page has room for so much; the rest stands behind it.
        ways = re.search(r'href="([^"]+)"(?: rel="next">|>All that changed)', pages[-1])
        on = unescape(ways[1]) if ways else ""
        assert len(pages) < 200
    assert last in pages[-1]
    for one in pages:
        check_page(one, path=library)


def test_lines_that_mail_could_mangle_arrive_unchanged(
    publication: Publication, frozen: Clock
) -> None:
    lines = [PARAGRAPH, ".", "..two", "From the board", "a\ttab", "trailing blank ", "end"]

    text, html = released(publication, frozen, "\n".join(lines))

    assert "\r\n".join(lines) in text
    shown = unescape(re.sub(r"\s+", " ", html))
    assert " ".join(lines).replace("\t", " ").replace("  ", " ") in shown


def test_the_longest_title_and_label_leave_room_too(app: Flask, frozen: Clock) -> None:
    with transaction():
        a_seller(trading_name="&" * 100, address="&" * 300)
        publication = a_publication(title="&" * 200, expected_on=None)
        buy(publication, name="Ω" * 100)
    frozen.advance(days=30)
    with transaction():
        edition = draft(publication, notes="[&](https://x.example/) & " * 9000, label="&" * 100)
    release_now(reread(edition))

    ((_, text, html),) = _notices(send())

    assert "The notes go on." in text
    assert 60_000 < len(html.encode()) < LETTER_MOST


def test_short_notes_are_not_said_to_go_on(publication: Publication, frozen: Clock) -> None:
    text, html = released(publication, frozen, "- One")

    assert "go on" not in text + html


def test_what_is_odd_in_the_notes_is_said_before_the_release(
    desk: FlaskClient, publication: Publication
) -> None:
    notes = "\n\n".join(["[here](page.html) and ![a chart](chart.png)", *[PARAGRAPH] * 40])
    with transaction():
        draft(publication, notes=notes)
    for path in (EDITION, f"{EDITION}/edit"):
        shown = unescape(desk.get(path).text)
        check_page(shown, path=path) if path == EDITION else None
        assert "The link “page.html” in the notes leads nowhere in a letter" in shown
        assert "The picture “chart.png” in the notes is not shown" in shown
        assert "In the letter they end after “… setting follow the new code." in shown
    form = desk.get(f"{EDITION}/edit").text
    assert "longer notes are cut there between two paragraphs" in form
    upload = desk.get("/admin/publications/send-early-years/upload").text
    assert "A file takes the place" in upload


@pytest.mark.parametrize("over", [0, 1])
def test_notes_beyond_the_limit_come_back_with_a_sentence(
    desk: FlaskClient, publication: Publication, over: int
) -> None:
    with transaction():
        edition = draft(publication, notes="old")
    notes = "ü" * (LONGEST_NOTES - 4 + over) + " end"
    answer = press(desk, f"{EDITION}/edit", {"notes": notes, "severity": "law", "label": "L"})

    if not over:
        assert (answer.status_code, reread(edition).notes) == (303, notes)
        return
    assert answer.status_code == 422
    assert "What changed may have 600,000 characters. This has 600,001: shorten it" in answer.text
    assert notes in answer.text
    assert reread(edition).notes == "old"


def test_an_upload_with_notes_beyond_the_limit_keeps_them_too(
    desk: FlaskClient, publication: Publication
) -> None:
    notes = "x" * (LONGEST_NOTES + 1)
    path = "/admin/publications/send-early-years/upload"
    fields = {"csrf_token": token_in(desk.get(path).text), "notes": notes}
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    answer = desk.post(
        path, data="".join([*parts, "--x--"]), content_type="multipart/form-data; boundary=x"
    )

    assert answer.status_code == 422
    assert "This has 600,001" in answer.text
    assert notes in answer.text


@on_both_when_long
def test_two_publications_of_one_identifier_are_warned_of(
    app: Flask, publication: Publication
) -> None:
    with transaction():
        other = a_publication("another", title="Another")
        an_asset(an_edition(other), "epub", facts={"identifier": "urn:uuid:1"})
        third = a_publication("third", title="Third")
        an_asset(an_edition(third), "epub", facts={"identifier": "urn:uuid:2"})
        edition = an_edition(publication)
        an_asset(edition, "epub", facts={"identifier": "urn:uuid:1"})
        an_asset(edition, "pdf", facts={"identifier": ""})

    found = [one for one in rehearse(edition).warnings if "identifier" in one]

    assert found == [
        (
            "EPUB: It has the same identifier as “Another”. Reading apps would put one in the place"
            " of the other: give each publication its own. In both files stands urn:uuid:1."
        )
    ]


def upload(tmp_path: Path, identifier: str) -> None:
    opf = package().replace(b"urn:isbn:9780306406157", identifier.encode())
    path = tmp_path / identifier[-1]
    path.write_bytes(book({"EPUB/package.opf": opf, "EPUB/c1.xhtml": page(f"<p>{identifier}</p>")}))
    received = receive_file(path)
    with transaction():
        upload_edition(publication_by_slug("send-early-years"), [received], notes="x")


def test_a_second_edition_with_another_identifier_is_warned_of_with_both(
    desk: FlaskClient, publication: Publication, tmp_path: Path
) -> None:
    upload(tmp_path, "urn:uuid:first-1")
    edition = db.session.get_one(Publication, publication.id).editions[0]
    release_now(edition)
    upload(tmp_path, "urn:uuid:second-2")

    shown = desk.get("/admin/publications/send-early-years/editions/2").text

    assert "<b>EPUB: Its identifier is another than that of the last edition.</b>" in shown
    assert "It was urn:uuid:first-1, and is urn:uuid:second-2." in shown
