"""`store serve` as real processes: how it starts, what it tells nobody, and how it ends."""

import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from store.app import create_app
from store.kit import tokens
from store.kit.database import db, transaction
from store.mail import outbox
from store.mail.models import Delivery
from tests.conftest import SECRET, make_settings
from tests.factories import a_seller
from tests.mail.scripted_server import ScriptedServer, Talk
from tests.serving import (
    answers,
    below,
    child,
    environment,
    free_port,
    gone,
    serving,
    store,
    until,
)

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")


@pytest.fixture
def data_dir(sqlite_template: Path, tmp_path: Path) -> Path:
    """A data folder whose database is migrated."""
    shutil.copy(sqlite_template, tmp_path / "colophon.db")
    return tmp_path


def _ends(shop: "subprocess.Popen[str]", family: list[psutil.Process]) -> tuple[int, str]:
    """The exit code and all that was said, once every process has ended."""
    said, _ = shop.communicate(timeout=40)
    until(lambda: gone(family), "every process that the shop started has ended", 20)
    return shop.returncode, said


def test_pages_answer_and_term_ends_everything_in_order(data_dir: Path) -> None:
    port = free_port()
    with serving(data_dir, port) as shop:
        family = below(shop)
        assert [answers(port, path) for path in ("/", "/terms", "/readyz", "/nowhere")] == [
            200,
            200,
            200,
            404,
        ]
        shop.terminate()
        assert _ends(shop, family) == (0, "")
    assert answers(port) == 0


@pytest.mark.parametrize("word", ["web", "worker"])
def test_a_child_that_dies_ends_the_other_and_the_command_says_so(
    data_dir: Path, word: str
) -> None:
    with serving(data_dir, free_port()) as shop:
        family = below(shop)
        child(shop, word).kill()
        code, _ = _ends(shop, family)
    assert code == 1


def test_children_end_when_the_command_is_killed(data_dir: Path) -> None:
    with serving(data_dir, free_port()) as shop:
        family = below(shop)
        shop.kill()
        until(lambda: gone(family), "web and worker end by themselves")


def test_a_taken_port_is_said(data_dir: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        shop = store("serve", "--port", str(port), env=environment(data_dir, port))
        said, _ = shop.communicate(timeout=40)
    assert shop.returncode == 1
    assert f"Port {port} is taken" in said


def test_settings_that_do_not_fit_are_said_before_anything_starts(tmp_path: Path) -> None:
    env = environment(tmp_path, 8000, STORE_MAIL_PORT="many", STORE_COLOUR="red")
    shop = store("serve", env=env)
    said, _ = shop.communicate(timeout=40)
    assert shop.returncode == 1
    assert [line.split()[0] for line in said.splitlines()] == ["STORE_MAIL_PORT", "STORE_COLOUR"]


def test_no_token_stands_in_any_line_of_the_log(data_dir: Path) -> None:
    with create_app(make_settings(data_dir)).app_context():
        token = tokens.sign(tokens.new_reference(), "library")
    port = free_port()
    with serving(data_dir, port, STORE_SECRET_KEY=SECRET) as shop:
        family = below(shop)
        assert answers(port, f"/library/{token}") == 404
        for line in (
            f"GET /library/{token} HTTP/9.9",
            f"G@T /library/{token}",
            f"/library/{token}",
        ):
            _say(port, f"{line}\r\nHost: 127.0.0.1\r\n\r\n")
        # A page that fails within: what it would look up is gone.
        with sqlite3.connect(data_dir / "colophon.db") as database:
            database.execute("ALTER TABLE links RENAME TO gone")
        assert answers(port, f"/library/{token}") == 500
        shop.terminate()
        code, said = _ends(shop, family)
    assert code == 0
    assert "no such table" in said
    assert token not in said
    assert token[:40] not in said
    assert token.split(".")[0] not in said


def test_a_body_of_broken_chunks_is_refused_with_one_line(data_dir: Path) -> None:
    port = free_port()
    doors = {
        "/find-my-copies": "application/x-www-form-urlencoded",
        "/webhooks/demo": "application/json",
    }
    with serving(data_dir, port) as shop:
        family = below(shop)
        for path, kind in doors.items():
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
            for chunks in ("zz\r\nwho=x\r\n", "3\r\nwho=x\r\n0\r\n\r\n", "-1\r\n\r\n"):
                answer = _say(port, f"{head}Transfer-Encoding: chunked\r\n\r\n{chunks}")
                assert answer.startswith(b"HTTP/1.1 400"), (path, chunks, answer[:60])
        shop.terminate()
        code, said = _ends(shop, family)
    assert code == 0
    assert [line.partition(": ")[2] for line in said.splitlines()] == [
        f"a request to {path} that cannot be read was refused" for path in doors for _ in range(3)
    ]


def test_term_lets_the_letter_under_way_end(data_dir: Path) -> None:
    under_way, answered = threading.Event(), threading.Event()

    def script(_talk: Talk, verb: str, _line: str) -> None:
        if verb == ".":
            under_way.set()
            assert answered.wait(30)

    with create_app(make_settings(data_dir)).app_context():
        with transaction():
            a_seller()
            outbox.alert_staff("A test", "Nothing happened.", "test")
        with ScriptedServer(script) as server:
            mail = {"STORE_MAIL_SERVER": "127.0.0.1", "STORE_MAIL_PORT": str(server.port)}
            with serving(data_dir, free_port(), **mail) as shop:
                family = below(shop)
                assert under_way.wait(30)
                shop.terminate()
                web, worker = child(shop, "web"), child(shop, "worker")
                until(lambda: gone([web]), "the web server has ended")
                assert not gone([worker])
                answered.set()
                assert _ends(shop, family) == (0, "")
        (delivery,) = db.session.scalars(sa.select(Delivery))
        assert (delivery.status, delivery.tries) == ("sent", 1)
        db.engine.dispose()
    assert len(server.letters) == 1


def _say(port: int, words: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(words.encode())
        return connection.recv(4096)
