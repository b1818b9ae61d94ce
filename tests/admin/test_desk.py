"""The desk as staff use it, through its pages and forms."""

import io
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Edition, EditionStatus, Publication
from store.catalog.publications import publication_by_slug
from store.distribution import live, releasing
from store.kit.database import db, transaction
from store.kit.status import StatusChange
from store.mail.counts import BatchCount
from store.mail.models import CapturedLetter, Delivery, DeliveryStatus
from store.orders.models import Customer
from tests.admin.sign_in import press, sign_in, token_in
from tests.conftest import Clock, on_both_when_long
from tests.editions import draft, drafted_and_released
from tests.letters import deliveries, send
from tests.pages import Page, check_page, page_at
from tests.purchases import buy

SAMPLE = Path("store/demo/sample")
PUBLICATION = "/admin/publications/send-early-years"
EDITION = f"{PUBLICATION}/editions/1"


def sample(*suffixes: str) -> dict[str, object]:
    """The sample's files as a form sends them."""
    return {
        "files": [
            (io.BytesIO((SAMPLE / f"edition-1.{suffix}").read_bytes()), f"edition-1.{suffix}")
            for suffix in suffixes
        ]
    }


def notices(number: int = 1) -> dict[str, tuple[DeliveryStatus, str]]:
    """Status and reason of an edition's notices, as they are now."""
    return deliveries(edition_now(number))


def edition_now(number: int = 1) -> Edition:
    db.session.rollback()
    return db.session.scalars(sa.select(Edition).filter_by(number=number)).one()


@on_both_when_long
def test_from_an_empty_shop_to_a_publication_on_sale(desk: FlaskClient) -> None:
    assert "First steps" in page_at(desk, "/admin/")
    bad = press(desk, "/admin/seller", {"legal_name": "Sample Press CIO"})
    assert bad.status_code == 422
    check_page(bad.text, path="/admin/seller")
    assert 'value="Sample Press CIO"' in bad.text
    seller = {
        "trading_name": "Sample Press",
        "email": "hello@publisher.example",
        "countries": "GB",
    }
    assert press(desk, "/admin/seller", seller).status_code == 303
    assert 'value="Sample Press"' in page_at(desk, "/admin/seller")

    assert "No publications yet" in page_at(desk, "/admin/publications")
    bad = press(
        desk,
        "/admin/publications/new",
        {"title": "A <b>title</b>", "slug": "Wrong Slug", "price": "12,50", "currency": "GBP", "vat_treatment": "zero_rated",
         "expected_on": "soon", "updates_months": "many"},
    )  # fmt: skip
    assert bad.status_code == 422
    check_page(bad.text, path="/admin/publications/new")
    assert "A &lt;b&gt;title&lt;/b&gt;" in bad.text
    fields = {"title": "Effective SEND Practice", "slug": "send-early-years", "price": "12.50",
              "currency": "GBP", "vat_treatment": "zero_rated", "language": "en-GB", "expected_on": "2027-03-31"}  # fmt: skip
    added = press(desk, "/admin/publications/new", fields)
    assert (added.status_code, added.location) == (303, PUBLICATION)
    again = press(desk, "/admin/publications/new", fields)
    assert again.status_code == 422
    assert "There is a publication with this address already." in again.text
    assert desk.get("/publications/send-early-years").status_code == 404

    assert press(desk, f"{PUBLICATION}/sale", seen_on=PUBLICATION).status_code == 303
    assert desk.get("/publications/send-early-years").status_code == 200
    changed = press(desk, f"{PUBLICATION}/edit", fields | {"price": "13.00"})
    assert changed.status_code == 303
    assert "£13.00" in page_at(desk, PUBLICATION)
    page_at(desk, f"{PUBLICATION}/edit")
    page_at(desk, f"{PUBLICATION}/retire")
    assert press(desk, f"{PUBLICATION}/retire").status_code == 303
    assert desk.get("/publications/send-early-years").status_code == 410


