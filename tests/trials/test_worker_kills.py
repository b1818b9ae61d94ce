"""A worker killed by kill -9 in real conversations: nobody is missed, doubles keep to the bound."""

import threading
import time
from collections import defaultdict
from contextlib import ExitStack
from email import message_from_bytes
from pathlib import Path

import pytest
import sqlalchemy as sa

from store.kit.database import db
from store.mail import worker
from store.mail.models import Delivery
from tests.conftest import on_both, on_both_when_long
from tests.mail.scripted_server import ScriptedServer, Talk
from tests.mail.shops import a_batch, a_shop, deliveries, owe_to, readers
from tests.tables import Note

from .ready import Life, ready_shop
from .tally import Tally

CONNECTIONS = 4
MOST_STEPS = 80
AT_ONCE = 300


class Killer:
    """A mail server's script that kills the worker at a chosen step of the conversation."""

    def __init__(self) -> None:
        self.life: Life | None = None
        self.steps_left = 0
        self.seconds = 0.0
        self.lock = threading.Lock()

    def aim(self, life: Life, steps: int, seconds: float) -> None:
        """Kill this one after so many steps, and so much later."""
        with self.lock:
            self.life, self.steps_left, self.seconds = life, steps, seconds

    def __call__(self, talk: Talk, verb: str, line: str) -> str | None:
        if verb == ".":
            time.sleep(0.002)  # a server that stores the letter before it answers
        with self.lock:
            self.steps_left -= 1
            if self.steps_left == 0 and self.life is not None:
                if self.seconds:
                    threading.Timer(self.seconds, self.life.kill).start()
                else:
                    self.life.kill()
        return None


class Trial:
    """Sends a batch with a worker that is killed again and again."""

    def __init__(self, database_url: str, folder: Path, seed: int, without: str = "") -> None:
        self.database_url, self.folder = database_url, folder
        self.tally = Tally("worker", database_url, seed)
        self.seams = {"without": without} if without else {}
        self.killer = Killer()
        self.begins: list[int] = []  # the first connection of each life
        self.marked_at: list[int] = []

    def run(self, kills: int, first: int = 0, most: int = MOST_STEPS) -> None:
        """Let so many be killed, the first after so many steps where it is said, then send all."""
        settings = {
            "database_url": self.database_url,
            "base_url": "https://shop.example.org",
            "mail_server": "127.0.0.1",
            "mail_connections": CONNECTIONS,
        }
        with ExitStack() as stack:
            self.sink = stack.enter_context(ScriptedServer(self.killer))
            settings["mail_port"] = self.sink.port
            shop = a_shop(self.database_url, self.folder, self.sink.port)
            stack.enter_context(shop)
            self.ready = stack.enter_context(ready_shop(self.folder, self.seams, **settings))
            self.batch_id = a_batch()
            while self.tally.kills < kills:
                self._owe_more()
                self._one_life(first or self.tally.chance.randint(1, most))
            self._one_life(0)
            self._count()

    def _owe_more(self) -> None:
        if self._how_many(Delivery.status == "queued") < AT_ONCE // 2:
            self.tally.of += AT_ONCE
            owe_to(*readers(self.tally.of)[-AT_ONCE:], batch_id=self.batch_id)

    def _one_life(self, steps: int) -> None:
        seconds = self.tally.chance.choice([0.0, 0.0, self.tally.chance.uniform(0.0, 0.004)])
        self.begins.append(len(self.sink.talks) + 1)
        self.killer.steps_left = 0
        life = self.ready.begin("send", connections=CONNECTIONS)
        self.killer.aim(life, steps, seconds)
        self.tally.kills += life.ended()
        before = self._how_many(Delivery.is_possibly_twice)
        worker.sweep()
        self.marked_at.append(self._how_many(Delivery.is_possibly_twice) - before)

    def _how_many(self, which: sa.ColumnElement[bool]) -> int:
        db.session.remove()
        count = db.session.scalar(sa.select(sa.func.count(Delivery.id)).where(which)) or 0
        db.session.remove()
        return count

    def _count(self) -> None:
        """Compare what came with what the shop says."""
        tally, rows = self.tally, deliveries()
        copies: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for letter in self.sink.letters:
            message = message_from_bytes(letter.octets)
            life = sum(letter.connection >= first for first in self.begins)
            copies[message["To"]].append((life, message["Message-ID"]))
        twice = {to: found for to, found in copies.items() if len(found) > 1}
        at_kill = [
            sum(any(life == number for life, _ in sorted(found)[:-1]) for found in twice.values())
            for number in range(1, len(self.begins) + 1)
        ]
        tally.missed = sum(to not in copies or row.status != "sent" for to, row in rows.items())
        tally.doubled = sum(len(found) - 1 for found in twice.values())
        tally.most_doubled = max(*at_kill, *self.marked_at)
        tally.marked = sum(
            len(found) - 1 for to, found in twice.items() if rows[to].is_possibly_twice
        )
        tally.other_ids = sum(
            {name for _, name in found} != {rows[to].message_id} for to, found in copies.items()
        )


@on_both_when_long
def test_kill_9_misses_nobody_and_doubles_at_most_one_letter_per_connection(
    database_url: str, tmp_path: Path, seed: int
) -> None:
    trial = Trial(database_url, tmp_path, seed)
    trial.run(kills=5)

    trial.tally.check(most_doubled=CONNECTIONS)
    assert sum(trial.marked_at) > 0, "the worker was killed at work"


@pytest.mark.long
def test_control_without_the_mark_before_each_letter_the_bound_breaks(
    database_url: str, tmp_path: Path, seed: int
) -> None:
    trial = Trial(database_url, tmp_path, seed, without="marks")
    trial.run(kills=1, first=200)

    assert trial.tally.missed == 0
    assert trial.tally.most_doubled > CONNECTIONS
    assert trial.tally.marked < trial.tally.doubled


@pytest.mark.long
@pytest.mark.timeout(1800)
@on_both
def test_kill_9_at_many_moments(
    database_url: str, tmp_path: Path, seed: int, kills: int, note: Note
) -> None:
    trial = Trial(database_url, tmp_path, seed)
    trial.run(kills)

    trial.tally.note(note)
    trial.tally.check(most_doubled=CONNECTIONS)
