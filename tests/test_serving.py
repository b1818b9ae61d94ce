"""`store serve` as real processes: how it starts, what it tells nobody, and how it ends."""

import gc
import runpy
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import sqlalchemy as sa
from flask import Flask

from store.app import create_app
from store.kit import tokens
from store.kit.database import db, transaction
from store.mail import outbox
from store.mail.models import Delivery
from tests.conftest import SECRET, make_settings
from tests.factories import a_seller
from tests.logged import loggers_as_they_were
from tests.mail.scripted_server import ScriptedServer, Talk
from tests.serving import (
    answers,
    below,
    child,
    environment,
    free_port,
    gone,
    megabytes,
    serving,
    store,
    until,
)

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")


@pytest.fixture
def data_dir(sqlite_template: Path, tmp_path: Path) -> Path:
    """A data folder whose database is migrated."""
    shutil.copy(sqlite_template, tmp_path / "colophon.db")
    return tmp_path


def _ends(shop: "subprocess.Popen[str]", family: list[psutil.Process]) -> tuple[int, str]:
    """The exit code and all that was said, once every process has ended."""
    said, _ = shop.communicate(timeout=60)
    until(lambda: gone(family), "every process that the shop started has ended")
    return shop.returncode, said


@pytest.fixture
def nothing_kept() -> Iterator[None]:
    """What the tests' own process has left out of the search for garbage is in it meanwhile, and
    its log goes on as before."""
    gc.unfreeze()
    with loggers_as_they_were():
        yield
    gc.freeze()


