"""Files by key in a folder and in an S3-compatible store, told apart by nobody."""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from store.app import create_app
from store.catalog.models import Asset
from store.entitlements.doors import download_path
from store.entitlements.models import Download
from store.kit import away
from store.kit.away import StoreAway
from store.kit.bucket import PIECE, READ_SECONDS
from store.kit.database import db
from store.kit.storage import CHUNK, Storage
from tests.conftest import make_settings, on_both_stores
from tests.editions import a_shop
from tests.links import anna, link_to
from tests.purchases import a_paid_order

IN_BUCKET = pytest.mark.parametrize("storage_url", ["s3"], indirect=True)
NO_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture
def url(storage_url: str) -> str:
    return storage_url


@contextmanager
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """A server that hears and never answers: its address, and what was said to it."""
    heard: list[bytes] = []

    def hear() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            kept.append(connection)
            heard.append(connection.recv(1024))

    kept: list[socket.socket] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=hear, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", heard
        server.shutdown(socket.SHUT_RDWR)
    for connection in kept:
        connection.close()


@on_both_stores
def test_a_file_comes_back_whole_and_in_any_part(url: str, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096  # four chunks
    source = tmp_path / "file"
    source.write_bytes(data)
    store = Storage(url)
    store.put_file("assets/abc", source)

    assert store.size("assets/abc") == len(data)
    assert store.read("assets/abc") == data
    assert b"".join(store.chunks("assets/abc", 0, len(data))) == data
    start, end = CHUNK - 3, 2 * CHUNK + 5
    assert b"".join(store.chunks("assets/abc", start, end)) == data[start:end]


@on_both_stores
def test_another_process_finds_what_one_stored(url: str) -> None:
    Storage(url).put_bytes("covers/abc", b"picture")
    assert Storage(url).read("covers/abc") == b"picture"


@on_both_stores
def test_what_is_not_there_has_no_size_and_can_be_deleted_all_the_same(url: str) -> None:
    store = Storage(url)
    store.put_bytes("assets/abc", b"x")
    store.delete("assets/abc")
    store.delete("assets/abc")
    assert store.size("assets/abc") is None
    assert store.answers()
    with pytest.raises(FileNotFoundError):
        store.read("assets/abc")


@on_both_stores
def test_all_that_is_stored_is_listed_with_its_size(url: str) -> None:
    store = Storage(url)
    stored = {f"assets/{number:04}": number for number in range(1, 12)}
    for key, size in stored.items():
        store.put_bytes(key, b"x" * size)
    assert dict(store.listed()) == stored


@IN_BUCKET
def test_a_bucket_that_is_not_there_cannot_be_listed(url: str) -> None:
    store = Storage(url.replace("//shop/", "//no-such-bucket/"))
    with pytest.raises(StoreAway, match="no such bucket"):
        list(store.listed())


@on_both_stores
def test_a_download_is_resumed_from_the_store(url: str, database_url: str, tmp_path: Path) -> None:
    app = create_app(make_settings(tmp_path, database_url=database_url, storage_url=url))
    with app.app_context():
        shop = a_shop()
        a_paid_order(shop)
        (asset,) = db.session.query(Asset).filter_by(format="pdf")
        address, digest = download_path(link_to("library", anna().id), asset), asset.sha256
        client = app.test_client()

        whole = client.get(address)
        rest = client.get(
            address, headers={"Range": "bytes=100-", "If-Range": whole.headers["ETag"]}
        )

        assert (whole.status_code, rest.status_code) == (200, 206)
        assert hashlib.sha256(whole.data).hexdigest() == digest
        assert rest.data == whole.data[100:]
        assert db.session.query(Download).count() == 1
        db.session.remove()
        db.engine.dispose()


@IN_BUCKET
def test_a_large_file_comes_by_one_request_and_a_piece_at_a_time(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(8_000_000)
    Storage(url).put_bytes("assets/abc", data)
    # Each piece after the time that one may take: the store is waited for, not the reader.
    monkeypatch.setattr("store.kit.bucket.READ_SECONDS", 1)
    store, pieces, began = Storage(url), [], time.monotonic()
    for number, piece in enumerate(store.chunks("assets/abc", 100, len(data) - 100)):
        pieces.append(piece)
        if number == 1:
            threading.Event().wait(1.2)
    assert b"".join(pieces) == data[100:-100]
    assert max(map(len, pieces)) < 4 * PIECE
    assert time.monotonic() - began < 20


@IN_BUCKET
def test_a_store_that_breaks_off_is_asked_for_the_rest(url: str, s3: str) -> None:
    data = os.urandom(3_000_000)
    Storage(url).put_bytes("assets/abc", data)
    with breaking_off(s3) as (address, requests), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        got = b"".join(Storage(url).chunks("assets/abc", 0, len(data)))
    assert got == data
    assert len(requests) > 1


@contextmanager
def breaking_off(behind: str) -> Iterator[tuple[str, list[bytes]]]:
    """A way to a server that is cut after each million bytes: its address, and the requests."""
    requests: list[bytes] = []
    host, port = behind.removeprefix("http://").split(":")

    def carry(reader: socket.socket) -> None:
        with reader, socket.create_connection((host, int(port))) as server:
            requests.append(reader.recv(65_536))
            server.sendall(requests[-1].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            left = 1_000_000
            while left > 0 and (part := server.recv(min(left, 65_536))):
                reader.sendall(part)
                left -= len(part)

    def serve() -> None:
        while True:
            try:
                reader, _ = door.accept()
            except OSError:
                return
            carry(reader)

    with closing(socket.create_server(("127.0.0.1", 0))) as door:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}", requests
        door.shutdown(socket.SHUT_RDWR)


@IN_BUCKET
def test_a_store_that_is_away_is_told_at_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    began = time.monotonic()
    for ask in (
        lambda store: store.answers(),
        lambda store: store.size("assets/abc"),
        lambda store: store.read("assets/abc"),
        lambda store: next(store.chunks("assets/abc", 0, 10)),
        lambda store: store.put_bytes("assets/abc", b"x"),
    ):
        with pytest.raises(StoreAway, match="cannot be reached"):
            ask(Storage(url))
    assert time.monotonic() - began < 20


@on_both_stores
def test_what_is_not_to_be_had_is_told_before_an_answer_begins(url: str) -> None:
    with pytest.raises(FileNotFoundError):
        Storage(url).chunks("assets/none", 0, 10)
    Storage(url).put_bytes("assets/empty", b"")
    assert b"".join(Storage(url).chunks("assets/empty", 0, 0)) == b""


@IN_BUCKET
@pytest.mark.long
def test_a_store_that_hears_and_never_answers_is_waited_for_briefly(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listener() as (address, heard):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        began = time.monotonic()
        with pytest.raises(StoreAway, match="does not answer in time"):
            Storage(url).size("assets/abc")
        assert heard
        assert time.monotonic() - began < 2 * READ_SECONDS + 15


def _refused_after(store: Storage) -> float:
    began = time.monotonic()
    with pytest.raises(StoreAway):
        store.size("assets/abc")
    return time.monotonic() - began


@IN_BUCKET
@pytest.mark.parametrize("at_once", [2, pytest.param(12, id="control")])
def test_a_store_that_never_answers_keeps_some_threads_waiting_and_lets_pages_go_on(
    url: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.kit.bucket.READ_SECONDS", 2)
    with listener() as (address, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        store = Storage(url, at_once=at_once)
        with ThreadPoolExecutor(12) as pool:
            took = list(pool.map(lambda _: _refused_after(store), range(12)))
        assert sum(one > 1.8 for one in took) == at_once
        # Who comes now is told at once.
        assert max(_refused_after(store) for _ in range(20)) < 0.5


def test_a_store_that_was_silent_is_asked_by_one_and_then_by_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(away.time, "monotonic", lambda: now[0])
    patience = away.Patience(4)

    def ask(answer: Exception | None, seconds: float = 0.0) -> None:
        with patience.asking():
            now[0] += seconds
            if answer:
                raise answer

    for answer in (StoreAway("no"), StoreAway("no")):  # which keeps nobody waiting
        with pytest.raises(StoreAway, match="no"):
            ask(answer)
    with pytest.raises(StoreAway, match="no"):
        ask(StoreAway("no"), 5)
    with pytest.raises(StoreAway, match="a moment ago"):
        ask(None)
    now[0] += away.AGAIN_SECONDS
    # One tries.
    with patience.asking(), pytest.raises(StoreAway, match="a moment ago"):
        ask(None)
    ask(None)
    ask(None)


@IN_BUCKET
def test_a_bucket_that_is_not_there_does_not_answer(url: str) -> None:
    store = Storage(url.replace("//shop/", "//other/"))
    with pytest.raises(StoreAway, match="there is no such bucket"):
        store.answers()
    with pytest.raises(StoreAway, match="there is no such bucket"):
        store.put_bytes("assets/abc", b"x")


@IN_BUCKET
def test_nobody_is_asked_for_keys_that_nobody_gave(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NO_KEYS:
        monkeypatch.delenv(name)
    with listener() as (address, heard):
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", address)
        store = create_app(make_settings(tmp_path, storage_url=url)).extensions["colophon.storage"]
        for ask in (Storage.answers, lambda store: store.put_bytes("assets/abc", b"x")):
            with pytest.raises(StoreAway, match="set AWS_ACCESS_KEY_ID"):
                ask(store)
        assert heard == []


@IN_BUCKET
def test_control_where_the_settings_say_so_the_metadata_service_is_asked(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.kit.bucket.READ_SECONDS", 1)
    for name in NO_KEYS:
        monkeypatch.delenv(name)
    with listener() as (address, heard):
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", address)
        told = make_settings(tmp_path, storage_url=url, storage_instance_keys=True)
        with pytest.raises(StoreAway, match="in time"):
            create_app(told).extensions["colophon.storage"].answers()
        assert heard[0].startswith(b"PUT /latest/api/token")


def test_the_folder_that_a_first_file_makes_is_through_to_the_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, real = [], os.fsync

    def note(handle: int) -> None:
        synced.append(os.fstat(handle).st_ino)
        real(handle)

    monkeypatch.setattr(os, "fsync", note)
    store = Storage(f"file://{tmp_path}/files")
    store.put_bytes("assets/first", b"first")
    folders = [(tmp_path / "files" / name).stat().st_ino for name in ("assets", "")]
    assert synced[-2:] == folders
    synced.clear()
    store.put_bytes("assets/second", b"second")
    assert synced[1:] == folders[:1]
