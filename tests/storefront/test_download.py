"""Downloads: resumable, the same bytes for all, asked about the right each time (link-3 to link-7)."""

import re
import time
from hashlib import sha256

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from store.app import create_app
from store.catalog.models import Asset, Edition
from store.entitlements.doors import download_path
from store.entitlements.granting import revoke_order
from store.entitlements.links import token_of
from store.entitlements.models import Download, Entitlement
from store.entitlements.received import grant_digest
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.storage import Storage, storage
from store.orders.models import Order
from tests.conftest import Clock, make_settings, on_both, on_both_stores, on_both_when_long
from tests.editions import a_shop, put_out, withdraw
from tests.factories import an_asset, an_edition
from tests.front import by_every_way, seen
from tests.letters import sent
from tests.links import anna, link_to
from tests.pages import check_page
from tests.purchases import a_paid_order
from tests.rows import count_rows
from tests.statements import statements

pytestmark = pytest.mark.usefixtures("frozen")

DATA = bytes(range(256)) * 4


@pytest.fixture
def path(app: Flask, frozen: Clock) -> str:
    """The path of a PDF of 1,024 bytes that Anna bought a day ago."""
    shop = a_shop(editions=0)
    with transaction():
        edition = an_edition(shop, 1, status="released", released_at=frozen.at)
        an_asset(edition, "pdf", DATA)
        an_asset(edition, "epub", b"epub" * 100)
    a_paid_order(shop)
    frozen.advance(days=1)
    return path_of("pdf")


def path_of(format: str) -> str:
    found = [
        asset
        for edition in db.session.scalars(sa.select(Edition).where(Edition.number == 1))
        for asset in edition.assets
        if asset.format == format
    ]
    return download_path(link_to("library", anna().id), found[0])


def counted() -> int:
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(Download)) or 0


@by_every_way
@on_both_stores
def test_the_whole_file_comes_with_a_readable_name_and_nothing_guessed(
    client: FlaskClient, path: str
) -> None:
    answer = client.get(path, headers={"Accept-Encoding": "gzip, br, zstd"})
    assert answer.status_code == 200
    assert answer.data == DATA
    headers = answer.headers
    assert headers["Content-Type"] == "application/pdf"
    assert headers["Content-Length"] == "1024"
    assert headers["Content-Disposition"] == (
        'attachment; filename="Effective SEND Practice in the Early Years, edition 1.pdf"; '
        "filename*=UTF-8''Effective%20SEND%20Practice%20in%20the%20Early%20Years%2C%20edition%201.pdf"
    )
    assert headers["ETag"] == f'"{sha256(DATA).hexdigest()}"'
    assert headers["Last-Modified"] == "Mon, 01 Mar 2027 10:00:00 GMT"
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Cache-Control"] == "private, no-cache"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Encoding" not in headers
    assert "Set-Cookie" not in headers


@by_every_way
def test_an_epub_has_its_own_type_whatever_the_machine_knows(
    client: FlaskClient, path: str
) -> None:
    answer = client.get(path_of("epub"))
    assert answer.headers["Content-Type"] == "application/epub+zip"
    assert answer.headers["Content-Disposition"].endswith(".epub")


@by_every_way
@on_both_stores
@pytest.mark.parametrize(
    ("wanted", "status", "data", "content_range"),
    [
        ("bytes=100-199", 206, DATA[100:200], "bytes 100-199/1024"),
        ("bytes=500-", 206, DATA[500:], "bytes 500-1023/1024"),
        ("bytes=-99999", 206, DATA, "bytes 0-1023/1024"),
        ("items=0-3", 200, DATA, None),
        ("bytes=0-0,-1", 200, DATA, None),
        ("bytes=8-3", 200, DATA, None),
        ("bytes=abc", 200, DATA, None),
        ("bytes=1024-", 416, b"", "bytes */1024"),
    ],
)
def test_a_range_is_answered_as_the_standard_allows(
    client: FlaskClient,
    path: str,
    wanted: str,
    status: int,
    data: bytes,
    content_range: str | None,
) -> None:
    answer = client.get(path, headers={"Range": wanted, "Accept-Encoding": "gzip, br, zstd"})
    assert answer.status_code == status
    assert answer.data == data
    assert answer.headers.get("Content-Range") == content_range
    assert answer.headers["Content-Length"] == str(len(data))
    assert "Content-Encoding" not in answer.headers


