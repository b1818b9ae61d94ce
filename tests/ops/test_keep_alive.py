"""Connections between nginx and the shop's own web server are kept, and slow readers keep nobody waiting."""

import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
import urllib3

from store.app import create_app
from store.entitlements.doors import download_path
from store.kit.database import db, transaction
from tests.conftest import SECRET, make_settings
from tests.editions import a_shop
from tests.factories import an_asset, an_edition
from tests.front import HOST, PREFIX, Front, front, needs_nginx
from tests.links import anna, link_to
from tests.purchases import a_paid_order
from tests.serving import free_port, serving
from tests.tables import Note

pytestmark = [needs_nginx, pytest.mark.long]

LARGE = 60_000_000
READERS = 50
FEW = {"STORE_WEB_WORKERS": "2", "STORE_WEB_THREADS": "4"}


@pytest.fixture
def data_dir(sqlite_template: Path, tmp_path: Path) -> Path:
    """A data folder whose database is migrated."""
    shutil.copy(sqlite_template, tmp_path / "colophon.db")
    return tmp_path


@contextmanager
def _shop(data_dir: Path, *changes: tuple[str, str], **given: str) -> Iterator[Front]:
    folder = data_dir / "nginx"
    folder.mkdir()
    port = free_port()
    known = {"STORE_BASE_URL": f"https://{HOST}", "STORE_SECRET_KEY": SECRET}
    known |= {"STORE_TRUSTED_PROXIES": "1"}
    with serving(data_dir, port, **known, **given), front(folder, port, *changes) as running:
        running.sends_from(data_dir / "files")
        yield running


def _to_the_shop(running: Front) -> set[int]:
    """The ports of nginx from which connections to the shop stand."""
    return {
        one.laddr.port
        for one in psutil.Process(running.process.pid).children()[0].net_connections("tcp")  # type: ignore[union-attr]
        if one.status == "ESTABLISHED" and one.raddr and one.raddr.port == running.shop_port
    }


@pytest.mark.parametrize("is_kept", [True, False], ids=["as it stands", "control: closed"])
def test_a_reader_s_pages_come_over_one_connection_to_the_shop(
    data_dir: Path, note: Note, is_kept: bool
) -> None:
    changes = [("worker_processes 2;", "worker_processes 1;")]
    if not is_kept:
        changes.append(('proxy_set_header Connection "";', "proxy_set_header Connection close;"))
    with _shop(data_dir, *changes) as running, running.pool() as pool:
        seen = set()
        began = time.perf_counter()
        for _ in range(200):
            answer = pool.request("GET", "/terms", headers={"Host": HOST})
            assert answer.status == 200
        pace = 200 / (time.perf_counter() - began)
        for _ in range(5):
            pool.request("GET", "/terms", headers={"Host": HOST})
            seen |= _to_the_shop(running)
    assert (len(seen) == 1) is is_kept, seen
    way = "kept" if is_kept else "closed"
    note("pages a second over one connection", {"to the shop": way, "pages": round(pace)})


@pytest.fixture
def large(data_dir: Path) -> str:
    """The path of a file of 60 MB that somebody may have."""
    with create_app(make_settings(data_dir)).app_context():
        shop = a_shop(editions=0)
        with transaction():
            edition = an_edition(shop, 1, status="released")
            asset = an_asset(edition, "pdf", bytes(LARGE))
        a_paid_order(shop)
        path = download_path(link_to("library", anna().id), asset)
        db.session.remove()
        db.engine.dispose()
    return path


def test_fifty_slow_readers_of_a_large_file_keep_no_page_waiting(
    data_dir: Path, large: str, note: Note
) -> None:
    with _shop(data_dir, **FEW, STORE_ACCEL_REDIRECT=PREFIX) as running, ExitStack() as stack:
        pool = stack.enter_context(running.pool())
        for _ in range(READERS):
            stack.enter_context(_slow_reader(running, large))
        worst = 0.0
        for _ in range(50):
            began = time.perf_counter()
            assert pool.request("GET", "/terms", headers={"Host": HOST}).status == 200
            worst = max(worst, time.perf_counter() - began)
    row = {"readers": READERS, "worst page, ms": round(worst * 1000)}
    note("pages beside slow readers of a file that nginx sends", row)
    assert worst < 5


def test_control_they_do_where_the_shop_sends_by_itself_and_nginx_keeps_nothing(
    data_dir: Path, large: str
) -> None:
    unbuffered = ("proxy_buffers 16 16k;", "proxy_buffers 16 16k;proxy_max_temp_file_size 0;")
    with _shop(data_dir, unbuffered, **FEW) as running, ExitStack() as stack:
        for _ in range(READERS):
            stack.enter_context(_slow_reader(running, large, waits=False))
        pool = stack.enter_context(running.pool())
        until = time.monotonic() + 60  # by then all of them have begun to read
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            while time.monotonic() < until:
                pool.request("GET", "/terms", headers={"Host": HOST}, timeout=10)


@contextmanager
def _slow_reader(running: Front, path: str, *, waits: bool = True) -> Iterator[None]:
    """Asks for the file and reads its head alone, or not even that."""
    context = ssl.create_default_context(cafile=str(running.certificate))
    plain = socket.create_connection(("127.0.0.1", running.tls_port), timeout=60)
    with context.wrap_socket(plain, server_hostname=HOST) as spoken:
        spoken.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert not waits or spoken.recv(12) == b"HTTP/1.1 200"
        yield
