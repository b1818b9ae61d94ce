"""`store check --url`: the shop asked at its public address, behind servers that hand on what they
should, or do not; over real HTTP."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from store.app import create_app
from store.cli import main
from store.kit import tokens
from store.staff import front
from tests.conftest import SECRET, make_settings
from tests.serving import free_port

# What a server in front does with a request on its way, and with the answer.
Before = Callable[[dict[str, Any]], None]
READER = "203.0.113.9"


def as_in_the_guide(environ: dict[str, Any]) -> None:
    environ["HTTP_X_FORWARDED_FOR"] = READER
    environ["HTTP_X_FORWARDED_PROTO"] = "http"
    environ["HTTP_X_FORWARDED_HOST"] = environ["HTTP_HOST"]


def adds_who_asks(environ: dict[str, Any]) -> None:
    claimed = environ.get("HTTP_X_FORWARDED_FOR")
    as_in_the_guide(environ)
    if claimed:
        environ["HTTP_X_FORWARDED_FOR"] = f"{claimed}, {READER}"


def hands_on(environ: dict[str, Any]) -> None:
    """As it came, the claim of who asks too."""


def says_https(environ: dict[str, Any]) -> None:
    as_in_the_guide(environ)
    environ["HTTP_X_FORWARDED_PROTO"] = "https"


def names_itself(environ: dict[str, Any]) -> None:
    as_in_the_guide(environ)
    environ["HTTP_X_FORWARDED_HOST"] = "127.0.0.1:8000"


@contextmanager
def _served(app: Flask, before: Before, port: int, files: Path | None = None) -> Iterator[None]:
    """The shop behind a server of that kind, which sends files out of `files`."""

    def in_front(environ: dict[str, Any], start: Any) -> Any:
        before(environ)
        answer = Response.from_app(app.wsgi_app, environ, buffered=True)
        place = answer.headers.get("X-Accel-Redirect")
        if place and files is not None:
            del answer.headers["X-Accel-Redirect"]
            found = files / place.removeprefix("/kept-files/")
            answer = Response(
                found.read_bytes() if found.exists() else b"", 200 if found.exists() else 404
            )
        return answer(environ, start)

    server = make_server("127.0.0.1", port, in_front, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.fixture
def ask(app: Flask, tmp_path: Path) -> Any:
    """Run the command against a shop of these settings behind such a server; its exit code and words."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def run(
        before: Before, *, sends_from: Path | None = None, **given: Any
    ) -> tuple[int, list[str]]:
        settings = {"data_dir": str(tmp_path), "base_url": url} | given
        shop = create_app(make_settings(tmp_path, base_url=url, **given))
        environment = {"STORE_ENV": "testing", "STORE_SECRET_KEY": SECRET}
        environment |= {f"STORE_{name.upper()}": str(value) for name, value in settings.items()}
        with _served(shop, before, port, sends_from):
            done = CliRunner().invoke(main, ["check", "--url", url], env=environment)
        lines = [line for line in done.output.splitlines() if " our address: " in line]
        return done.exit_code, [line.replace(url, "URL") for line in lines]

    return run


@pytest.mark.parametrize("before", [as_in_the_guide, adds_who_asks])
def test_a_proxy_as_in_the_guide_is_well(ask: Any, tmp_path: Path, before: Before) -> None:
    code, (line,) = ask(
        before, sends_from=tmp_path / "files", trusted_proxies=1, accel_redirect="/kept-files"
    )
    assert code == 0
    assert line == f"ok     our address: URL is seen as URL, asked from {READER}"


def test_a_shop_that_sends_its_files_itself_is_told_of_nginx(ask: Any) -> None:
    code, (_, note) = ask(as_in_the_guide, trusted_proxies=1)
    assert code == 0
    assert note == (
        "note   our address: STORE_ACCEL_REDIRECT is not set: slow readers of files keep pages waiting"
    )


@pytest.mark.parametrize(
    ("before", "trusted", "words"),
    [
        (hands_on, 1, "no proxy writes X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host"),
        (hands_on, 1, "who asks may claim any address"),
        (adds_who_asks, 2, "who asks may claim any address"),
        (as_in_the_guide, 0, "STORE_TRUSTED_PROXIES is 0, so that all readers are taken for one"),
        (says_https, 1, "it is asked by http and takes that for https"),
        (names_itself, 1, "and takes that for 127.0.0.1:8000"),
    ],
)
def test_what_a_proxy_does_not_hand_on_is_named(
    ask: Any, before: Before, trusted: int, words: str
) -> None:
    code, (line,) = ask(before, trusted_proxies=trusted)
    assert code == 1
    assert line.startswith("fault  our address: ")
    assert words in line


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        (None, "it hands X-Accel-Redirect on"),
        ("elsewhere", "the server in front answers 404 for a file that is there: its place for"),
    ],
)
def test_a_server_that_does_not_find_the_files_is_named(
    ask: Any, tmp_path: Path, folder: str | None, words: str
) -> None:
    code, (line,) = ask(
        as_in_the_guide,
        sends_from=tmp_path / folder if folder else None,
        trusted_proxies=1,
        accel_redirect="/kept-files",
    )
    assert code == 1
    assert words in line
    assert not [*(tmp_path / "files" / "probes").iterdir()]


def test_another_shop_at_the_address_is_named(app: Flask, tmp_path: Path) -> None:
    port = free_port()
    url, key = f"http://127.0.0.1:{port}", "another key that is long enough 0123456789"
    given = {"STORE_ENV": "testing", "STORE_SECRET_KEY": key, "STORE_DATA_DIR": str(tmp_path)}
    with _served(app, as_in_the_guide, port):
        done = CliRunner().invoke(main, ["check", "--url", url], env=given)
    assert done.exit_code == 1
    assert (
        f"{url} answers 404, and not as this shop would: another shop stands there" in done.output
    )


def test_nobody_at_the_address_is_named(app: Flask, tmp_path: Path) -> None:
    given = {"STORE_ENV": "testing", "STORE_SECRET_KEY": SECRET, "STORE_DATA_DIR": str(tmp_path)}
    words = ["check", "--url", f"http://127.0.0.1:{free_port()}"]
    done = CliRunner().invoke(main, words, env=given)
    assert done.exit_code == 1
    (line,) = [line for line in done.output.splitlines() if " our address: " in line]
    assert "is not reached: " in line


def test_what_the_shop_sees_is_told_once_to_a_fresh_word_and_to_nobody_else(app: Flask) -> None:
    client = app.test_client()
    word = tokens.sign(tokens.new_reference(), front.PURPOSE)
    assert client.get("/seen").status_code == 404
    assert client.get("/seen", headers={front.WORD: word[:-1]}).status_code == 404
    other = tokens.sign(tokens.new_reference(), "library")
    assert client.get("/seen", headers={front.WORD: other}).status_code == 404
    told = client.get("/seen", headers={front.WORD: word})
    assert (told.status_code, told.headers["Cache-Control"]) == (200, "no-store")
    assert client.get("/seen", headers={front.WORD: word}).status_code == 404
    assert client.get("/seen/file", headers={front.WORD: word}).status_code == 404  # sends itself


def test_a_word_is_good_for_a_minute(app: Flask, frozen: Any) -> None:
    client = app.test_client()
    word = tokens.sign(tokens.new_reference(), front.PURPOSE)
    frozen.advance(seconds=61)
    assert client.get("/seen", headers={front.WORD: word}).status_code == 404
