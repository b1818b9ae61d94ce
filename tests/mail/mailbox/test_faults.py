"""What goes wrong with a mailbox is put off, made good, told once, and gives no password away."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from store.cli import main
from store.kit.database import db
from store.mail import imap, returned_mailbox
from store.mail.imap import MailboxServer
from store.mail.models import Delivery
from store.mail.returned_mailbox import mailbox_server, read_returned
from tests.conftest import SECRET, Clock, on_both_when_long
from tests.mail import messages
from tests.mail.imap_server import CUT, PASSWORD, SILENCE
from tests.mail.messages import dsn
from tests.mail.reading import BOUNCED, UNTOUCHED, Begin, place, url_of
from tests.mail.returned import sent_edition, stand


def _alerts() -> list[Delivery]:
    db.session.rollback()
    return list(db.session.scalars(sa.select(Delivery).where(Delivery.kind == "staff_alert")))


def test_the_password_goes_to_nobody_else(
    shop: Begin, monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    """Neither to a server that nobody vouches for, nor in the clear."""
    server = shop()
    monkeypatch.delenv("SSL_CERT_FILE")
    read_returned()
    assert "certificate is not trusted" in place().fault
    assert server.commands == []


def test_nothing_goes_in_the_clear(shop: Begin) -> None:
    server = shop(is_tls=False, script=lambda verb, line: "BAD no" if verb == "STARTTLS" else None)
    read_returned()
    assert place().fault.startswith("STARTTLS command error")
    assert server.verbs() == ["CAPABILITY", "STARTTLS"]


@on_both_when_long
def test_staff_are_told_once_of_a_mailbox_that_cannot_be_read(
    shop: Begin, frozen: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    refusals = iter(["NO [AUTHENTICATIONFAILED] " + PASSWORD] * 40)
    server = shop(script=lambda verb, line: next(refusals, None) if "AUTH" in verb else None)
    message_id = sent_edition()
    server.put(dsn(message_id))
    tried = 0
    for _ in range(120):
        before = server.connections
        read_returned()
        tried += server.connections - before
        frozen.advance(minutes=1)
        if tried <= 3:
            assert not _alerts()  # a server may be away for a while
    assert 8 <= tried <= 12  # less and less often
    (alert,) = _alerts()
    assert alert.facts is not None
    assert "STORE_BOUNCE_IMAP" in alert.facts["text"]
    assert "AUTHENTICATIONFAILED" in alert.facts["text"]
    said = f"{alert.facts}{place().fault}{caplog.text}"
    assert "hunter2" not in said
    assert stand() == UNTOUCHED
    # Mended: all that had come is read, and the next fault is told again.
    refusals = iter(())
    frozen.advance(minutes=20)
    read_returned()
    assert stand() == BOUNCED
    assert (place().faults, place().fault, place().first_failed_at) == (0, "", None)


@pytest.mark.parametrize("verb", ["AUTHENTICATE", "SELECT", "UID SEARCH", "UID FETCH"])
@pytest.mark.parametrize(
    "answer", [SILENCE, CUT, "NO not now", "BAD what", "OK", "x\r\n* 1 FETCH ("]
)
def test_a_fault_anywhere_is_put_off_and_made_good(
    shop: Begin, frozen: Clock, monkeypatch: pytest.MonkeyPatch, verb: str, answer: str
) -> None:
    said = iter([answer])
    server = shop(script=lambda asked, line: next(said, None) if asked == verb else None)
    message_id = sent_edition()
    server.put(messages.out_of_office(message_id))
    server.put(dsn(message_id))
    with monkeypatch.context() as patch:
        impatient(patch)
        read_returned()
    assert next(said, None) is None, "the fault was met"
    frozen.advance(minutes=3)
    read_returned()
    assert stand() == BOUNCED


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = mailbox_server

    def server() -> MailboxServer | None:
        found = usual()
        return replace(found, timeout=0.3) if found else None

    monkeypatch.setattr(returned_mailbox, "mailbox_server", server)


@on_both_when_long
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_crash_repeats_and_loses_nothing(
    shop: Begin, frozen: Clock, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    server = shop()
    message_id = sent_edition()
    server.put(dsn(message_id))
    server.put(messages.out_of_office(message_id))

    class Crash(BaseException):
        pass

    def crash(*given: object) -> bool:
        raise Crash

    with monkeypatch.context() as patch:
        if where == "before":
            patch.setattr(returned_mailbox, "take_message", crash)
        else:
            patch.setattr(imap.OpenMailbox, "mark_read", crash)
        with pytest.raises(Crash):
            read_returned()
    assert stand() == (UNTOUCHED if where == "before" else BOUNCED)
    frozen.advance(minutes=5)
    read_returned()  # the reader that died may still be reading, for all that is known
    assert server.connections == 1
    frozen.advance(minutes=6)
    read_returned()
    assert stand() == BOUNCED
    fetched = server.verbs().count("UID FETCH")
    assert fetched == (3 if where == "before" else 2)


def test_one_message_that_the_shop_stumbles_over_keeps_no_other(
    shop: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = shop()
    message_id = sent_edition()
    server.put(dsn("<" + "0" * 40 + "@shop.example.org>"))
    server.put(dsn(message_id))
    usual, first = returned_mailbox.take_message, iter([True])

    def take(report: object) -> bool:
        if next(first, False):
            raise ValueError("a NUL, or whatever else")
        return usual(report)  # type: ignore[arg-type]

    monkeypatch.setattr(returned_mailbox, "take_message", take)
    read_returned()
    assert stand() == BOUNCED
    assert server.read() == [2]


@pytest.mark.parametrize("is_right", [True, False])
def test_store_check_tries_the_mailbox(shop: Begin, tmp_path: Path, is_right: bool) -> None:
    server = shop()
    server.put(b"Subject: hello\n\n")
    environment = {
        "STORE_ENV": "testing",
        "STORE_SECRET_KEY": SECRET,
        "STORE_DATA_DIR": str(tmp_path),
        "STORE_BOUNCE_IMAP": url_of(server).replace(
            "hunter2", "hunter2" if is_right else "hunter3"
        ),
    }
    said = CliRunner().invoke(main, ["check"], env=environment).output
    (line,) = [one for one in said.splitlines() if " returned mail: " in one]
    if is_right:
        assert line == "ok     returned mail: 127.0.0.1 answers, INBOX has 1 message"
    else:
        refused = "the sign-in was refused: [AUTHENTICATIONFAILED]"
        assert line.startswith("fault  returned mail: The mailbox cannot be read now: ")
        assert refused in line
    assert "hunter" not in said
    assert set(server.verbs()) <= {"CAPABILITY", "AUTHENTICATE", "SELECT", "LOGOUT"}