@by_every_way
@on_both_stores
def test_head_is_get_without_the_body_and_counts_nothing(client: FlaskClient, path: str) -> None:
    before = count_rows()
    headed = client.head(path, headers={"Range": "bytes=0-1"})
    assert count_rows() == before
    got = client.get(path)
    assert headed.status_code == got.status_code == 200
    assert headed.data == b""
    assert seen(dict(headed.headers)) == seen(dict(got.headers))


@by_every_way
@on_both_stores
def test_a_zero_length_file_is_sent(client: FlaskClient, path: str) -> None:
    shop = a_shop(editions=0, slug="empty")
    with transaction():
        edition = an_edition(shop, 1, status="released", released_at=clock.now())
        asset = an_asset(edition, "pdf", b"")
    a_paid_order(shop)
    empty = download_path(link_to("library", anna().id), asset)
    answer = client.get(empty, headers={"Range": "bytes=0-"})
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == "0"


@pytest.mark.parametrize("name", ["a.pdf", "Kim’s copy.epub", "a.pdf.", "..pdf"])
def test_the_file_name_is_free_and_the_name_served_is_ours(
    client: FlaskClient, path: str, name: str
) -> None:
    answer = client.get(f"{path.rsplit('/', 1)[0]}/{name}")
    assert (answer.status_code, answer.data) == (200, DATA)
    assert "Early Years, edition 1.pdf" in answer.headers["Content-Disposition"]
    assert "Kim" not in answer.headers["Content-Disposition"]


@by_every_way
@pytest.mark.parametrize("last", ["send-early-years-edition-1.pdf", "send-early-years-1-pdf"])
def test_addresses_of_before_and_those_without_a_file_name_still_work(
    client: FlaskClient, path: str, last: str
) -> None:
    of_before = f"{path.rsplit('/', 2)[0]}/{last}"
    answer = client.get(of_before, headers={"Range": "bytes=0-9"})
    assert (answer.status_code, answer.data) == (206, DATA[:10])
    headed = (seen(dict(client.head(one).headers)) for one in (of_before, path))
    assert next(headed) == next(headed)
    assert client.get(path).status_code == 200
    assert counted() == 1


@by_every_way
@on_both_stores
@on_both_when_long
def test_one_download_is_counted_however_many_ranges_it_took(
    client: FlaskClient, path: str
) -> None:
    for headers in ({}, {"Range": "bytes=0-9"}, {"Range": "bytes=10-"}):
        assert client.get(path, headers=headers).status_code in {200, 206}
    assert counted() == 1
    row = db.session.scalars(sa.select(Download)).one()
    token = path.split("/")[2]
    assert row.grant_digest == grant_digest(token)
    assert token not in str(vars(row))
    assert client.get(path_of("epub")).status_code == 200
    assert counted() == 2


@by_every_way
@on_both_stores
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": f'"{sha256(DATA).hexdigest()}"'}, 304),
        ({"If-Modified-Since": "Mon, 01 Mar 2027 10:00:00 GMT"}, 304),
        ({"Range": "bytes=1024-"}, 416),
        ({"If-Match": '"other"'}, 412),
    ],
)
def test_what_transfers_nothing_is_not_counted(
    client: FlaskClient, path: str, headers: dict[str, str], status: int
) -> None:
    before = count_rows()
    answer = client.get(path, headers=headers)
    assert (answer.status_code, answer.data) == (status, b"")
    assert count_rows() == before
    if status == 304:
        assert answer.headers["ETag"] == f'"{sha256(DATA).hexdigest()}"'
        assert "Content-Length" not in answer.headers


