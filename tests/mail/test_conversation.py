"""Each answer of a mail server, and what becomes of the letter and of those after it."""

import smtplib
import threading

import flask_mail
import pytest
from flask import Flask

from store.mail import smtp
from store.mail.answers import About, Step
from store.mail.mime import address_envelope
from store.mail.smtp import OutcomeKind

from .conversations import (
    ANNA,
    BEN,
    IN_TURN,
    LETTER,
    PIPELINED,
    SHORT,
    answering,
    connected,
    recipients,
    told,
)
from .scripted_server import CUT, SILENCE, Script, ScriptedServer, Talk


@pytest.fixture(params=[PIPELINED, IN_TURN], ids=["pipelined", "in-turn"])
def offers(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.param  # type: ignore[no-any-return]


# Accepted


def test_a_letter_is_accepted_with_the_servers_words(offers: tuple[str, ...]) -> None:
    with ScriptedServer(offers=offers) as sink, connected(sink) as connection:
        outcome = connection.send(ANNA, LETTER)

    assert told(outcome) == (OutcomeKind.ACCEPTED, "250 2.0.0 Ok: queued", Step.LETTER, True)
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
        ("MAIL", "552 5.3.4 Too big", OutcomeKind.REFUSED, Step.MAIL),
        ("RCPT", "550 5.1.1 No such mailbox", OutcomeKind.REFUSED, Step.RCPT),
        ("RCPT", "450 4.2.1 Greylisted", OutcomeKind.DEFERRED, Step.RCPT),
        ("DATA", "451 4.3.0 Not now", OutcomeKind.DEFERRED, Step.DATA),
        ("DATA", "554 5.7.1 Never", OutcomeKind.REFUSED, Step.DATA),
        (".", "554 5.6.0 Content rejected", OutcomeKind.REFUSED, Step.LETTER),
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
        assert told(connection.send(ANNA, LETTER)) == (kind, reply, step, True)
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
    monkeypatch.setattr(smtp, "_withdraw", lambda host: None)
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


@pytest.mark.parametrize(
    ("verb", "reply"),
    [
        ("MAIL", "451 4.7.1 Slow down"),
        ("MAIL", "550 5.7.1 Sender refused"),
        ("RCPT", "554 5.7.1 Relay access denied"),
        ("RCPT", "550 5.4.5 Daily user sending limit exceeded"),
        ("DATA", "550 5.7.1 limit of 400 rcpts per 24 hours reached"),
        (".", "454 Throttling failure: Maximum sending rate"),
        (".", "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org"),
    ],
)
def test_what_is_about_us_fails_no_letter_and_charges_none(
    offers: tuple[str, ...], verb: str, reply: str
) -> None:
    with (
        ScriptedServer(answering(verb, reply), offers=offers) as sink,
        connected(sink) as connection,
    ):
        outcome = connection.send(ANNA, LETTER)

    step = Step.LETTER if verb == "." else Step(verb)
    assert told(outcome) == (OutcomeKind.DEFERRED, reply, step, False)
    assert outcome.about is About.US


# The server closes, or says nothing


def ten_letters(manner: str, limit: int = 10) -> Script:
    """Takes ten letters a connection, and then shows it in this manner."""
    busy = "421 4.7.0 too many messages in this connection"

    def script(talk: Talk, verb: str, line: str) -> str | None:
        if verb == "MAIL" and talk.accepted == limit:
            return {"421 at the next MAIL": busy, "closed without a word": CUT}.get(manner)
        if manner == "421 unasked" and verb == "." and talk.accepted == limit - 1:
            return f"250 2.0.0 Ok\r\n{busy}"
        return None

    return script


@pytest.mark.parametrize("manner", ["421 at the next MAIL", "421 unasked", "closed without a word"])
def test_a_server_that_takes_ten_letters_a_connection_gets_441_once_each(
    offers: tuple[str, ...], manner: str
) -> None:
    readers = [address_envelope("b@shop.example.org", f"r{n}@reader.example") for n in range(441)]
    with ScriptedServer(ten_letters(manner), offers=offers) as sink, connected(sink) as connection:
        outcomes = {connection.send(reader, LETTER).kind for reader in readers}

    assert outcomes == {OutcomeKind.ACCEPTED}
    # Two conversations may note their letters in either order.
    assert sorted(recipients(sink)) == sorted(f"RCPT TO:<{one.recipient}>" for one in readers)
    assert len(sink.talks) == 45


def test_stock_flask_mail_sends_nothing_after_the_server_has_closed() -> None:
    """Control of the test above."""
    app = Flask(__name__)
    with ScriptedServer(ten_letters("421 at the next MAIL", 1)) as sink, app.app_context():
        app.config |= {"MAIL_PORT": sink.port, "MAIL_DEFAULT_SENDER": "b@shop.example.org"}
        mail = flask_mail.Mail(app)
        letters = [flask_mail.Message("x", ["r@reader.example"], "x") for _ in range(3)]
        with pytest.raises(smtplib.SMTPServerDisconnected), mail.connect() as connection:
            connection.send(letters[0])
            with pytest.raises(smtplib.SMTPSenderRefused):
                connection.send(letters[1])
            with pytest.raises(smtplib.SMTPServerDisconnected, match=r"run connect\(\) first"):
                connection.send(letters[2])

    assert len(sink.letters) == 1


def test_421_at_mail_of_a_new_connection_charges_nobody(offers: tuple[str, ...]) -> None:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        return "421 4.3.2 Busy" if verb == "MAIL" else None

    with ScriptedServer(script, offers=offers) as sink, connected(sink) as connection:
        outcome = connection.send(ANNA, LETTER)

    assert told(outcome) == (OutcomeKind.DEFERRED, "421 4.3.2 Busy", Step.MAIL, False)
    assert len(sink.talks) == 1


@pytest.mark.parametrize("verb", ["RCPT", "DATA", "."])
def test_421_charges_nobody_wherever_it_comes_and_the_next_letter_gets_a_new_connection(
    offers: tuple[str, ...], verb: str
) -> None:
    script = answering(verb, "421 4.3.2 Shutting down")
    with ScriptedServer(script, offers=offers) as sink, connected(sink) as connection:
        outcome = connection.send(ANNA, LETTER)
        assert connection.send(BEN, LETTER).kind is OutcomeKind.ACCEPTED

    step = Step.LETTER if verb == "." else Step(verb)
    assert told(outcome) == (OutcomeKind.DEFERRED, "421 4.3.2 Shutting down", step, False)
    assert [letter.connection for letter in sink.letters] == [2]


@pytest.mark.parametrize("manner", [CUT, SILENCE])
@pytest.mark.parametrize(
    ("verb", "kind", "charged"),
    [
        ("MAIL", OutcomeKind.DEFERRED, False),
        ("RCPT", OutcomeKind.DEFERRED, False),
        ("DATA", OutcomeKind.DEFERRED, False),
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
    assert told(outcome) == (kind, f"{how} {step}", step, charged)
    assert recipients(sink) == ["RCPT TO:<ben@reader.example>"]


def test_a_kept_line_that_went_silent_is_replaced_and_the_letter_goes() -> None:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        return SILENCE if verb == "MAIL" and talk.accepted == 1 else None

    with ScriptedServer(script) as sink, connected(sink, reply_timeout=SHORT) as connection:
        kinds = [connection.send(reader, LETTER).kind for reader in (ANNA, BEN)]

    assert kinds == [OutcomeKind.ACCEPTED, OutcomeKind.ACCEPTED]
    assert [letter.connection for letter in sink.letters] == [1, 2]


@pytest.mark.long
def test_the_final_answer_is_waited_for_longer_than_the_others() -> None:
    """The server answers the dot only when the other answers' limit has passed."""
    slow = threading.Event()

    def script(talk: Talk, verb: str, line: str) -> str | None:
        if verb == ".":
            slow.wait(SHORT * 2)
        return None

    with ScriptedServer(script) as sink:
        with connected(sink, reply_timeout=SHORT, final_timeout=60) as connection:
            assert connection.send(ANNA, LETTER).kind is OutcomeKind.ACCEPTED
        with connected(sink, reply_timeout=SHORT, final_timeout=SHORT) as connection:
            assert connection.send(ANNA, LETTER).kind is OutcomeKind.UNKNOWN


def test_a_line_cut_while_the_letter_is_written_is_temporary() -> None:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        return "354 Go ahead\r\n" if verb == "DATA" else None

    class Hangup(ScriptedServer):
        def _take_letter(self, line: object, talk: Talk) -> bool:
            return False

    huge = b"Subject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * 400_000
    with Hangup(script) as sink, connected(sink) as connection:
        outcome = connection.send(ANNA, huge)

    words = "connection lost at the letter"
    assert told(outcome) == (OutcomeKind.DEFERRED, words, Step.WRITING, False)


def test_a_server_that_wants_an_account_first_charges_no_letter(offers: tuple[str, ...]) -> None:
    def script(talk: Talk, verb: str, line: str) -> str | None:
        return "530 5.7.0 Authentication required" if verb == "MAIL" else None

    with ScriptedServer(script, offers=offers) as sink, connected(sink) as connection:
        outcome = connection.send(ANNA, LETTER)

    words = "530 5.7.0 Authentication required"
    assert told(outcome) == (OutcomeKind.DEFERRED, words, Step.MAIL, False)