@on_both_when_long
def test_three_presses_from_upload_to_sent(desk: FlaskClient, publication: Publication) -> None:
    with transaction():
        buy(publication_by_slug("send-early-years"))
        buy(publication_by_slug("send-early-years"), "ben@reader.example", "Ben")
    page = page_at(desk, f"{PUBLICATION}/upload")
    assert "up to 250.0 MB each" in page

    uploaded = press(
        desk,
        f"{PUBLICATION}/upload",
        {**sample("pdf", "epub"), "notes": "- Everything", "severity": "guidance", "label": ""},
        content_type="multipart/form-data",
    )
    assert (uploaded.status_code, uploaded.location) == (303, EDITION)
    page = page_at(desk, EDITION)
    assert "Release edition 1 to 2 people" in page
    assert "as Anna Berg gets it" in page
    assert notices() == {}

    released = press(desk, f"{EDITION}/release", {"people": "2", "when": "now"}, seen_on=EDITION)
    assert (released.status_code, released.location) == (303, EDITION)
    assert "goes out in a moment" in page_at(desk, EDITION)
    assert releasing.release_due() == 1
    assert "is going out" in page_at(desk, EDITION)
    send()
    page = page_at(desk, EDITION)
    assert "The account is complete" in page
    assert {status for status, _ in notices().values()} == {DeliveryStatus.SENT}
    page_at(desk, "/admin/")


def test_the_letter_is_shown_as_it_will_be_in_a_frame_that_can_do_nothing(
    desk: FlaskClient, publication: Publication
) -> None:
    with transaction():
        buy(publication)
        draft(publication)
    page = desk.get(EDITION)
    assert "frame-src 'self'" in page.headers["Content-Security-Policy"]
    letter = desk.get(f"{EDITION}/letter")
    assert letter.headers["Content-Security-Policy"].startswith("sandbox; ")
    assert letter.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "Dear Anna Berg" in letter.text
    assert "<script" not in letter.text
    shown = letter.text + page.text
    assert "/library/…" in shown
    assert not re.search(r"/(library|stop)/[A-Za-z0-9]", shown), "a customer's own link is shown"


def test_a_test_goes_to_the_person_who_presses_and_counts_nowhere(
    desk: FlaskClient, publication: Publication
) -> None:
    with transaction():
        buy(publication)
        draft(publication)
    assert press(desk, f"{EDITION}/test", seen_on=EDITION).status_code == 303
    assert "A test is on its way to owner@publisher.example." in page_at(desk, EDITION)
    letters = [one for one in send() if one.recipient == "owner@publisher.example"]
    assert [one.subject.startswith("[TEST]") for one in letters] == [True]
    assert notices() == {}


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        (b"", "a.pdf", "The file is empty."),
        (b"Dear reader,", "a.docx", "must be a PDF or EPUB"),
        (Path("tests/catalog/hostile/pdf-encrypted-owner-only-aes256.pdf"), "a.pdf", "password"),
    ],
)
def test_a_file_that_cannot_be_sold_is_refused_in_words_and_the_notes_stay(
    desk: FlaskClient, publication: Publication, content: bytes | Path, name: str, sentence: str
) -> None:
    data = content.read_bytes() if isinstance(content, Path) else content
    answer = press(
        desk,
        f"{PUBLICATION}/upload",
        {"files": (io.BytesIO(data), name), "notes": "Kept words", "severity": "law"},
        content_type="multipart/form-data",
    )
    assert answer.status_code == 422
    check_page(answer.text, path=f"{PUBLICATION}/upload")
    assert sentence in answer.text
    assert "Kept words" in answer.text
    assert re.search(r'value="law"[^>]*checked', answer.text)
    assert db.session.scalars(sa.select(Edition)).all() == []


@pytest.mark.parametrize(
    "declared",
    ["application/epub", "image/epub", "application/octet-stream", "application/x-pdf", "", None],
)
def test_a_file_is_taken_whatever_type_the_uploaders_machine_declares(
    desk: FlaskClient, publication: Publication, declared: str | None
) -> None:
    typed = "" if declared is None else f"Content-Type: {declared}\r\n"
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="g.epub"\r\n{typed}\r\n'
    book = (SAMPLE / "edition-1.epub").read_bytes()
    token = token_in(desk.get(f"{PUBLICATION}/upload").text)
    field = f'\r\n--x\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{token}'
    answer = desk.post(
        f"{PUBLICATION}/upload",
        data=head.encode() + book + field.encode() + b"\r\n--x--\r\n",
        content_type="multipart/form-data; boundary=x",
    )
    assert answer.status_code == 303
    assert [asset.format for asset in edition_now().assets] == ["epub"]


