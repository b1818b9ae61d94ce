"""Letters handed over in real conversations, with servers of every temper."""

import logging
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as SinkEnvelope
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from store.mail import conversation, sending
from store.mail.message import Envelope, Mailbox, address_envelope
from store.mail.sending import (
    Connection,
    MailServer,
    Outcome,
    OutcomeKind,
    ServerUnavailable,
    Step,
)

from .letter_rules import broken
from .scripted_server import CUT, SILENCE, Script, ScriptedServer, Talk
from .test_message import NAMES, NOTES, letter, mailbox

ANNA = address_envelope("bounce@shop.example.org", "anna@reader.example")
BEN = address_envelope("bounce@shop.example.org", "ben@reader.example")
LETTER = b"Subject: x\r\n\r\n.\r\n..two\r\nend\r\n"
PIPELINED = ("PIPELINING", "8BITMIME", "SMTPUTF8")
IN_TURN = ("8BITMIME", "SMTPUTF8")
SHORT = 0.2


@pytest.fixture(params=[PIPELINED, IN_TURN], ids=["pipelined", "in-turn"])
def offers(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.param  # type: ignore[no-any-return]


def server_at(port: int, **options: object) -> MailServer:
    return MailServer("127.0.0.1", port, **options)  # type: ignore[arg-type]


@contextmanager
def connected(sink: ScriptedServer, **options: object) -> Iterator[Connection]:
    with closing(Connection(server_at(sink.port, **options))) as connection:
        yield connection


def answering(verb: str, reply: str, to: str = "anna") -> Script:
    """The reply given at that verb, while the letter to that reader is under way."""

    def script(talk: Talk, said: str, line: str) -> str | None:
        if said == "RCPT":
            return reply if verb == said and to in line else None
        underway = to in "".join(talk.rcpt)
        if said == "MAIL":  # the reader is not named yet
            return reply if verb == said and talk.number == 1 else None
        return reply if verb == said and underway else None

    return script


def recipients(sink: ScriptedServer) -> list[str]:
    return [letter.rcpt[0] for letter in sink.letters]


# Accepted


def test_a_letter_is_accepted_with_the_servers_words(offers: tuple[str, ...]) -> None:
    with ScriptedServer(offers=offers) as sink, connected(sink) as connection:
        outcome = connection.send(ANNA, LETTER)

    assert outcome == Outcome(OutcomeKind.ACCEPTED, "250 2.0.0 Ok: queued", Step.LETTER)
    (received,) = sink.letters
    assert received.octets == LETTER
    assert received.mail == "MAIL FROM:<bounce@shop.example.org>"
    assert received.rcpt == ("RCPT TO:<anna@reader.example>",)


def test_many_letters_share_one_connection_and_need_no_reset(offers: tuple[str, ...]) -> None:
    with ScriptedServer(offers=offers) as sink, connected(sink) as connection:
        outcomes = [connection.send(ANNA, LETTER).kind for _ in range(30)]

    assert outcomes == [OutcomeKind.ACCEPTED] * 30
    (talk,) = sink.talks
    verbs = [command.split(" ")[0] for command in talk.commands]
    assert verbs == ["ehlo", *["MAIL", "RCPT", "DATA"] * 30, "quit"]


def test_mail_rcpt_and_data_go_as_one_group_only_where_pipelining_is_offered() -> None:
    with ScriptedServer(offers=PIPELINED) as sink, connected(sink) as connection:
        connection.send(ANNA, LETTER)
    assert sink.talks[0].together == ["RCPT", "DATA"]

    with ScriptedServer(offers=IN_TURN) as sink, connected(sink) as connection:
        connection.send(ANNA, LETTER)
    assert sink.talks[0].together == []


def test_the_size_is_told_where_the_server_asks_for_it() -> None:
    with ScriptedServer(offers=("SIZE 1000000",)) as sink, connected(sink) as connection:
        connection.send(ANNA, LETTER)

    assert sink.letters[0].mail == f"MAIL FROM:<bounce@shop.example.org> SIZE={len(LETTER)}"


def test_a_server_that_knows_only_helo_is_served() -> None:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        return "502 5.5.1 What?" if verb == "EHLO" else None

    with ScriptedServer(script) as sink, connected(sink) as connection:
        assert connection.send(ANNA, LETTER).kind is OutcomeKind.ACCEPTED


# Refused and deferred


@pytest.mark.parametrize(
    ("verb", "reply", "kind", "step"),
    [
        ("MAIL", "451 4.7.1 Slow down", OutcomeKind.DEFERRED, Step.MAIL),
        ("MAIL", "552 5.3.4 Too big", OutcomeKind.REFUSED, Step.MAIL),
        ("RCPT", "550 5.1.1 No such mailbox", OutcomeKind.REFUSED, Step.RCPT),
        ("RCPT", "450 4.2.1 Greylisted", OutcomeKind.DEFERRED, Step.RCPT),
        ("DATA", "451 4.3.0 Not now", OutcomeKind.DEFERRED, Step.DATA),
        ("DATA", "554 5.7.1 Never", OutcomeKind.REFUSED, Step.DATA),
        (".", "554 5.6.0 Content rejected", OutcomeKind.REFUSED, Step.LETTER),
        (".", "454 Throttling failure: Maximum sending rate", OutcomeKind.DEFERRED, Step.LETTER),
    ],
)
def test_a_refusal_is_told_with_its_words_and_the_next_letter_goes(
    offers: tuple[str, ...], verb: str, reply: str, kind: OutcomeKind, step: Step
) -> None:
    refused: list[str] = []

    def once(talk: Talk, said: str, line: str) -> str | None:
        if said == verb and not refused:
            refused.append(line)
            return reply
        return None

    with ScriptedServer(once, offers=offers) as sink, connected(sink) as connection:
        assert connection.send(ANNA, LETTER) == Outcome(kind, reply, step, charged=True)
        assert connection.send(BEN, LETTER).kind is OutcomeKind.ACCEPTED

    assert recipients(sink) == ["RCPT TO:<ben@reader.example>"]
    assert len(sink.talks) == 1
    assert "rset" in [command.lower() for command in sink.talks[0].commands]


def test_words_on_several_lines_become_one() -> None:
    reply = "550-5.1.1 The account does not exist.\r\n550-5.1.1 Try\r\n550 5.1.1 again\t\x07."
    with ScriptedServer(answering("RCPT", reply)) as sink, connected(sink) as connection:
        outcome = connection.send(ANNA, LETTER)

    assert outcome.reply == "550 5.1.1 The account does not exist. Try again ."


def test_a_letter_without_recipient_that_the_server_waits_for_is_ended_by_the_lone_dot() -> None:
    with (
        ScriptedServer(answering("RCPT", "550 5.1.1 No"), offers=PIPELINED) as sink,
        connected(sink, reply_timeout=SHORT) as connection,
    ):
        assert connection.send(ANNA, LETTER).reply == "550 5.1.1 No"
        assert connection.send(BEN, LETTER).kind is OutcomeKind.ACCEPTED

    assert len(sink.talks) == 1
    assert recipients(sink) == ["RCPT TO:<ben@reader.example>"]


def test_without_the_lone_dot_the_next_letter_would_be_swallowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Control of the test above."""
    monkeypatch.setattr(conversation, "_withdraw", lambda host: None)
    with (
        ScriptedServer(answering("RCPT", "550 5.1.1 No"), offers=PIPELINED) as sink,
        connected(sink, reply_timeout=SHORT) as connection,
    ):
        connection.send(ANNA, LETTER)
        connection.send(BEN, LETTER)

    assert len(sink.talks) == 2


def test_one_refused_reader_stops_nobody_else(offers: tuple[str, ...]) -> None:
    tries: dict[str, int] = {}

    def script(talk: Talk, verb: str, line: str) -> str | None:
        if verb == "RCPT":
            reader = line.partition("<")[2].partition("@")[0]
            tries[reader] = tries.get(reader, 0) + 1
            if reader == "r15" and tries[reader] <= 3:
                return "450 4.2.0 Come back"
            return {"r3": "550 5.1.1 Unknown", "r7": "553 5.1.3 Odd"}.get(reader)
        return "554 5.7.1 Spam" if verb == "." and "r11@" in "".join(talk.rcpt) else None

    readers = [address_envelope("b@shop.example.org", f"r{n}@reader.example") for n in range(1, 21)]
    with ScriptedServer(script, offers=offers) as sink, connected(sink) as connection:
        outcomes = {reader.recipient: connection.send(reader, LETTER) for reader in readers}
        again = [connection.send(readers[14], LETTER).kind for _ in range(3)]

    not_sent = {
        address: outcome.reply
        for address, outcome in outcomes.items()
        if outcome.kind is not OutcomeKind.ACCEPTED
    }
    assert not_sent == {
        "r3@reader.example": "550 5.1.1 Unknown",
        "r7@reader.example": "553 5.1.3 Odd",
        "r11@reader.example": "554 5.7.1 Spam",
        "r15@reader.example": "450 4.2.0 Come back",
    }
    assert again == [OutcomeKind.DEFERRED, OutcomeKind.DEFERRED, OutcomeKind.ACCEPTED]
    assert len(recipients(sink)) == 17
    assert len(sink.talks) == 1


# The server closes, or says nothing


@pytest.mark.parametrize("manner", ["421 at the next MAIL", "421 unasked", "closed without a word"])
def test_a_server_that_takes_ten_letters_a_connection_gets_441_once_each(
    offers: tuple[str, ...], manner: str
) -> None:
    busy = "421 4.7.0 too many messages in this connection"

    def script(talk: Talk, verb: str, line: str) -> str | None:
        if manner == "421 at the next MAIL" and verb == "MAIL" and talk.accepted == 10:
            return busy
        if manner == "closed without a word" and verb == "MAIL" and talk.accepted == 10:
            return CUT
        if manner == "421 unasked" and verb == "." and talk.accepted == 9:
            return f"250 2.0.0 Ok\r\n{busy}"
        return None

    readers = [address_envelope("b@shop.example.org", f"r{n}@reader.example") for n in range(441)]
    with ScriptedServer(script, offers=offers) as sink, connected(sink) as connection:
        outcomes = {connection.send(reader, LETTER).kind for reader in readers}

    assert outcomes == {OutcomeKind.ACCEPTED}
    assert recipients(sink) == [f"RCPT TO:<{reader.recipient}>" for reader in readers]


def test_stock_flask_mail_sends_nothing_after_the_server_has_closed() -> None:
    """Control of the test above."""

    def script(talk: Talk, verb: str, line: str) -> str | None:
        return "421 4.7.0 too many" if verb == "MAIL" and talk.accepted == 1 else None

    with ScriptedServer(script) as sink:
        host = sending._FlaskMailConnection(server_at(sink.port)).configure_host()
        with closing(host):
            host.sendmail(ANNA.sender, [ANNA.recipient], LETTER)
            with pytest.raises(smtplib.SMTPSenderRefused):
                host.sendmail(BEN.sender, [BEN.recipient], LETTER)
            with pytest.raises(smtplib.SMTPServerDisconnected, match="run connect"):
                host.sendmail(BEN.sender, [BEN.recipient], LETTER)

    assert len(sink.letters) == 1


def test_421_at_mail_of_a_new_connection_charges_nobody(offers: tuple[str, ...]) -> None:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        return "421 4.3.2 Busy" if verb == "MAIL" else None

    with ScriptedServer(script, offers=offers) as sink, connected(sink) as connection:
        outcome = connection.send(ANNA, LETTER)

    assert outcome == Outcome(OutcomeKind.DEFERRED, "421 4.3.2 Busy", Step.MAIL, charged=False)
    assert len(sink.talks) == 1


def test_421_at_the_greeting_makes_the_server_unavailable_and_charges_nobody() -> None:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        return "421 4.3.2 Too many connections" if verb == "CONNECT" else None

    with ScriptedServer(script) as sink, connected(sink) as connection:
        with pytest.raises(ServerUnavailable) as refusal:
            connection.ready()
        outcome = connection.send(ANNA, LETTER)

    assert refusal.value.reply == "421 4.3.2 Too many connections"
    assert outcome == Outcome(OutcomeKind.DEFERRED, "421 4.3.2 Too many connections", charged=False)


def test_421_after_the_dot_is_a_try_and_the_next_letter_gets_a_new_connection(
    offers: tuple[str, ...],
) -> None:
    script = answering(".", "421 4.3.2 Shutting down")
    with ScriptedServer(script, offers=offers) as sink, connected(sink) as connection:
        outcome = connection.send(ANNA, LETTER)
        assert connection.send(BEN, LETTER).kind is OutcomeKind.ACCEPTED

    assert outcome == Outcome(OutcomeKind.DEFERRED, "421 4.3.2 Shutting down", Step.LETTER)
    assert [letter.connection for letter in sink.letters] == [2]


@pytest.mark.parametrize("manner", [CUT, SILENCE])
@pytest.mark.parametrize(
    ("verb", "kind", "charged"),
    [
        ("MAIL", OutcomeKind.DEFERRED, False),
        ("RCPT", OutcomeKind.DEFERRED, True),
        ("DATA", OutcomeKind.DEFERRED, True),
        (".", OutcomeKind.UNKNOWN, True),
    ],
)
def test_a_line_lost_before_the_dot_is_temporary_and_after_it_unknown(
    offers: tuple[str, ...], verb: str, manner: str, kind: OutcomeKind, charged: bool
) -> None:
    limits = {"reply_timeout": SHORT, "final_timeout": SHORT}
    with (
        ScriptedServer(answering(verb, manner), offers=offers) as sink,
        connected(sink, **limits) as connection,
    ):
        outcome = connection.send(ANNA, LETTER)
        assert connection.send(BEN, LETTER).kind is OutcomeKind.ACCEPTED

    step = Step.LETTER if verb == "." else Step(verb)
    how = "connection lost at" if manner == CUT else "no answer in time to"
    assert outcome == Outcome(kind, f"{how} {step}", step, charged)
    assert recipients(sink) == ["RCPT TO:<ben@reader.example>"]


def test_a_kept_line_that_went_silent_is_replaced_and_the_letter_goes() -> None:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        return SILENCE if verb == "MAIL" and talk.accepted == 1 else None

    with ScriptedServer(script) as sink, connected(sink, reply_timeout=SHORT) as connection:
        kinds = [connection.send(reader, LETTER).kind for reader in (ANNA, BEN)]

    assert kinds == [OutcomeKind.ACCEPTED, OutcomeKind.ACCEPTED]
    assert [letter.connection for letter in sink.letters] == [1, 2]


def test_after_a_pause_the_kept_line_is_asked_whether_it_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "_IDLE_SECONDS", 0)
    with ScriptedServer() as sink, connected(sink) as connection:
        connection.send(ANNA, LETTER)
        connection.ready()
        sink.script = lambda talk, verb, line: "421 Idle" if verb == "NOOP" else None
        connection.ready()

    assert [len(talk.commands) for talk in sink.talks] == [6, 2]


def test_the_final_answer_is_waited_for_longer_than_the_others() -> None:
    """The server answers the dot only when the other answers' limit has passed."""
    slow = threading.Event()

    def script(talk: Talk, verb: str, line: str) -> str | None:
        if verb == ".":
            slow.wait(SHORT * 2)
        return None

    with ScriptedServer(script) as sink:
        with connected(sink, reply_timeout=SHORT, final_timeout=10) as connection:
            assert connection.send(ANNA, LETTER).kind is OutcomeKind.ACCEPTED
        with connected(sink, reply_timeout=SHORT, final_timeout=SHORT) as connection:
            assert connection.send(ANNA, LETTER).kind is OutcomeKind.UNKNOWN


def test_ten_minutes_are_given_to_the_final_answer_and_a_lease_covers_all_waits() -> None:
    server = MailServer("mail.example")

    assert (server.connect_timeout, server.final_timeout) == (30, 600)
    assert server.longest_send == 8 * 30 + 6 * 120 + 600


def test_a_line_cut_while_the_letter_is_written_is_temporary() -> None:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        return "354 Go ahead\r\n" if verb == "DATA" else None

    class Hangup(ScriptedServer):
        def _take_letter(self, line: object, talk: Talk) -> bool:
            return False

    huge = b"Subject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * 400_000
    with Hangup(script) as sink, connected(sink) as connection:
        outcome = connection.send(ANNA, huge)

    assert outcome == Outcome(
        OutcomeKind.DEFERRED, "connection lost at the letter", Step.WRITING, charged=True
    )


def test_leaving_is_quiet_whatever_the_server_does() -> None:
    for manner in (CUT, SILENCE, "500 What?", "421 Bye"):
        with ScriptedServer(answering("QUIT", manner)) as sink:
            connection = Connection(server_at(sink.port))
            assert connection.send(ANNA, LETTER).kind is OutcomeKind.ACCEPTED
            sink.talks[0].rcpt = ["anna"]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sending, "_QUIT_SECONDS", SHORT)
                connection.close()
                connection.close()


