"""A mailbox of returned letters is read over IMAP: each message once, none lost, nothing deleted."""

import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask

from store import tasks
from store.app import create_app
from store.cli import main
from store.kit import jobs
from store.kit.database import db, transaction
from store.mail import imap, returned_mailbox
from store.mail.imap import MailboxServer
from store.mail.models import Delivery, DeliveryStatus, MailboxPlace
from store.mail.returned_mailbox import EVERY, mailbox_server, read_returned
from tests.conftest import SECRET, Clock, make_settings, on_both
from tests.mail import messages
from tests.mail.certificates import make_certificate
from tests.mail.imap_server import CUT, PASSWORD, SILENCE, USER, ImapServer
from tests.mail.messages import dsn
from tests.mail.returned import Stand, sent_edition, stand

UNTOUCHED = Stand(DeliveryStatus.SENT, [], 0, 0)
BOUNCED = Stand(DeliveryStatus.BOUNCED, [messages.ANNA], 1, 1)

Begin = Callable[..., ImapServer]


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
            settings = make_settings(tmp_path, database_url=database_url, bounce_imap=_url(server))
            app = create_app(settings)
            stack.enter_context(app.app_context())
            return server

        yield begin
        db.session.remove()
        db.engine.dispose()


def _url(server: ImapServer) -> str:
    user = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
    return f"{'imaps' if server.is_tls else 'imap'}://{user}@127.0.0.1:{server.port}/"


def _place() -> MailboxPlace:
    db.session.rollback()
    return db.session.scalars(
        sa.select(MailboxPlace).execution_options(populate_existing=True)
    ).one()


def _alerts() -> list[Delivery]:
    db.session.rollback()
    return list(db.session.scalars(sa.select(Delivery).where(Delivery.kind == "staff_alert")))


@on_both
def test_what_came_back_is_taken_once_and_marked_as_read(shop: Begin, frozen: Clock) -> None:
    server = shop()
    message_id = sent_edition()
    server.put(messages.out_of_office(message_id))
    server.put(dsn(message_id, action="delayed", status="4.4.1"))
    report = server.put(dsn(message_id))
    server.put(b"From: anna@reader.example\nSubject: Thank you\n\nIt is lovely.")
    read_returned()
    assert stand() == BOUNCED
    assert server.read() == [report]  # whatever else there is waits for a person
    # The same report once more, and then nothing new.
    server.put(dsn(message_id).replace(b"\r\n", b"\n"))
    for _ in range(2):
        frozen.advance(minutes=3)
        read_returned()
    assert stand() == BOUNCED
    assert server.verbs().count("UID FETCH") == 5
    assert len(server.messages) == 5
    assert {verb for verb in server.verbs() if verb.startswith("UID")} == {
        "UID SEARCH",
        "UID FETCH",
        "UID STORE",
    }


@pytest.mark.parametrize(
    "given",
    [
        {"is_tls": False},
        {"offers": ""},
        {"is_tls": False, "offers": "LOGINDISABLED AUTH=PLAIN"},
        {"is_read_only": True},
    ],
)
def test_servers_of_any_kind_are_read(shop: Begin, given: dict[str, object]) -> None:
    server = shop(**given)
    server.put(dsn(sent_edition()))
    read_returned()
    assert stand() == BOUNCED
    assert server.read() == ([] if server.is_read_only else [1])


