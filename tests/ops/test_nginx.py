"""A real nginx with the files of `docs/ops/nginx`: what it logs, keeps, refuses and shows by itself."""

import re
import resource
import runpy
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest
import urllib3
from flask import Flask

from store.kit import tokens
from store.settings import Settings
from tests.front import FILES, HOST, Front, front, needs_nginx, served
from tests.pages import Page
from tests.serving import answers, free_port, until
from tests.stocked import Stocked, stock

pytestmark = needs_nginx


@pytest.fixture
def shop(app: Flask) -> Stocked:
    """A shop in which every public address leads somewhere."""
    return stock(app)


@pytest.fixture
def running(app: Flask, tmp_path: Path) -> Iterator[Front]:
    """nginx in front of a shop."""
    with _in_front(app, tmp_path) as running:
        yield running


class RunningOf(Protocol):
    """nginx in front of a shop, with these words of its files changed."""

    def __call__(self, *changes: tuple[str, str]) -> AbstractContextManager[Front]: ...


@pytest.fixture
def running_of(app: Flask, tmp_path: Path) -> RunningOf:
    """The same, to be started by the test."""
    return partial(_in_front, app, tmp_path)


@contextmanager
def _in_front(app: Flask, tmp_path: Path, *changes: tuple[str, str]) -> Iterator[Front]:
    known: Settings = app.extensions["colophon.settings"]
    by_nginx = {"accel_redirect": "/kept-files", "base_url": f"https://{HOST}"}
    app.extensions["colophon.settings"] = known.model_copy(update=by_nginx)
    app.config["TRUSTED_HOSTS"] = [*app.config["TRUSTED_HOSTS"], HOST]
    folder = tmp_path / "nginx"
    folder.mkdir()
    port = free_port()
    with served(app, port), front(folder, port, *changes) as running:
        running.sends_from(tmp_path / "files")
        yield running


def _status(running: Front, path: str, **headers: str) -> int:
    with running.pool() as pool:
        return pool.request("GET", path, headers={"Host": HOST} | headers, redirect=False).status


def _lines(running: Front, count: int) -> list[str]:
    """The lines of the access log, without those of the port that has no TLS, once there are so many:
    nginx writes one when its answer is out."""

    def lines() -> list[str]:
        found = running.logged().splitlines()
        return [line for line in found if " 301 162 " not in line]

    until(lambda: len(lines()) >= count, f"{count} lines in the access log")
    return lines()


def _token() -> str:
    return tokens.sign(tokens.new_reference(), "library")


def test_nginx_takes_the_files_as_they_stand(tmp_path: Path) -> None:
    judged = Front(tmp_path, 8000)
    judged.configure()
    found = judged.judge()
    assert found.returncode == 0, found.stderr
    # Newer ones would have HTTP/2 said in a way that Debian 12's does not know.
    warned = [line for line in found.stderr.splitlines() if "[warn]" in line]
    assert [line for line in warned if "http2" not in line] == []


def test_the_port_without_tls_leads_to_the_other_and_keeps_no_token(running: Front) -> None:
    token = _token()
    answer = running.plain(f"/library/{token}?a=b")
    assert answer.status == 301
    assert answer.headers["Location"] == (f"https://{HOST}:{running.tls_port}/library/{token}?a=b")
    assert running.plain("/.well-known/acme-challenge/none").status == 404
    assert token.split(".")[0] not in running.logged()


def test_new_tls_and_http_2_are_spoken_and_old_tls_is_not(running: Front) -> None:
    def speak(most: ssl.TLSVersion) -> str | None:
        context = ssl.create_default_context(cafile=str(running.certificate))
        context.set_alpn_protocols(["h2", "http/1.1"])
        context.minimum_version = ssl.TLSVersion.TLSv1 if most < ssl.TLSVersion.TLSv1_2 else most
        context.maximum_version = most
        context.set_ciphers("ALL:@SECLEVEL=0")
        with (
            socket.create_connection(("127.0.0.1", running.tls_port), timeout=60) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as spoken,
        ):
            return spoken.selected_alpn_protocol()

    assert speak(ssl.TLSVersion.TLSv1_3) == "h2"
    assert speak(ssl.TLSVersion.TLSv1_2) == "h2"
    with pytest.warns(DeprecationWarning, match="TLSv1"), pytest.raises(ssl.SSLError):
        speak(ssl.TLSVersion.TLSv1_1)


