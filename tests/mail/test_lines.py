"""A mail server that takes its time over one letter, or over all of a release, and what still leaves."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from flask import Flask

from store.mail import worker
from store.mail.lines import Place
from store.mail.models import PRIORITIES
from tests.conftest import Clock, on_both_when_long
from tests.serving import until

from .scripted_server import ScriptedServer, Talk
from .shops import a_batch, a_shop, deliveries, delivery, owe_to, readers, statuses
from .weather import reader_of

ANNA = "anna@reader.example"


@dataclass
class Thinker:
    """Answers the dot of some readers' letters only when it is told to."""

    over: Callable[[str], bool]
    awaited: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def __call__(self, talk: Talk, verb: str, line: str) -> str | None:
        who = reader_of(talk) if verb == "." else ""
        if who and self.over(who):
            self.awaited.append(who)
            assert self.done.wait(60)
        return None


@dataclass
class Hall:
    """A shop with its sink and as many workers as a test starts."""

    app: Flask
    sink: ScriptedServer
    thinker: Thinker
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, count: int) -> None:
        """So many bells ring at once."""

        def send() -> None:
            with self.app.app_context():
                worker.send_due_letters()

        begun = [threading.Thread(target=send) for _ in range(count)]
        for thread in begun:
            thread.start()
        self.threads += begun

    def end(self) -> None:
        self.thinker.done.set()
        for thread in self.threads:
            thread.join()

    def taken(self) -> list[str]:
        return [reader_of(Talk(0, rcpt=list(one.rcpt))) for one in self.sink.letters]


@contextmanager
def a_hall(url: str, folder: Path, over: Callable[[str], bool], connections: int) -> Iterator[Hall]:
    thinker = Thinker(over)
    with (
        ScriptedServer(thinker) as sink,
        a_shop(url, folder, sink.port, mail_connections=connections) as app,
    ):
        hall = Hall(app, sink, thinker)
        try:
            yield hall
        finally:
            hall.end()


def hang_release(hall: Hall, count: int) -> None:
    """A release of which every letter waits for its answer on all connections that carry it."""
    owe_to(*readers(40), batch_id=a_batch())
    hall.start(4)
    until(lambda: len(hall.thinker.awaited) == count, "all that carry a release wait")


@on_both_when_long
def test_a_release_that_hangs_delays_no_confirmation(
    database_url: str, tmp_path: Path, frozen: Clock
) -> None:
    with a_hall(database_url, tmp_path, lambda who: who != ANNA, connections=2) as hall:
        hang_release(hall, 2)
        owe_to(ANNA, priority=0)
        worker.send_due_letters()
        assert hall.taken() == [ANNA]
        assert worker.send_due_letters() == 0  # the line that is kept free begins no notice
        assert len(hall.thinker.awaited) == 2

        hall.end()
        worker.send_due_letters()
        assert Counter(hall.taken()) == Counter([ANNA, *readers(40)])
        assert len(hall.sink.talks) <= 3


def test_control_without_a_line_that_is_kept_free_it_waits(
    database_url: str, tmp_path: Path, frozen: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Place, "carries", PRIORITIES)
    with a_hall(database_url, tmp_path, lambda who: who != ANNA, connections=2) as hall:
        hang_release(hall, 3)
        owe_to(ANNA, priority=0)
        assert worker.send_due_letters() == 0
        assert hall.taken() == []


def test_a_shop_with_one_connection_opens_another_only_for_who_waits(
    database_url: str, tmp_path: Path, frozen: Clock
) -> None:
    with a_hall(database_url, tmp_path, lambda who: who != ANNA, connections=1) as hall:
        owe_to(*readers(3), batch_id=a_batch())
        hall.start(4)
        until(lambda: len(hall.thinker.awaited) == 1, "the first letter is awaited")
        until(lambda: sum(one.is_alive() for one in hall.threads) == 1, "others have nothing to do")
        assert len(hall.sink.talks) == 1
        owe_to(ANNA, priority=0)
        assert worker.send_due_letters() == 1
        assert hall.taken() == [ANNA]
        [_, other] = hall.sink.talks
        assert other.commands[-1].upper() == "QUIT"


def test_what_somebody_waits_for_goes_first(
    database_url: str, tmp_path: Path, frozen: Clock
) -> None:
    with a_hall(database_url, tmp_path, lambda _: False, connections=1) as hall:
        owe_to(*readers(3), batch_id=a_batch())
        owe_to(ANNA, priority=0)
        assert worker.send_due_letters() == 4
        assert hall.taken()[0] == ANNA
        assert len(hall.sink.talks) == 1


@on_both_when_long
def test_a_server_silent_after_one_letter_holds_one_connection_and_no_other_letter(
    database_url: str, tmp_path: Path, frozen: Clock
) -> None:
    slow, others = readers(1)[0], readers(120)[1:]
    with a_hall(database_url, tmp_path, lambda who: who == slow, connections=3) as hall:
        owe_to(slow, *others, batch_id=a_batch())
        hall.start(1)
        until(lambda: hall.thinker.awaited == [slow], "one letter is awaited")
        worker.send_due_letters()
        behind = {who for who, row in deliveries().items() if row.status == "queued"}
        assert behind  # what its connection has claimed waits behind it

        frozen.advance(seconds=61)
        worker.sweep()
        worker.send_due_letters()
        assert statuses() == {"sending": 1, "sent": 119}

        hall.end()
        worker.send_due_letters()
        assert Counter(hall.taken()) == Counter([slow, *others])
        assert (delivery(slow).status, delivery(slow).is_possibly_twice) == ("sent", False)
