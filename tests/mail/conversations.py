"""What the tests of handing letters over share: two readers, a letter, a scripted answer."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from store.mail.answers import Step
from store.mail.mime import address_envelope
from store.mail.smtp import Connection, MailServer, Outcome, OutcomeKind

from .scripted_server import Script, ScriptedServer, Talk

ANNA = address_envelope("bounce@shop.example.org", "anna@reader.example")
BEN = address_envelope("bounce@shop.example.org", "ben@reader.example")
LETTER = b"Subject: x\r\n\r\n.\r\n..two\r\nend\r\n"
PIPELINED = ("PIPELINING", "8BITMIME", "SMTPUTF8")
IN_TURN = ("8BITMIME", "SMTPUTF8")
# What a silent server is waited for, and within which every other answer comes.
SHORT = 1.0


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


def told(outcome: Outcome) -> tuple[OutcomeKind, str, Step | None, bool]:
    """Kind, words, step, and whether it was charged; whom it was about: tests/mail/test_answers."""
    return outcome.kind, outcome.reply, outcome.step, outcome.charged
