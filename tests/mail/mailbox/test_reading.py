"""A mailbox of returned letters is read over IMAP: each message once, none lost, nothing deleted."""

import threading
from datetime import date

import pytest
import sqlalchemy as sa
from flask import Flask, current_app

from store import tasks
from store.kit import jobs
from store.kit.database import transaction
from store.mail import returned_mailbox
from store.mail.models import MailboxPlace
from store.mail.returned_mailbox import EVERY, read_returned
from tests.conftest import Clock, on_both, on_both_when_long
from tests.mail import messages
from tests.mail.messages import dsn
from tests.mail.reading import BOUNCED, UNTOUCHED, Begin, place
from tests.mail.returned import sent_edition, stand
from tests.races import PATIENCE_SECONDS, at_once


@on_both_when_long
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


@on_both_when_long
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
    assert "<0.262144>" in asked


@on_both
@pytest.mark.parametrize("is_guarded", [True, False])
def test_one_reads_at_a_time(
    shop: Begin, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    """Two hosts, or two threads of one; the control has no claim."""
    server = shop()
    server.put(dsn(sent_edition()))
    if not is_guarded:
        guarded = returned_mailbox._claim
        monkeypatch.setattr(returned_mailbox, "_claim", lambda one: guarded(one) or True)
    barrier = threading.Barrier(4)

    def read() -> None:
        barrier.wait(PATIENCE_SECONDS)
        read_returned()

    app = current_app._get_current_object()  # type: ignore[attr-defined]
    assert at_once(app, *[read] * 4) == []
    assert server.connections == (1 if is_guarded else 4)
    assert stand() == BOUNCED  # and whatever else happens, a report counts once


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
    assert (place().validity, place().uid) == (2, 2)
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