def test_without_a_file_the_form_says_what_to_choose(
    desk: FlaskClient, publication: Publication
) -> None:
    answer = press(
        desk, f"{PUBLICATION}/upload", {"notes": "x"}, content_type="multipart/form-data"
    )
    assert answer.status_code == 422
    assert "Choose a PDF or an EPUB to upload." in answer.text


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(
    app: Flask, desk: FlaskClient, publication: Publication
) -> None:
    settings = app.extensions["colophon.settings"]
    app.extensions["colophon.settings"] = settings.model_copy(update={"max_upload": 10_000})
    answer = desk.post(
        f"{PUBLICATION}/upload",
        input_stream=io.BytesIO(b""),
        content_type="multipart/form-data; boundary=x",
        environ_overrides={"CONTENT_LENGTH": "1100000"},
    )
    assert answer.status_code == 413
    assert "One file may have up to 10 kB." in answer.text
    check_page(answer.text, path=f"{PUBLICATION}/upload")


def test_nobody_uploads_without_signing_in(client: FlaskClient, publication: Publication) -> None:
    answer = client.post(
        f"{PUBLICATION}/upload",
        data={"files": (io.BytesIO(b"x" * 100_000), "a.pdf")},
        content_type="multipart/form-data",
    )
    assert answer.status_code == 303
    assert answer.location.startswith("/admin/sign-in")


def test_a_format_is_added_and_replaced_while_it_is_a_draft(
    desk: FlaskClient, publication: Publication
) -> None:
    for suffix in ("pdf", "epub", "pdf"):
        press(desk, f"{PUBLICATION}/upload", sample(suffix), content_type="multipart/form-data")
    edition = edition_now()
    assert sorted(asset.format for asset in edition.assets) == ["epub", "pdf"]
    got = desk.get(f"{EDITION}/files/pdf")
    assert got.data == (SAMPLE / "edition-1.pdf").read_bytes()
    disposition = 'attachment; filename="send-early-years-edition-1.pdf"'
    assert got.headers["Content-Disposition"] == disposition
    assert desk.get(f"{EDITION}/files/mobi").status_code == 404
    values = {"notes": "- New", "severity": "law", "label": "Spring"}
    assert press(desk, f"{EDITION}/edit", values).status_code == 303
    assert "Spring" in page_at(desk, EDITION)
    bad = press(desk, f"{EDITION}/edit", values | {"severity": "huge"})
    assert bad.status_code == 422


