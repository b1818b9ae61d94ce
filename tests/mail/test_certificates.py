"""The mail server's certificate is looked at before letters stop."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from store.kit import clock
from store.mail import certificates
from store.mail.smtp import MailServer

from .certificates import make_certificate
from .scripted_server import ScriptedServer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@contextmanager
def a_server(certificate: Path, *, is_trusted: bool = True) -> Iterator[MailServer]:
    """One that begins TLS when asked, as the shop knows it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    trusted = ssl.create_default_context(cafile=certificate) if is_trusted else None
    with ScriptedServer(offers=("STARTTLS",), tls=context) as sink:
        yield MailServer("127.0.0.1", sink.port, use_tls=True, tls_context=trusted)


def _weeks_ago(monkeypatch: pytest.MonkeyPatch, weeks: int) -> None:
    """As it would have been asked so many weeks before the certificate's end."""
    monkeypatch.setattr(clock, "machine_time", lambda: datetime.now(UTC) - timedelta(weeks=weeks))


def test_one_that_holds_for_weeks_is_well(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _weeks_ago(monkeypatch, 3)
    with a_server(certificate) as server:
        assert certificates.fault_of(server) == ""


def test_one_that_ends_within_two_weeks_is_named_with_its_end(certificate: Path) -> None:
    with a_server(certificate) as server:
        assert certificates.fault_of(server).startswith("it holds until ")


def test_one_that_nobody_vouches_for_is_named(certificate: Path) -> None:
    with a_server(certificate, is_trusted=False) as server:
        assert certificates.fault_of(server).startswith("it is not trusted: self-signed")


def test_a_worker_asks_once_an_hour_and_only_where_letters_go_encrypted(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[MailServer] = []
    settings = app.extensions["colophon.settings"]
    monkeypatch.setattr(certificates, "fault_of", _noted(asked, ""))
    certificates.look_when_due()
    assert (asked, certificates.last_look()) == ([], None)
    monkeypatch.setitem(settings.__dict__, "mail_server", "127.0.0.1")
    certificates.look_when_due()
    assert asked == []
    monkeypatch.setitem(settings.__dict__, "mail_use_tls", True)
    for _ in range(3):
        certificates.look_when_due()
    assert len(asked) == 1
    looked = certificates.last_look()
    assert looked is not None
    app.extensions["colophon.certificate"] = looked._replace(at_seconds=looked.at_seconds - 4000)
    certificates.look_when_due()
    assert len(asked) == 2


def test_a_server_that_cannot_be_reached_says_nothing_of_its_certificate(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = app.extensions["colophon.settings"]
    for name, value in {"mail_server": "127.0.0.1", "mail_use_tls": True, "mail_port": 1}.items():
        monkeypatch.setitem(settings.__dict__, name, value)
    certificates.look_when_due()
    assert certificates.last_look() is None


def _noted(asked: list[MailServer], fault: str) -> Callable[[MailServer], Any]:
    def fault_of(server: MailServer) -> str:
        asked.append(server)
        return fault

    return fault_of