@by_every_way
@on_both_stores
def test_a_download_goes_on_only_with_the_same_file(client: FlaskClient, path: str) -> None:
    tag = f'"{sha256(DATA).hexdigest()}"'
    for condition, status in ((tag, 206), (f"W/{tag}", 200), ('"old"', 200)):
        answer = client.get(path, headers={"Range": "bytes=100-", "If-Range": condition})
        assert answer.status_code == status
        assert answer.data == (DATA[100:] if status == 206 else DATA)


def test_another_process_goes_on_with_the_same_bytes(
    client: FlaskClient, path: str, app: Flask, tmp_path: object, database_url: str
) -> None:
    first = client.get(path, headers={"Range": "bytes=0-499"})
    restarted = create_app(make_settings(tmp_path, database_url=database_url))  # type: ignore[arg-type]
    rest = restarted.test_client().get(
        path, headers={"Range": "bytes=500-", "If-Range": first.headers["ETag"]}
    )
    assert rest.status_code == 206
    assert first.data + rest.data == DATA


@by_every_way
@on_both_stores
def test_a_refund_closes_the_next_request(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 200
    with transaction() as session:
        revoke_order(session.scalars(sa.select(Order)).one(), "refunded")
    answer = client.get(path)
    assert answer.status_code == 410
    check_page(answer.text, path=path)
    assert "This order was refunded" in answer.text


def test_a_withdrawn_edition_is_not_given(client: FlaskClient, path: str) -> None:
    with transaction() as session:
        edition = session.scalars(sa.select(Edition)).one()
    withdraw(edition)
    assert client.get(path).status_code == 410


def test_nobody_gets_what_they_did_not_buy_or_what_is_not_released(
    client: FlaskClient, path: str
) -> None:
    other = put_out(a_shop(editions=0, slug="other"), 1)
    link = link_to("library", anna().id)
    answers: list[TestResponse] = [client.get(download_path(link, other.assets[0]))]
    with transaction() as session:
        draft = an_edition(session.scalars(sa.select(Edition)).first().publication, 2)  # type: ignore[union-attr]
        draft_path = download_path(link, an_asset(draft, "pdf"))
    answers.append(client.get(draft_path))
    answers.append(client.get(path.rsplit("/", 2)[0] + "/send-early-years-9-pdf/a.pdf"))
    answers.append(client.get(path.rsplit("/", 2)[0] + "/..%2F..%2Fcolophon.db"))
    assert [answer.status_code for answer in answers] == [404, 404, 404, 410]
    assert counted() == 0


def test_a_library_token_is_no_download_token(client: FlaskClient, path: str) -> None:
    token = token_of(link_to("library", anna().id))
    assert client.get(f"/download/{token}/send-early-years-edition-1.pdf").status_code == 410


def test_a_day_later_the_button_mails_a_fresh_link(
    client: FlaskClient, path: str, frozen: Clock
) -> None:
    sent()
    frozen.advance(hours=24, seconds=1)
    answer = client.get(path)
    assert answer.status_code == 410
    assert "Mail me a fresh link" in answer.text
    token = re.search(r'name="token" value="([^"]+)"', answer.text)
    assert token is not None
    client.post("/find-my-copies/renew", data={"token": token[1]})
    assert sent()[-1]["Subject"] == "Here are your copies and orders"


@by_every_way
@on_both_stores
def test_a_file_that_storage_lost_is_a_page_and_no_half_answer(
    client: FlaskClient, path: str
) -> None:
    storage().delete(f"assets/{sha256(DATA).hexdigest()}")
    answer = client.get(path)
    assert answer.status_code == 503
    check_page(answer.text, path=path)
    assert counted() == 0


@pytest.mark.parametrize("storage_url", ["s3"], indirect=True)
def test_a_store_that_is_away_is_a_page_of_ours_and_no_record(
    client: FlaskClient, path: str, app: Flask, storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    app.extensions["colophon.storage"] = Storage(storage_url)
    began = time.monotonic()
    answer = client.get(path)
    assert answer.status_code == 503
    assert time.monotonic() - began < 15
    assert answer.headers["Retry-After"] == "60"
    check_page(answer.text, path=path)
    assert counted() == 0
    assert client.get("/readyz").status_code == 503


def test_no_more_than_a_piece_of_the_file_is_in_memory(
    client: FlaskClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces: list[int] = []
    chunks = Storage.chunks

    def noted(self: Storage, key: str, start: int, end: int):  # type: ignore[no-untyped-def]
        for piece in chunks(self, key, start, end):
            pieces.append(len(piece))
            yield piece

    monkeypatch.setattr("store.kit.storage.CHUNK", 100)
    monkeypatch.setattr(Storage, "chunks", noted)
    answer = client.get(path, buffered=False)
    iterator = answer.iter_encoded()
    next(iterator)
    assert len(pieces) == 1
    assert b"".join(iterator) == DATA[100:]
    assert max(pieces) == 100


def test_the_server_in_front_sends_the_file_where_one_is_set(
    tmp_path: object, path: str, database_url: str
) -> None:
    front = create_app(
        make_settings(tmp_path, database_url=database_url, accel_redirect="/protected/")  # type: ignore[arg-type]
    )
    answer = front.test_client().get(path, headers={"Range": "bytes=0-9"})
    assert answer.status_code == 200
    assert answer.data == b""
    digest = sha256(DATA).hexdigest()
    assert answer.headers["X-Accel-Redirect"] == f"/protected/assets/{digest}"
    assert answer.headers["Content-Type"] == "application/pdf"
    assert "Content-Length" not in answer.headers or answer.headers["Content-Length"] == "0"
    assert counted() == 1


@on_both_stores
def test_no_connection_is_held_while_the_file_is_sent(client: FlaskClient, path: str) -> None:
    open_now: set[object] = set()
    event.listen(db.engine, "checkout", lambda *args: open_now.add(args[1]))
    event.listen(db.engine, "checkin", lambda *args: open_now.discard(args[1]))
    event.listen(db.engine, "detach", lambda *args: open_now.discard(args[1]))  # no door's
    answer = client.get(path, buffered=False)
    assert open_now == set()
    assert answer.data == DATA


@on_both
@pytest.mark.parametrize("purpose", ["library", "order"])
def test_a_download_takes_two_statements_and_one_that_goes_on_two_that_write_nothing(
    client: FlaskClient, path: str, purpose: str
) -> None:
    asset = db.session.scalars(sa.select(Asset).where(Asset.format == "pdf")).one()
    behind = download_path(link_to(purpose, anna().id), asset)
    db.session.remove()
    with statements() as first:
        assert client.get(behind).data == DATA
    # Link, right and file; and the record, which SQLite's driver is told past SQLAlchemy.
    record = ["INSERT"] if db.engine.dialect.name == "postgresql" else []
    assert [one.split()[0] for one in first] == ["SELECT", *record]
    with statements() as resumed:
        assert client.get(behind, headers={"Range": "bytes=10-"}).data == DATA[10:]
    assert [one.split()[0] for one in resumed] == ["SELECT", "SELECT"]
    assert counted() == 1


@pytest.mark.parametrize(
    ("purpose", "closed"),
    [
        ("library", "revoked_at"),
        ("library", "suspended_at"),
        ("library", "held_at"),
        ("order", "revoked_at"),
        ("order", "suspended_at"),
        ("order", "held_at"),
    ],
)
def test_a_right_that_ends_or_rests_closes_the_next_request(
    client: FlaskClient, path: str, purpose: str, closed: str
) -> None:
    asset = db.session.scalars(sa.select(Asset).where(Asset.format == "pdf")).one()
    behind = download_path(link_to(purpose, anna().id), asset)
    assert client.get(behind).status_code == 200
    with transaction() as session:
        setattr(session.scalars(sa.select(Entitlement)).one(), closed, clock.now())
    assert client.get(behind).status_code == 410


def test_the_last_sound_edition_is_given_in_place_of_a_withdrawn_one(
    client: FlaskClient, path: str
) -> None:
    shop = db.session.scalars(sa.select(Edition)).one().publication
    second = put_out(shop, 2)
    with transaction() as session:
        right = session.scalars(sa.select(Entitlement)).one()
        right.from_edition_id = second.id
    assert client.get(path).status_code == 410
    withdraw(second)
    assert client.get(path).data == DATA