def test_the_password_goes_to_nobody_else(
    shop: Begin, monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    """Neither to a server that nobody vouches for, nor in the clear."""
    server = shop()
    monkeypatch.delenv("SSL_CERT_FILE")
    read_returned()
    assert "certificate is not trusted" in _place().fault
    assert server.commands == []


def test_nothing_goes_in_the_clear(shop: Begin) -> None:
    server = shop(is_tls=False, script=lambda verb, line: "BAD no" if verb == "STARTTLS" else None)
    read_returned()
    assert "STARTTLS" in _place().fault or "TLS" in _place().fault
    assert set(server.verbs()) <= {"CAPABILITY", "STARTTLS", "LOGOUT"}


@on_both
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
    said = f"{alert.facts}{_place().fault}{caplog.text}"
    assert "hunter2" not in said
    assert stand() == UNTOUCHED
    # Mended: all that had come is read, and the next fault is told anew.
    refusals = iter(())
    frozen.advance(minutes=20)
    read_returned()
    assert stand() == BOUNCED
    assert (_place().faults, _place().fault, _place().first_failed_at) == (0, "", None)


@pytest.mark.parametrize("verb", ["AUTHENTICATE", "SELECT", "UID SEARCH", "UID FETCH"])
@pytest.mark.parametrize(
    "answer", [SILENCE, CUT, "NO not now", "BAD what", "OK", "x\r\n* 1 FETCH ("]
)
def test_a_fault_anywhere_is_put_off_and_made_good(
    shop: Begin, frozen: Clock, monkeypatch: pytest.MonkeyPatch, verb: str, answer: str
) -> None:
    said = iter([answer])
    server = shop(script=lambda asked, line: next(said, None) if asked == verb else None)
    impatient(monkeypatch)
    message_id = sent_edition()
    server.put(messages.out_of_office(message_id))
    server.put(dsn(message_id))
    for _ in range(2):
        read_returned()
        frozen.advance(minutes=3)
    assert stand() == BOUNCED


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = mailbox_server

    def server() -> MailboxServer | None:
        found = usual()
        return replace(found, timeout=0.3) if found else None

    monkeypatch.setattr(returned_mailbox, "mailbox_server", server)


@on_both
def test_a_long_mailbox_is_read_in_pieces(
    shop: Begin, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(returned_mailbox, "MOST_MESSAGES", 3)
    rung: list[str] = []
    monkeypatch.setattr(jobs, "ring", lambda name, *ids: rung.append(name))
    server = shop()
    message_id = sent_edition()
    rung.clear()
    for _ in range(6):
        server.put(messages.out_of_office(message_id))
    server.put(dsn(message_id))
    for fetched, bells in ((3, 1), (6, 2), (7, 2), (7, 2)):
        read_returned()  # at once: who has more to read waits for nothing
        assert (server.verbs().count("UID FETCH"), len(rung)) == (fetched, bells)
    assert stand() == BOUNCED
    assert set(rung) == {"read_returned"}


def test_of_a_large_message_a_little_is_fetched(shop: Begin) -> None:
    server = shop()
    huge = dsn(sent_edition()).replace(b"Edition 2 of your copy", b"x" * 20_000_000)
    server.put(huge)
    read_returned()
    assert stand() == BOUNCED
    (asked,) = [line for line in server.commands if " FETCH " in line]
    assert "<0.65536>" in asked


@on_both
@pytest.mark.parametrize("is_guarded", [True, False])
def test_one_reads_at_a_time(
    shop: Begin, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    """Two hosts, or two threads of one; the control has no claim."""
    server = shop()
    server.put(dsn(sent_edition()))
    app = db.session.get_bind() and _current()
    if not is_guarded:
        guarded = returned_mailbox._claim
        monkeypatch.setattr(returned_mailbox, "_claim", lambda one: guarded(one) or True)
    barrier, failed = threading.Barrier(4), list[Exception]()

    def read() -> None:
        with app.app_context():
            barrier.wait(10)
            try:
                read_returned()
            except Exception as fault:
                failed.append(fault)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert (server.connections == 1) is is_guarded
    assert stand() == BOUNCED  # and whatever else happens, a report counts once


def _current() -> Flask:
    from flask import current_app

    return current_app._get_current_object()  # type: ignore[attr-defined,no-any-return]


def test_messages_that_are_numbered_anew_change_nothing(shop: Begin, frozen: Clock) -> None:
    server = shop()
    message_id = sent_edition()
    server.put(messages.out_of_office(message_id))
    server.put(dsn(message_id))
    read_returned()
    del server.messages[1]
    server.number_anew()
    server.put(b"Subject: hello\n\n")
    frozen.advance(minutes=3)
    read_returned()
    assert server.verbs().count("UID FETCH") == 4
    assert (_place().validity, _place().uid) == (2, 2)
    assert stand() == BOUNCED


def test_the_first_time_only_what_came_lately_is_read(shop: Begin) -> None:
    server = shop()
    message_id = sent_edition()
    server.put(dsn(message_id), date(2025, 3, 1))
    lately = server.put(messages.out_of_office(message_id), date(2027, 2, 20))
    read_returned()
    assert [line.split()[3] for line in server.commands if " FETCH " in line] == [str(lately)]
    assert stand() == UNTOUCHED


def test_people_may_read_and_delete_there(shop: Begin, frozen: Clock) -> None:
    server = shop()
    message_id = sent_edition()
    server.put(messages.out_of_office(message_id))
    read_returned()
    gone = server.put(b"Subject: gone\n\n")
    server.messages[server.put(dsn(message_id))].flags.add("\\Seen")
    usual = server.script

    def script(verb: str, line: str) -> str | None:
        if verb == "UID FETCH":
            server.messages.pop(gone, None)  # between the question and the reading
        return usual(verb, line)

    server.script = script
    frozen.advance(minutes=3)
    read_returned()
    assert stand() == BOUNCED


@on_both
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
            patch.setattr(returned_mailbox, "take_report", crash)
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
    usual, first = returned_mailbox.take_report, iter([True])

    def take(report: object) -> bool:
        if next(first, False):
            raise ValueError("a NUL, or whatever else")
        return usual(report)  # type: ignore[arg-type]

    monkeypatch.setattr(returned_mailbox, "take_report", take)
    read_returned()
    assert stand() == BOUNCED
    assert server.read() == [2]


def test_the_timetable_rings_where_the_mailbox_is_due(
    shop: Begin, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = shop()
    rung: list[str] = []
    monkeypatch.setattr(jobs, "ring", lambda name, *ids: rung.append(name))
    assert returned_mailbox.wake_when_due in tasks.TIMETABLE
    returned_mailbox.wake_when_due()
    assert rung == ["read_returned"]
    read_returned()
    returned_mailbox.wake_when_due()
    assert rung == ["read_returned"]
    frozen.advance(seconds=EVERY.seconds)
    returned_mailbox.wake_when_due()
    assert rung == ["read_returned"] * 2
    assert server.connections == 1


def test_where_no_mailbox_is_set_nothing_is_asked(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "ring", lambda name, *ids: pytest.fail(name))
    returned_mailbox.wake_when_due()
    read_returned()
    with transaction() as session:
        assert session.scalar(sa.select(sa.func.count(MailboxPlace.id))) == 0


@pytest.mark.parametrize("is_right", [True, False])
def test_store_check_tries_the_mailbox(shop: Begin, tmp_path: Path, is_right: bool) -> None:
    server = shop()
    server.put(b"Subject: hello\n\n")
    environment = {
        "STORE_ENV": "testing",
        "STORE_SECRET_KEY": SECRET,
        "STORE_DATA_DIR": str(tmp_path),
        "STORE_BOUNCE_IMAP": _url(server).replace("hunter2", "hunter2" if is_right else "hunter3"),
    }
    said = CliRunner().invoke(main, ["check"], env=environment).output
    (line,) = [one for one in said.splitlines() if " returned mail: " in one]
    if is_right:
        assert line == "ok     returned mail: 127.0.0.1 answers, INBOX has 1 message"
    else:
        refused = "the sign-in was refused: [AUTHENTICATIONFAILED]"
        assert line.startswith("fault  returned mail: MailboxUnavailable: ")
        assert refused in line
    assert "hunter" not in said
    assert set(server.verbs()) <= {"CAPABILITY", "AUTHENTICATE", "SELECT", "LOGOUT"}