@pytest.mark.usefixtures("nothing_kept")
def test_a_process_of_the_web_server_leaves_what_it_begins_with_out_of_the_search_for_garbage(
    app: Flask, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(data_dir, 0).items():
        monkeypatch.setenv(name, value)
    watched: list[Flask] = []
    monkeypatch.setattr("store.serving.keep_watch", watched.append)
    begin = runpy.run_path(str(ROOT / "gunicorn.conf.py"))["post_worker_init"]
    begin(SimpleNamespace(wsgi=app))
    assert watched == [app]
    assert gc.get_freeze_count() > len(gc.get_objects())


def test_a_worker_leaves_what_it_begins_with_out_of_the_search_for_garbage(data_dir: Path) -> None:
    told = """
import gc
from types import SimpleNamespace
from store import serving, settings
idle = SimpleNamespace(run=lambda: print(gc.get_freeze_count() > len(gc.get_objects())))
serving.jobs.make_consumer = lambda *_given: idle
serving.run_worker(settings.load())
"""
    said = subprocess.run(
        [sys.executable, "-c", told],
        env=environment(data_dir, 0),
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "True\n"


def test_a_shop_on_sqlite_loads_no_library_before_it_is_needed() -> None:
    """Each takes some 8 MB of every process."""
    libraries = {"psycopg", "cryptography", "stripe", "typst"}
    look = f"import sys, store.app, store.serving; print({libraries} & set(sys.modules))"
    said = subprocess.run(
        [sys.executable, "-c", look], stdout=subprocess.PIPE, text=True, check=True
    )
    assert said.stdout == "set()\n"


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
        for head, status in {
            "GET /elsewhere/terms HTTP/1.1\r\nSCRIPT_NAME: /elsewhere": 404,
            "GET /terms HTTP/1.1\r\nSCRIPT_NAME: /elsewhere": 200,
            "GET /terms HTTP/1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off": 200,
        }.items():
            answer = _say(port, f"{head}\r\nHost: 127.0.0.1\r\n\r\n")
            assert answer.split()[1] == str(status).encode(), head
        shop.terminate()
        assert _ends(shop, family) == (0, "")
    assert answers(port) == 0


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux counts shares")
def test_a_shop_takes_little_memory_and_its_parent_hardly_any(data_dir: Path) -> None:
    port = free_port()
    with serving(data_dir, port) as shop:
        for path in ("/", "/terms", "/find-my-copies", "/admin/sign-in") * 5:
            assert answers(port, path) == 200
        until(lambda: child(shop, "worker").num_threads() > 3, "the worker is at work")
        # What processes have in common is read in once, before the first connection is opened.
        web = child(shop, "web")
        assert not [file for file in web.open_files() if file.path.endswith(".db")]
        assert megabytes(shop.pid) < 20
        assert megabytes(shop.pid, *(one.pid for one in below(shop))) <= 330


@pytest.mark.parametrize("word", [pytest.param("web", marks=pytest.mark.long), "worker"])
def test_a_child_that_dies_ends_the_other_and_the_command_says_so(
    data_dir: Path, word: str
) -> None:
    with serving(data_dir, free_port()) as shop:
        family = below(shop)
        child(shop, word).kill()
        code, _ = _ends(shop, family)
    assert code == 1


@pytest.mark.long
def test_children_end_when_the_command_is_killed(data_dir: Path) -> None:
    with serving(data_dir, free_port()) as shop:
        family = below(shop)
        shop.kill()
        until(lambda: gone(family), "web and worker end by themselves")


@pytest.mark.parametrize("told", ["--port", "STORE_BIND"])
def test_a_taken_port_is_said(data_dir: Path, told: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        words = ["--port", str(port)] if told == "--port" else []
        bind = {} if words else {"STORE_BIND": f"127.0.0.1:{port}"}
        shop = store("serve", *words, env=environment(data_dir, port, **bind))
        said, _ = shop.communicate(timeout=60)
    assert shop.returncode == 1
    assert said == (
        f"127.0.0.1:{port} is taken, or is no address of this machine; choose another port with "
        "--port, or another address with STORE_BIND.\n"
    )


@pytest.mark.parametrize(
    "command",
    [
        ["gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"],
        ["flask", "--app", "wsgi", "run", "--port", "{port}"],
    ],
    ids=["gunicorn", "flask"],
)
def test_a_server_that_knows_wsgi_serves_the_shop_and_logs_no_token(
    data_dir: Path, command: list[str]
) -> None:
    with create_app(make_settings(data_dir)).app_context():
        token = tokens.sign(tokens.new_reference(), "library")
    port = free_port()
    given = {"STORE_SECRET_KEY": SECRET, "STORE_BIND": f"127.0.0.1:{port}"}
    words = [word.format(port=port) for word in command]
    shop = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=environment(data_dir, port, STORE_WEB_WORKERS="1", **given),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        until(lambda: answers(port) == 200 or shop.poll() is not None, "the shop answers")
        assert [answers(port, path) for path in ("/terms", f"/library/{token}")] == [200, 404]
        if "gunicorn" in command:
            assert _breaks_a_chunk(port, "/find-my-copies", "zz\r\nwho=x\r\n") == 400
            assert len(below(shop)) == 1
    finally:
        shop.terminate()
        said, _ = shop.communicate(timeout=60)
    assert token.split(".")[0] not in said


def test_a_server_that_knows_wsgi_is_told_of_settings_that_do_not_fit(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"],
        cwd=ROOT,
        env=environment(tmp_path, 8000, STORE_BIND="80"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "STORE_BIND needs an address of this machine like 127.0.0.1:8000, 0.0.0.0 or [::1]:8000\n"
    )


def test_settings_that_do_not_fit_are_said_before_anything_starts(tmp_path: Path) -> None:
    env = environment(tmp_path, 8000, STORE_MAIL_PORT="many", STORE_COLOUR="red")
    shop = store("serve", env=env)
    said, _ = shop.communicate(timeout=60)
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
            f"GET /library/{token[:25]} x y HTTP/1.1",
            "GET /admin/search?q=anna%40reader.example HTTP/9.9",
            "GET / HTTP/1.1\r\nAnna Zwick: 1",
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
    assert token[:25] not in said
    assert said.count("a request that is no HTTP was refused: Invalid HTTP") == 6
    assert [who for who in ("127.0.0.1", "anna", "Anna", "reader.example") if who in said] == []


@pytest.mark.long
def test_a_body_of_broken_chunks_is_refused_with_one_line(data_dir: Path) -> None:
    port = free_port()
    doors = {
        "/find-my-copies": "application/x-www-form-urlencoded",
        "/webhooks/demo": "application/json",
    }
    with serving(data_dir, port) as shop:
        family = below(shop)
        for path, kind in doors.items():
            for chunks in ("zz\r\nwho=x\r\n", "3\r\nwho=x\r\n0\r\n\r\n", "-1\r\n\r\n"):
                assert _breaks_a_chunk(port, path, chunks, kind) == 400, (path, chunks)
        shop.terminate()
        code, said = _ends(shop, family)
    assert code == 0
    assert [line.partition(": ")[2].partition(" [")[0] for line in said.splitlines()] == [
        f"a request to {path} that cannot be read was refused" for path in doors for _ in range(3)
    ]


def test_term_lets_the_letter_under_way_end(data_dir: Path) -> None:
    under_way, answered = threading.Event(), threading.Event()

    def script(_talk: Talk, verb: str, _line: str) -> None:
        if verb == ".":
            under_way.set()
            assert answered.wait(90)

    with create_app(make_settings(data_dir)).app_context():
        with transaction():
            a_seller()
            outbox.alert_staff("A test", "Nothing happened.", "test")
        with ScriptedServer(script) as server:
            mail = {"STORE_MAIL_SERVER": "127.0.0.1", "STORE_MAIL_PORT": str(server.port)}
            with serving(data_dir, free_port(), **mail) as shop:
                family = below(shop)
                assert under_way.wait(60)
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


def _breaks_a_chunk(
    port: int, path: str, chunks: str, kind: str = "application/x-www-form-urlencoded"
) -> int:
    """The status that answers a body which is not cut into chunks as it should be."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
    answer = _say(port, f"{head}Transfer-Encoding: chunked\r\n\r\n{chunks}")
    return int(answer.split()[1])


def _say(port: int, words: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(words.encode())
        return connection.recv(4096)
