"""The house's own face: set by an owner at the desk, shown on pages, on record."""

import io
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from store.catalog.faces import GREEN, stylesheet_path
from store.kit.database import db
from store.staff.models import AuditEntry
from tests.admin.sign_in import press, signed_in
from tests.editions import a_shop
from tests.pages import Page, check_page, read
from tests.storefront.forms import text_of

PATH = "/admin/settings/face"


@pytest.fixture
def desk(app: Flask, client: FlaskClient) -> Iterator[FlaskClient]:
    """An owner at the desk of a shop with one title."""
    a_shop()
    return signed_in(client)


def picture(size: tuple[int, int], kind: str = "PNG") -> io.BytesIO:
    held = io.BytesIO()
    Image.new("RGB", size, "teal").save(held, kind)
    held.seek(0)
    return held


def save(desk: FlaskClient, **fields: object) -> tuple[int, str]:
    answer = press(desk, PATH, fields, content_type="multipart/form-data")
    return answer.status_code, answer.text


def test_a_face_shows_on_the_next_page_and_is_on_record(app: Flask, desk: FlaskClient) -> None:
    reader = app.test_client()
    plain = read(reader, "/")
    assert "/face/" not in read(reader, "/publications/send-early-years")  # kept from now on
    saved = save(
        desk,
        accent="7A2F2B",
        line="We print  slowly.",
        logo=(picture((800, 160)), "logo.png"),
        logo_has_name="yes",
        social=(picture((1600, 840), "JPEG"), "us.jpg"),
    )
    assert saved[0] == 303
    html = read(reader, "/publications/send-early-years")
    check_page(html, path="publication")
    page = Page(html)
    (logo,) = [one.attrib for one in page.all("img") if one.attrib["src"].startswith("/face/")]
    assert (logo["alt"], logo["width"], logo["height"]) == ("Early Years Sample Press", "200", "40")
    with Image.open(io.BytesIO(reader.get(logo["src"]).data)) as kept:
        assert (kept.format, kept.size) == ("PNG", (400, 80))
    (shared,) = [
        one.attrib["content"]
        for one in page.all("meta")
        if one.attrib.get("property") == "og:image"
    ]
    assert reader.get(shared.removeprefix("http://127.0.0.1:8000")).content_type == "image/jpeg"
    style = reader.get(stylesheet_path("#7a2f2b"))
    assert stylesheet_path("#7a2f2b") in html
    assert "--accent:#7a2f2b" in style.text
    assert style.headers["Cache-Control"].endswith("immutable")
    assert "We print slowly." in html
    assert "/face/" not in plain
    front = read(reader, "/")
    assert (front.count("We print slowly."), 'fill="#0e5a52"' in front) == (1, False)
    assert "#7a2f2b" in read(desk, "/admin/settings")

    assert save(desk, line="", accent=GREEN, no_logo="yes", no_social="yes")[0] == 303
    assert read(reader, "/") == plain
    last = db.session.scalars(sa.select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert last is not None
    assert (last.act, last.before["line"], last.after["colour"]) == (
        "face_changed",
        "We print slowly.",
        "our own",
    )


def test_what_would_not_be_read_or_may_hold_a_program_is_refused_as_typed(
    app: Flask, desk: FlaskClient
) -> None:
    drawing = io.BytesIO(b'<svg xmlns="http://www.w3.org/2000/svg"><script>x()</script></svg>')
    status, html = save(
        desk,
        accent="#ffcc00",
        line="x" * 161,
    )
    assert status == 422
    check_page(html, path=PATH)
    words = text_of(html)
    assert "too pale to be read: its contrast is 1.3 to 1, and 4.5 is needed" in words
    assert "The nearest that would do is #816700." in words
    assert 'value="#ffcc00"' in html
    assert "x" * 161 in html
    status, html = save(
        desk,
        accent="#816700",
        logo=(drawing, "logo.png"),
        social=(picture((400, 400)), "small.png"),
    )
    words = text_of(html)
    assert (status, "The logo is an SVG, which may hold a program." in words) == (422, True)
    assert "The picture is 400 by 400 pixels. At least 600 by 315 are needed." in words
    assert "/face/" not in read(app.test_client(), "/")
    for name in ("0e5a52-00000000.css", "0" * 64 + ".png", "..%2Fx.png", "x"):
        assert app.test_client().get(f"/face/{name}").status_code == 404
