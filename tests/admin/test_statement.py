"""The statement of a release: one page for print, the same as a PDF, and the rows that both sum up."""

import hashlib
import re
from io import BytesIO

import pikepdf
import pypdfium2
import sqlalchemy as sa
from flask.testing import FlaskClient

from store.entitlements import granting
from store.kit.database import transaction
from store.mail.models import Delivery, DeliveryStatus
from tests.admin.sign_in import signed_in
from tests.conftest import Clock, on_both
from tests.editions import draft, release
from tests.factories import a_publication, a_seller
from tests.letters import send
from tests.pages import page_at
from tests.purchases import buy

EDITION = "/admin/publications/send-early-years/editions/1"


@on_both
def test_the_statement_page_and_pdf_say_the_same_of_the_same_rows(
    frozen: Clock, client: FlaskClient
) -> None:
    with transaction():
        a_seller()
        publication = a_publication(expected_on=None)
        for name in ("anna", "ben"):
            buy(publication, f"{name}@reader.example")
        granting.revoke_order(buy(publication, "back@reader.example"), "refunded")
        edition = draft(publication)
    edition = release(edition)
    frozen.advance(minutes=4)
    send()
    with transaction() as session:
        sent = sa.select(Delivery).filter_by(edition_id=edition.id, status=DeliveryStatus.SENT)
        session.scalars(sent.order_by(Delivery.id)).all()[-1].status = DeliveryStatus.FAILED
    desk = signed_in(client, "editor")

    page = page_at(desk, f"{EDITION}/statement")
    rows = desk.get(f"{EDITION}/statement.csv").data
    pdf = desk.get(f"{EDITION}/statement.pdf").data

    checksum = hashlib.sha256(rows).hexdigest()
    assert checksum in page
    said = [line.split(",")[1] for line in rows.decode().splitlines()[1:]]
    assert said == ["handed_over", "undeliverable", "left_out"]
    assert b"@" not in rows
    figures = re.findall(r'<th scope="row">(.*?)</th><td class="num">(.*?)</td>', page)
    assert figures == [
        ("handed over", "1"), ("waiting", "0"), ("held", "0"), ("undeliverable", "1"),
        ("came back", "0"), ("missing", "0"), ("together", "2"), ("were refunded", "1"),
    ]  # fmt: skip
    with pikepdf.open(BytesIO(pdf)) as opened:
        assert opened.Root.Lang == "en-GB"
        assert opened.Root.MarkInfo.Marked
    sheets = pypdfium2.PdfDocument(pdf)
    text = sheets[0].get_textpage().get_text_range()
    assert len(sheets) == 1
    assert checksum in text
    assert all(f"{words} {count}" in text.replace("\r\n", " ") for words, count in figures)
