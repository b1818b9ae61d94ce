"""The kept connection: reaching the server, keeping and leaving it, and whom it can serve."""

import logging
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as SinkEnvelope

from store.mail import smtp
from store.mail.answers import About, Step
from store.mail.mime import Envelope, Mailbox, address_envelope
from store.mail.smtp import Connection, MailServer, OutcomeKind, ServerUnavailable

from .conversations import (
    ANNA,
    IN_TURN,
    LETTER,
    PIPELINED,
    SHORT,
    answering,
    connected,
    recipients,
    server_at,
    told,
)
from .letter_rules import broken
from .letters_cut import NAMES, letter, mailbox
from .scripted_server import CUT, SILENCE, ScriptedServer, Talk

# Connecting


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    connection = Connection(server_at(port))

    with pytest.raises(ServerUnavailable, match=r"no connection: .*refused"):
        connection.ready()
    assert connection.send(ANNA, LETTER).charged is False


def test_421_at_the_greeting_makes_the_server_unavailable_and_charges_nobody() -> None:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        return "421 4.3.2 Too many connections" if verb == "CONNECT" else None

    with ScriptedServer(script) as sink, connected(sink) as connection:
        with pytest.raises(ServerUnavailable) as refusal:
            connection.ready()
        outcome = connection.send(ANNA, LETTER)

    assert refusal.value.reply == "421 4.3.2 Too many connections"
    words = "421 4.3.2 Too many connections"
    assert told(outcome) == (OutcomeKind.DEFERRED, words, Step.CONNECT, False)


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


# Case mail-16: a password beyond ASCII.
PLAIN = b64encode("\0shop\0pä55€=#%wörd".encode()).decode()
BY_LOGIN = ["AUTH LOGIN c2hvcA==", b64encode("pä55€=#%wörd".encode()).decode()]


@pytest.mark.parametrize(
    ("offer", "said"), [("AUTH LOGIN PLAIN", [f"AUTH PLAIN {PLAIN}"]), ("AUTH LOGIN", BY_LOGIN)]
)
def test_a_password_beyond_ascii_signs_in_as_utf_8(offer: str, said: list[str]) -> None:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        if verb == "AUTH" and "LOGIN" in line:
            return "334 UGFzc3dvcmQ6"
        return "235 2.7.0 Ok" if verb == BY_LOGIN[1].upper() else None

    account = {"username": "shop", "password": "pä55€=#%wörd"}
    with (
        ScriptedServer(script, offers=(offer,)) as sink,
        connected(sink, **account) as connection,
    ):
        assert connection.send(ANNA, LETTER).kind is OutcomeKind.ACCEPTED

    assert sink.talks[0].commands[1 : 1 + len(said)] == said


def test_a_rejected_password_beyond_ascii_is_a_refusal_as_any_other() -> None:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        return "535 5.7.8 Bad credentials" if verb == "AUTH" else None

    account = {"username": "shop", "password": "pässword"}
    with (
        ScriptedServer(script, offers=("AUTH PLAIN",)) as sink,
        connected(sink, **account) as connection,
        pytest.raises(ServerUnavailable, match="Bad credentials") as refusal,
    ):
        connection.ready()
    assert refusal.value.judgement.about is About.US


@pytest.mark.parametrize(
    ("account", "offer", "words", "about"),
    [
        ({"password": "pässword"}, "AUTH CRAM-MD5", "STORE_MAIL_PASSWORD has letters", About.US),
        ({"password": "x"}, "AUTH GSSAPI", "No suitable authentication method", About.US),
        ({"password": "x"}, "SIZE", "AUTH extension not supported", About.US),
        (
            {"password": "x", "host": "a" * 70},
            "SIZE",
            "STORE_MAIL_SERVER has characters|no connection",
            None,
        ),
    ],
)
def test_an_account_that_cannot_be_used_is_told(
    account: dict[str, str], offer: str, words: str, about: About | None
) -> None:
    with ScriptedServer(offers=(offer,)) as sink:
        options = {"host": "127.0.0.1", "port": sink.port, "username": "shop"} | account
        with pytest.raises(ServerUnavailable, match=words) as refusal:
            Connection(MailServer(**options)).ready()  # type: ignore[arg-type]
    assert "pässword" not in str(refusal.value)
    assert about in (None, refusal.value.judgement.about)


def test_leaving_is_quiet_whatever_the_server_does() -> None:
    for manner in (CUT, SILENCE, "500 What?", "421 Bye"):
        with ScriptedServer(answering("QUIT", manner)) as sink:
            connection = Connection(server_at(sink.port))
            assert connection.send(ANNA, LETTER).kind is OutcomeKind.ACCEPTED
            sink.talks[0].rcpt = ["anna"]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(smtp, "_QUIT_SECONDS", SHORT)
                connection.close()
                connection.close()


def test_after_a_pause_the_kept_line_is_asked_whether_it_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(smtp, "_IDLE_SECONDS", 0)
    with ScriptedServer() as sink, connected(sink) as connection:
        connection.send(ANNA, LETTER)
        connection.ready()
        sink.script = lambda talk, verb, line: "421 Idle" if verb == "NOOP" else None
        connection.ready()

    assert [len(talk.commands) for talk in sink.talks] == [6, 2]


def test_ten_minutes_are_given_to_the_final_answer_and_a_lease_covers_all_waits() -> None:
    server = MailServer("mail.example")

    assert (server.connect_timeout, server.final_timeout) == (30, 600)
    assert server.longest_send == 8 * 30 + 6 * 120 + 600


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