# Connecting


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    connection = Connection(server_at(port))

    with pytest.raises(ServerUnavailable, match=r"no connection: .*refused"):
        connection.ready()
    assert connection.send(ANNA, LETTER).charged is False


def test_a_server_that_does_not_greet_is_unavailable() -> None:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        return SILENCE if verb == "CONNECT" else None

    with (
        ScriptedServer(script) as sink,
        connected(sink, connect_timeout=SHORT) as connection,
        pytest.raises(ServerUnavailable, match="no answer in time while connecting"),
    ):
        connection.ready()


def test_the_server_is_greeted_by_our_own_name() -> None:
    with ScriptedServer() as sink, connected(sink, local_hostname="shop.example.org") as connection:
        connection.ready()

    assert sink.talks[0].commands[0] == "ehlo shop.example.org"


def test_a_rejected_password_makes_the_server_unavailable_and_is_told_to_nobody(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        return "535 5.7.8 Bad credentials" if verb == "AUTH" else None

    account = {"username": "shop", "password": "s3cret-word"}
    with (
        caplog.at_level(logging.DEBUG),
        ScriptedServer(script, offers=("AUTH PLAIN",)) as sink,
        connected(sink, **account) as connection,
        pytest.raises(ServerUnavailable) as refusal,
    ):
        connection.ready()

    assert refusal.value.reply == "535 5.7.8 Bad credentials"
    assert "s3cret-word" not in repr(server_at(25, **account))
    assert not [record for record in caplog.records if record.name.startswith("store")]
    assert capfd.readouterr() == ("", "")


def test_the_account_is_used_before_the_first_letter() -> None:
    account = {"username": "shop", "password": "s3cret"}
    with (
        ScriptedServer(offers=("AUTH PLAIN",)) as sink,
        connected(sink, **account) as connection,
    ):
        assert connection.send(ANNA, LETTER).kind is OutcomeKind.ACCEPTED

    assert sink.talks[0].commands[1] == "AUTH PLAIN AHNob3AAczNjcmV0"


@pytest.mark.parametrize(
    ("account", "words"),
    [
        ({"username": "shop", "password": "pässword"}, "characters that mail servers do not take"),
        ({"username": "shop", "password": "x", "host": "a" * 70}, "characters|no connection"),
    ],
)
def test_an_account_that_cannot_be_written_is_told(account: dict[str, str], words: str) -> None:
    with ScriptedServer(offers=("AUTH PLAIN",)) as sink:
        options = {"host": "127.0.0.1", "port": sink.port} | account
        with pytest.raises(ServerUnavailable, match=words) as refusal:
            Connection(MailServer(**options)).ready()  # type: ignore[arg-type]
    assert "pässword" not in str(refusal.value)


def test_a_server_that_wants_an_account_first_charges_no_letter(offers: tuple[str, ...]) -> None:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        return "530 5.7.0 Authentication required" if verb == "MAIL" else None

    with ScriptedServer(script, offers=offers) as sink, connected(sink) as connection:
        outcome = connection.send(ANNA, LETTER)

    words = "530 5.7.0 Authentication required"
    assert outcome == Outcome(OutcomeKind.DEFERRED, words, Step.MAIL, charged=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    host = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(host, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


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


# Addresses


READERS = ["a@reader.example", "müller@reader.example", "anna@münchen.example", "b@reader.example"]


def sent_to(sink: ScriptedServer) -> dict[str, OutcomeKind]:
    with connected(sink) as connection:
        return {
            reader: connection.send(
                address_envelope("bounce@shop.example.org", reader), letter(to=Mailbox(reader))
            ).kind
            for reader in READERS
        }


def test_without_smtputf8_only_the_address_that_needs_it_stays_behind() -> None:
    with ScriptedServer(offers=("PIPELINING",)) as sink:
        kinds = sent_to(sink)

    assert kinds == dict.fromkeys(READERS, OutcomeKind.ACCEPTED) | {
        "müller@reader.example": OutcomeKind.UNSENDABLE
    }
    assert recipients(sink) == [
        "RCPT TO:<a@reader.example>",
        "RCPT TO:<anna@xn--mnchen-3ya.example>",
        "RCPT TO:<b@reader.example>",
    ]
    assert len(sink.talks) == 1


def test_smtputf8_is_used_where_it_is_needed_and_only_there() -> None:
    with ScriptedServer(offers=PIPELINED) as sink:
        kinds = sent_to(sink)

    assert set(kinds.values()) == {OutcomeKind.ACCEPTED}
    assert [letter.mail.partition("> ")[2] for letter in sink.letters] == [
        "",
        "SMTPUTF8 BODY=8BITMIME",
        "",
        "",
    ]
    assert recipients(sink)[1] == "RCPT TO:<müller@reader.example>"
    assert b"\r\nTo: m\xc3\xbcller@reader.example\r\n" in sink.letters[1].octets


def test_whether_the_server_can_carry_it_is_known_once_it_is_ready() -> None:
    with ScriptedServer(offers=IN_TURN) as sink, connected(sink) as connection:
        connection.ready()
        assert connection.can_carry(needs_smtputf8=True)
    with ScriptedServer(offers=("SIZE",)) as sink, connected(sink) as connection:
        connection.ready()
        assert not connection.can_carry(needs_smtputf8=True)
        assert connection.can_carry(needs_smtputf8=False)


@pytest.mark.parametrize(
    "address", ["a@b.example>\r\nRCPT TO:<m@evil.example", "a b@c.example", "", "a\ud800@b.example"]
)
def test_an_address_that_could_break_the_conversation_is_never_written(address: str) -> None:
    with ScriptedServer() as sink, connected(sink) as connection:
        outcome = connection.send(Envelope("b@shop.example.org", address, False), LETTER)

    assert outcome.kind is OutcomeKind.UNSENDABLE
    assert not sink.talks


# A server of other people's making


class Keeper(Sink):
    def __init__(self) -> None:
        self.kept: list[SinkEnvelope] = []

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: SinkEnvelope, name: str, lines: list[str]
    ) -> list[str]:
        session.host_name = name
        return [*lines[:-1], "250-PIPELINING", lines[-1]]

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: SinkEnvelope
    ) -> str:
        self.kept.append(envelope)
        return "250 2.0.0 Ok"


@pytest.fixture
def keeper() -> Iterator[tuple[Keeper, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    handler = Keeper()
    controller = Controller(handler, "127.0.0.1", port, enable_SMTPUTF8=True)
    controller.start()
    yield handler, port
    controller.stop()


def test_names_and_notes_arrive_whole_with_one_recipient_each(keeper: tuple[Keeper, int]) -> None:
    sink, port = keeper
    with closing(Connection(server_at(port))) as connection:
        for name in NAMES:
            raw = letter(to=Mailbox("anna@reader.example", name))
            assert connection.send(ANNA, raw).kind is OutcomeKind.ACCEPTED

    assert len(sink.kept) == len(NAMES)
    for name, kept in zip(NAMES, sink.kept, strict=True):
        assert kept.rcpt_tos == ["anna@reader.example"]
        assert mailbox(kept.content, "To") == (name, "anna@reader.example")
        assert not broken(kept.content, kept.mail_from)


def test_every_octet_arrives_as_it_was_cut(keeper: tuple[Keeper, int]) -> None:
    sink, port = keeper
    raw = [LETTER, b".\r\n" * 5 + b"..\r\n", letter(), letter(to=Mailbox("ü@b.example"))]
    with closing(Connection(server_at(port))) as connection:
        for octets in raw:
            assert connection.send(ANNA, octets).kind is OutcomeKind.ACCEPTED

    assert [kept.content for kept in sink.kept] == raw
    assert NOTES