def test_no_line_of_the_access_log_has_a_token_whatever_the_door(
    running: Front, shop: Stocked, app: Flask
) -> None:
    rules = [rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    paths = [shop.path(rule) for rule in rules if "admin" not in rule]
    token = _token()
    paths += [f"//library/{token}", f"/%6cibrary/{token}", f"/publications/../library/{token}"]
    paths += [f"/{token}", f"/admin/join/{token}", f"/publications/x/order?resume={token}"]
    with running.pool() as pool:
        for path in paths:
            pool.request("GET", path, headers={"Host": HOST}, redirect=False)
    lines = _lines(running, len(paths))
    parts = {part for path in paths for part in path.split("/")}
    secrets = {part for part in parts if re.fullmatch(r"[\w-]{30,}\.[\w-]+\.[\w-]{20,}", part)} | {
        token
    }
    assert len(secrets) > 10
    for secret in secrets:
        assert secret.split(".")[0] not in running.logged()
    assert {line.split()[3] for line in lines} >= {"/", "/download", "/library", "/publications"}


def _fail_in_every_way(running: Front, token: str) -> None:
    """What nginx writes down as error, crit or alert: files that it cannot read, connections that are
    too many, a shop that is not there, addresses and headers that are too long."""
    running.sends_from(running.folder / "nothing")
    with ExitStack() as stack:
        for _ in range(40):
            one = socket.create_connection(("127.0.0.1", running.port), timeout=60)
            stack.enter_context(one)
            one.sendall(f"GET /library/{token} HTTP/1.1\r\nHost: {HOST}\r\n".encode())
        for _ in range(3):
            try:
                _status(running, f"/library/{token}")
            except Exception:  # whatever it is that nginx says then
                break
    # A temporary folder that nginx may not write is a crit.
    for path in running.folder.glob("temp-client_body"):
        path.rmdir()
    with running.pool() as pool:
        large = b"x" * 100_000
        pool.request("POST", f"/library/{token}", body=large, headers={"Host": HOST})
    _status(running, f"/library/{token}" + "/" * 9_000)


@pytest.mark.parametrize("is_kept", [False, True], ids=["as it stands", "control: kept"])
def test_alerts_of_nginx_are_kept_nowhere_with_a_token(
    shop: Stocked, app: Flask, tmp_path: Path, is_kept: bool
) -> None:
    changes = [
        ("worker_connections 16384;", "worker_connections 24;"),
        ("worker_processes 2;", "worker_processes 1;"),
    ]
    if is_kept:
        log = tmp_path / "nginx" / "log" / "kept"
        changes.append(("error_log /dev/null emerg;", f"error_log {log} crit;"))
    token = _token()
    with _in_front(app, tmp_path, *changes) as running:
        assert _status(running, shop.path("/download/<token>/<asset>/<filename>")) == 200
        _fail_in_every_way(running, token)
        logged = running.logged()
    found = token in logged
    assert found is is_kept, logged[-2000:]


def test_pictures_styles_and_scripts_are_asked_of_the_shop_once(
    running: Front, shop: Stocked
) -> None:
    for rule in ("/static/<name>", "/covers/<digest>/<int:width>.<kind>", "/face/<name>"):
        path = shop.path(rule)
        with running.pool() as pool:
            first, again = (
                pool.request("GET", path, headers={"Host": HOST, "Accept-Encoding": "gzip"})
                for _ in range(2)
            )
        assert first.status == again.status == 200
        assert first.data == again.data
        assert dict(first.headers) | {"Date": ""} == dict(again.headers) | {"Date": ""}
    asked = [line.split()[-3] for line in _lines(running, 6)]
    assert asked == ["200", "-"] * 3


def test_nobody_reads_the_numbers_through_nginx_whatever_they_say_of_themselves(
    running: Front,
) -> None:
    assert answers(running.shop_port, "/metrics") == 200  # straight from this machine
    for said in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}):
        assert _status(running, "/metrics", **said) == 404