def test_above_a_hundred_people_the_number_is_typed(
    desk: FlaskClient, publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.distribution.rehearsal.TYPED_ABOVE", 1)
    with transaction():
        for name in ("anna", "ben"):
            buy(publication, f"{name}@reader.example")
        draft(publication)
    assert "Type the number of people" in page_at(desk, EDITION)
    for typed, sentence in (("", "Type the number of people, 2"), ("3", "goes to 2 people now")):
        answer = press(
            desk, f"{EDITION}/release", {"people": typed, "when": "now"}, seen_on=EDITION
        )
        assert answer.status_code == 422
        assert sentence in answer.text
        check_page(answer.text, path=EDITION)
    assert edition_now().status is EditionStatus.DRAFT
    press(desk, f"{EDITION}/release", {"people": " 2 ", "when": "now"}, seen_on=EDITION)
    assert edition_now().status is EditionStatus.SCHEDULED


def test_who_bought_meanwhile_is_shown_before_the_press_counts(
    desk: FlaskClient, publication: Publication
) -> None:
    with transaction():
        buy(publication)
        draft(publication)
    seen = {"people": "1", "when": "now"}
    with transaction():
        buy(publication_by_slug("send-early-years"), "ben@reader.example")
    answer = press(desk, f"{EDITION}/release", seen, seen_on=EDITION)
    assert answer.status_code == 422
    assert "The edition goes to 2 people now." in answer.text


@pytest.mark.parametrize(
    ("at", "sentence"),
    [
        ("", "Enter a date and a time."),
        ("2027-02-28T09:00", "That is too soon"),
        ("2027-03-28T01:30", "because the clocks change. Choose a time an hour"),
        ("2027-10-31T01:30", "comes twice in Europe/London, because the clocks"),
    ],
)
def test_an_unclear_moment_is_refused_and_kept(
    frozen: Clock, desk: FlaskClient, publication: Publication, at: str, sentence: str
) -> None:
    with transaction():
        draft(publication)
    values = {"people": "0", "when": "later", "at": at}
    answer = press(desk, f"{EDITION}/release", values, seen_on=EDITION)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert f'value="{at}"' in answer.text or not at
    check_page(answer.text, path=EDITION)


def test_a_scheduled_release_is_counted_down_and_taken_back(
    frozen: Clock, desk: FlaskClient, publication: Publication
) -> None:
    with transaction():
        buy(publication)
        draft(publication)
    values = {"people": "1", "when": "later", "at": "2027-04-01T09:00"}
    press(desk, f"{EDITION}/release", values, seen_on=EDITION)
    assert edition_now().release_at == datetime(2027, 4, 1, 8, 0, tzinfo=UTC)
    page = page_at(desk, EDITION)
    assert "goes out in 31 days" in page
    assert "1 April 2027, 09:00 BST (Europe/London)" in page
    press(desk, f"{EDITION}/take-back", seen_on=EDITION)
    assert edition_now().status is EditionStatus.DRAFT
    assert "Taken back. Nothing has left." in page_at(desk, EDITION)
    late = press(desk, f"{EDITION}/take-back", seen_on=EDITION)
    assert late.status_code == 409


def test_pause_go_on_recall(desk: FlaskClient, publication: Publication) -> None:
    with transaction():
        buy(publication)
    drafted_and_released(publication_by_slug("send-early-years"))
    press(desk, f"{EDITION}/pause", seen_on=EDITION)
    assert "owner@publisher.example paused it" in page_at(desk, EDITION)
    assert "is paused" in page_at(desk, "/admin/")
    assert [one.recipient for one in send() if "edition" in one.subject.lower()] == []
    press(desk, f"{EDITION}/resume", seen_on=EDITION)
    page_at(desk, f"{EDITION}/recall")
    press(desk, f"{EDITION}/recall")
    page = page_at(desk, EDITION)
    assert "was recalled" in page
    assert "Recalled. 1 letter was left out." in page
    assert notices() == {"anna@reader.example": (DeliveryStatus.SKIPPED, "recalled")}
    again = press(desk, f"{EDITION}/recall", seen_on="/admin/account")
    assert again.status_code == 409


def test_what_could_not_be_delivered_is_shown_with_the_servers_words_and_tried_again(
    desk: FlaskClient, publication: Publication
) -> None:
    with transaction():
        buy(publication)
        buy(publication, "ben@reader.example")
    edition = drafted_and_released(publication_by_slug("send-early-years"))
    with transaction() as session:
        letters = session.scalars(
            sa.select(Delivery).join(Customer).where(
                Delivery.edition_id == edition.id, Customer.email == "ben@reader.example"
            )
        )  # fmt: skip
        for letter in letters:
            letter.status, letter.reason = DeliveryStatus.FAILED, "550 5.1.1 No such mailbox"
    page = page_at(desk, EDITION)
    assert "550 5.1.1 No such mailbox" in page
    assert "ben@reader.example" in page.replace("<wbr>", "")
    assert "1 letter could not be delivered." in page_at(desk, "/admin/")
    assert "550 5.1.1" in page_at(desk, "/admin/letters?status=failed")
    press(desk, f"{EDITION}/retry", seen_on=EDITION)
    assert "1 letter is tried again." in page_at(desk, EDITION)
    assert set(notices().values()) == {(DeliveryStatus.QUEUED, "")}


def test_a_button_compares_the_figures_of_a_release_with_every_letter(
    desk: FlaskClient, publication: Publication
) -> None:
    with transaction():
        buy(publication)
    drafted_and_released(publication_by_slug("send-early-years"))
    live.recount_due()
    with transaction() as session:
        session.execute(sa.update(BatchCount).values(number=7))
    assert "7 waiting" in page_at(desk, EDITION)
    press(desk, f"{EDITION}/count", seen_on=EDITION)
    page = page_at(desk, EDITION)
    assert "1 person, each in one column. The page had counted otherwise and is put right." in page
    assert "1 waiting" in page
    press(desk, f"{EDITION}/count", seen_on=EDITION)
    assert "each in one column. Everything agrees." in page_at(desk, EDITION)


def test_a_withdrawn_edition_says_so_and_nothing_of_it_leaves(
    desk: FlaskClient, publication: Publication
) -> None:
    with transaction():
        buy(publication)
    drafted_and_released(publication_by_slug("send-early-years"))
    page_at(desk, f"{EDITION}/withdraw")
    assert press(desk, f"{EDITION}/withdraw", {"why": "wrong file"}).status_code == 303
    page = page_at(desk, EDITION)
    assert "is withdrawn" in page
    assert press(desk, f"{EDITION}/withdraw", seen_on="/admin/account").status_code == 409
    assert "withdrawn" in page_at(desk, PUBLICATION)


@pytest.mark.parametrize(
    ("name", "format", "ok"),
    [("a.png", "PNG", True), ("a.jpg", "JPEG", True), ("a.gif", "GIF", False)],
)
def test_a_cover_is_re_encoded_and_shown(
    desk: FlaskClient, publication: Publication, name: str, format: str, ok: bool
) -> None:
    from PIL import Image

    held = io.BytesIO()
    Image.new("RGB", (420, 594), "teal").save(held, format)
    held.seek(0)
    path = f"{PUBLICATION}/cover"
    page_at(desk, path)
    answer = press(desk, path, {"cover": (held, name)}, content_type="multipart/form-data")
    assert answer.status_code == (303 if ok else 422)
    shown = Page(page_at(desk, PUBLICATION)).all("source")
    assert len(shown) == ok
    if ok:
        addresses = [one.split()[0] for one in shown[0].attrib["srcset"].split(", ")]
        for address, width in zip(addresses, [320, 420], strict=True):
            with Image.open(io.BytesIO(desk.get(address).data)) as cover:
                assert (cover.format, cover.width) == ("WEBP", width)
        assert press(desk, path, {"give_up": "yes"}).status_code == 303
        assert not Page(page_at(desk, PUBLICATION)).all("source")
    else:
        check_page(answer.text, path=path)
        assert "The cover must be a PNG or JPEG." in answer.text


def test_no_cover_chosen_is_said(desk: FlaskClient, publication: Publication) -> None:
    answer = press(desk, f"{PUBLICATION}/cover", {}, content_type="multipart/form-data")
    assert answer.status_code == 422
    assert "Choose a PNG or JPEG." in answer.text


def test_an_edition_that_is_not_there_is_a_404(desk: FlaskClient, publication: Publication) -> None:
    for path in (f"{PUBLICATION}/editions/9", "/admin/publications/none"):
        answer = desk.get(path)
        assert answer.status_code == 404
        check_page(answer.text, path=path)


def test_letters_of_a_release_keep_to_one_per_person(
    desk: FlaskClient, publication: Publication
) -> None:
    with transaction():
        buy(publication)
        draft(publication)
    for _ in range(2):  # pressed twice
        press(desk, f"{EDITION}/release", {"people": "1", "when": "now"}, seen_on="/admin/account")
    releasing.release_due()
    send()
    to_anna = sa.select(CapturedLetter).where(CapturedLetter.recipient == "anna@reader.example")
    subjects = [one.subject for one in db.session.scalars(to_anna)]
    assert len([one for one in subjects if "dition" in one]) == 1


@pytest.fixture
def elsewhere(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine keeps the hours of Los Angeles, PostgreSQL those of Tokyo."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/Los_Angeles")
        time.tzset()
        if db.engine.dialect.name == "postgresql":
            name = db.engine.url.database
            with db.engine.begin() as connection:
                connection.exec_driver_sql(
                    f"ALTER DATABASE \"{name}\" SET timezone TO 'Asia/Tokyo'"
                )
            db.session.remove()
            db.engine.dispose()
            assert db.session.execute(sa.text("SHOW timezone")).scalar_one() == "Asia/Tokyo"
            db.session.rollback()
        yield
    time.tzset()


@on_both_when_long
@pytest.mark.usefixtures("elsewhere")
def test_an_hour_set_in_winter_for_a_summer_date_is_one_hour_everywhere(
    frozen: Clock, desk: FlaskClient, publication: Publication
) -> None:
    with transaction():
        buy(publication)
        draft(publication)
    values = {"people": "1", "when": "later", "at": "2027-04-01T09:00"}
    press(desk, f"{EDITION}/release", values, seen_on=EDITION)

    assert edition_now().release_at == datetime(2027, 4, 1, 8, 0, tzinfo=UTC)
    assert "1 April 2027, 09:00 BST (Europe/London)" in page_at(desk, EDITION)
    assert "1 April 2027, 09:00 BST" in page_at(desk, "/admin/")
    frozen.set(datetime(2027, 4, 1, 7, 59, 59, tzinfo=UTC))
    assert releasing.release_due() == 0
    frozen.set(datetime(2027, 4, 1, 8, 0, tzinfo=UTC))
    assert releasing.release_due() == 1
    assert edition_now().released_at == datetime(2027, 4, 1, 8, 0, tzinfo=UTC)
    sign_in(desk, "owner@publisher.example")  # a month later the session is over
    assert "1 April 2027, 09:00 BST" in page_at(desk, EDITION)
    moved = sa.select(StatusChange.at).where(StatusChange.to_status == "released")
    assert db.session.scalars(moved).all() == [datetime(2027, 4, 1, 8, 0, tzinfo=UTC)]
    send()
    letter = page_at(desk, "/admin/letters?status=sent")
    assert "today, 09:00" in letter
