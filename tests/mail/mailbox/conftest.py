"""A mailbox on a server of its own, and a shop that reads it."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from store.app import create_app
from store.kit.database import db
from tests.conftest import Clock, make_settings
from tests.mail.certificates import make_certificate
from tests.mail.imap_server import ImapServer
from tests.mail.reading import Begin, url_of


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def shop(
    database_url: str,
    tmp_path: Path,
    certificate: Path,
    frozen: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Begin]:
    """Begins a mailbox and a shop that reads it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ExitStack() as stack:

        def begin(**given: object) -> ImapServer:
            server = stack.enter_context(ImapServer(context, **given))  # type: ignore[arg-type]
            settings = make_settings(
                tmp_path, database_url=database_url, bounce_imap=url_of(server)
            )
            app = create_app(settings)
            stack.enter_context(app.app_context())
            return server

        yield begin
        db.session.remove()
        db.engine.dispose()