def test_a_page_with_a_secret_is_not_compressed_on_its_way_and_a_public_one_is(
    running: Front, shop: Stocked
) -> None:
    packed = {}
    for rule in ("/", "/library/<token>", "/orders/<token>", "/publications/<slug>/order"):
        with running.pool() as pool:
            answer = pool.request(
                "GET", shop.path(rule), headers={"Host": HOST, "Accept-Encoding": "gzip"}
            )
        packed[rule] = answer.headers.get("Content-Encoding")
    assert list(packed.values()) == ["gzip", None, None, None]


def test_a_shop_that_is_not_there_is_a_page_of_ours_that_says_when_to_come_back(
    tmp_path: Path, app: Flask
) -> None:
    with front(tmp_path, free_port()) as running, running.pool() as pool:
        for method in ("GET", "POST"):
            answer = pool.request(method, f"/library/{_token()}", headers={"Host": HOST})
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "60"
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
            assert answer.data == (FILES / "busy.html").read_bytes()


def test_a_crowd_beyond_what_the_shop_takes_gets_that_page_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ExitStack() as stack:
        port = silent.getsockname()[1]
        few = [("max_conns=2000", "max_conns=2"), ("worker_processes 2;", "worker_processes 1;")]
        running = stack.enter_context(front(tmp_path, port, *few))
        got: list[int] = []
        waiting = [
            threading.Thread(target=lambda: got.append(_status(running, "/"))) for _ in range(2)
        ]
        for one in waiting:
            one.start()
        taken = [silent.accept()[0] for _ in waiting]
        assert _status(running, "/") == 503
        for one in taken:
            one.recv(65_536)
            one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            one.close()
        for thread in waiting:
            thread.join()
        assert got == [200, 200]


@pytest.mark.long
@pytest.mark.parametrize("is_ours", [True, False], ids=["as it stands", "control: Debian's 768"])
def test_a_crowd_that_holds_a_thousand_connections_leaves_room_for_the_next(
    running_of: RunningOf, is_ours: bool
) -> None:
    changes = [("worker_processes 2;", "worker_processes 1;")]
    if not is_ours:
        changes.append(("worker_connections 16384;", "worker_connections 768;"))
    with many_files(), running_of(*changes) as running, ExitStack() as stack:
        for _ in range(1_000):
            one = socket.create_connection(("127.0.0.1", running.port), timeout=60)
            stack.enter_context(one)
            # An idle one nginx would close to make room.
            one.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n".encode())
        pool = stack.enter_context(running.pool())
        if is_ours:
            assert pool.request("GET", "/terms", headers={"Host": HOST}).status == 200
        else:
            with pytest.raises(urllib3.exceptions.HTTPError):
                pool.request("GET", "/terms", headers={"Host": HOST}, timeout=10)


@contextmanager
def many_files() -> Iterator[None]:
    """This process, and those that it starts, may have as many files open as the machine lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4_096:
        pytest.skip(f"no process here may have more than {hard} files open (ulimit -Hn)")
    most = 16_384 if hard == resource.RLIM_INFINITY else min(hard, 16_384)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_is_too_large_is_refused_by_nginx_but_at_the_desk(
    running: Front,
) -> None:
    form = {"Host": HOST, "Content-Type": "application/x-www-form-urlencoded"}
    large = b"who=" + b"x" * 3_000_000
    with running.pool() as pool:
        refused = pool.request("POST", "/find-my-copies", body=large, headers=form)
    with running.pool() as pool:
        passed = pool.request("POST", "/admin/sign-in", body=large, headers=form, redirect=False)
    assert refused.status == 413
    assert refused.data == (FILES / "too-large.html").read_bytes()
    assert "Retry-After" not in refused.headers
    assert b"too-large" not in passed.data
    assert _lines(running, 2)[-1].split()[-3] == str(passed.status)


def test_pages_of_nginx_are_those_that_the_script_makes_of_the_stylesheet() -> None:
    made = runpy.run_path(str(FILES / "make_pages.py"))["pages"]()
    for name, html in made.items():
        assert (FILES / name).read_text(encoding="utf-8") == html, (
            "run docs/ops/nginx/make_pages.py"
        )
        page = Page(html)
        assert page.errors == []
        assert len(page.all("h1")) == 1
    assert len(made) == len(list(FILES.glob("*.html")))
