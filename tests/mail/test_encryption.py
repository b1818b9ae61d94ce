"""Letters go encrypted or not at all, once encryption is asked for."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.mail.smtp import OutcomeKind, ServerUnavailable

from .certificates import make_certificate
from .conversations import ANNA, LETTER, PIPELINED, connected
from .scripted_server import ScriptedServer, Talk


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls_sink(certificate: Path) -> Iterator[ScriptedServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ScriptedServer(offers=("STARTTLS", *PIPELINED), tls=context) as sink:
        yield sink


def test_letters_go_encrypted_to_a_server_whose_certificate_is_trusted(
    tls_sink: ScriptedServer, certificate: Path
) -> None:
    trusted = ssl.create_default_context(cafile=certificate)
    with connected(tls_sink, use_tls=True, tls_context=trusted) as connection:
        kinds = [connection.send(ANNA, LETTER).kind for _ in range(3)]

    assert kinds == [OutcomeKind.ACCEPTED] * 3
    (talk,) = tls_sink.talks
    assert talk.is_encrypted
    assert [letter.octets for letter in tls_sink.letters] == [LETTER] * 3


def test_a_certificate_that_nobody_vouches_for_is_refused(tls_sink: ScriptedServer) -> None:
    with (
        connected(tls_sink, use_tls=True) as connection,
        pytest.raises(ServerUnavailable, match="certificate is not trusted: self-signed"),
    ):
        connection.ready()

    assert not tls_sink.letters


def test_nothing_goes_in_the_clear_when_the_server_offers_no_encryption() -> None:
    with (
        ScriptedServer(offers=PIPELINED) as sink,
        connected(sink, use_tls=True) as connection,
        pytest.raises(ServerUnavailable, match="STARTTLS"),
    ):
        connection.ready()


def test_encryption_from_the_first_octet(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    trusted = ssl.create_default_context(cafile=certificate)

    class FromTheStart(ScriptedServer):
        def _converse(self, connection: socket.socket, talk: Talk) -> None:
            super()._converse(context.wrap_socket(connection, server_side=True), talk)

    with (
        FromTheStart() as sink,
        connected(sink, use_ssl=True, tls_context=trusted) as connection,
    ):
        assert connection.send(ANNA, LETTER).kind is OutcomeKind.ACCEPTED
