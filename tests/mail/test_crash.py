"""A worker killed by kill -9 in real conversations: nobody is missed, doubles keep to the bound."""

import json
import random
import subprocess
import sys
import threading
import time
from collections import defaultdict
from email import message_from_bytes
from pathlib import Path

import pytest
import sqlalchemy as sa

from store.kit.database import db
from store.mail import worker
from store.mail.models import Delivery
from tests.conftest import on_both

from .scripted_server import ScriptedServer, Talk
from .shops import a_batch, a_shop, deliveries, owe_to, readers

CONNECTIONS = 4
ROOT = Path(__file__).parents[2]


class Killer:
    """A mail server's script that kills the worker at a chosen step of the conversation."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None
        self.steps_left = 0
        self.delay = 0.0
        self.lock = threading.Lock()

    def __call__(self, talk: Talk, verb: str, line: str) -> str | None:
        if verb == ".":
            time.sleep(0.002)  # a server that stores the letter before it answers
        with self.lock:
            self.steps_left -= 1
            if self.steps_left == 0 and self.child is not None:
                timer = threading.Timer(self.delay, self.child.kill)
                timer.start()
                timer.join()
        return None


class Trial:
    """Sends a batch with a worker that is killed again and again."""

    def __init__(self, database_url: str, folder: Path, *, careless: bool = False) -> None:
        self.database_url, self.folder = database_url, folder
        self.careless = "careless" if careless else ""
        self.killer = Killer()
        self.marked_at_each_kill: list[int] = []

    def run(self, people: list[str], moments: list[tuple[int, float]]) -> None:
        with ScriptedServer(self.killer) as sink:
            settings = {"mail_connections": CONNECTIONS}
            with a_shop(self.database_url, self.folder, sink.port, **settings):
                owe_to(*people, batch_id=a_batch())
                for steps, delay in moments:
                    self.one_life(sink.port, steps, delay)
                self.one_life(sink.port, 0, 0)
                self.marked = {to for to, row in deliveries().items() if row.is_possibly_twice}
                self.statuses = {str(row.status) for row in deliveries().values()}
                self.ids = {to: row.message_id for to, row in deliveries().items()}
            self.copies: dict[str, list[str]] = defaultdict(list)
            for letter in sink.letters:
                message = message_from_bytes(letter.octets)
                self.copies[message["To"]].append(message["Message-ID"])

    def one_life(self, port: int, steps: int, delay: float) -> None:
        settings = {
            "database_url": self.database_url,
            "base_url": "https://shop.example.org",
            "mail_server": "127.0.0.1",
            "mail_port": port,
            "mail_connections": CONNECTIONS,
        }
        self.killer.steps_left, self.killer.delay = 0, delay
        command = [sys.executable, "-m", "tests.mail.sending_worker", str(self.folder)]
        child = subprocess.Popen([*command, self.careless, json.dumps(settings)], cwd=ROOT)
        try:
            with self.killer.lock:
                self.killer.child, self.killer.steps_left = child, steps
            child.wait(60)
        finally:
            child.kill()
            child.wait()
        before = self.count_marked()
        worker.sweep()
        self.marked_at_each_kill.append(self.count_marked() - before)

    def count_marked(self) -> int:
        db.session.remove()
        query = sa.select(sa.func.count(Delivery.id)).where(Delivery.is_possibly_twice)
        count = db.session.scalar(query) or 0
        db.session.remove()
        return count

    @property
    def doubled(self) -> set[str]:
        return {to for to, ids in self.copies.items() if len(ids) > 1}


def random_moments(seed: int, kills: int, longest: int = 120) -> list[tuple[int, float]]:
    """After how many steps of a server's conversations, and how many seconds later."""
    chance = random.Random(seed)
    return [(chance.randint(5, longest), chance.choice([0, 0, 0.003])) for _ in range(kills)]


def check(trial: Trial, people: list[str]) -> None:
    assert set(trial.copies) == set(people), "nobody is missed"
    assert trial.statuses == {"sent"}
    assert max(trial.marked_at_each_kill) <= CONNECTIONS
    assert trial.doubled <= trial.marked
    for to, ids in trial.copies.items():
        assert set(ids) == {trial.ids[to]}, "every copy has the same Message-ID"


@on_both
def test_kill_9_misses_nobody_and_doubles_at_most_one_letter_per_connection(
    database_url: str, tmp_path: Path
) -> None:
    people = readers(200)
    trial = Trial(database_url, tmp_path)
    trial.run(people, random_moments(seed=1, kills=4))

    check(trial, people)
    assert sum(trial.marked_at_each_kill) > 0, "the worker was killed at work"


def test_control_without_the_mark_before_each_letter_the_bound_breaks(
    database_url: str, tmp_path: Path
) -> None:
    people = readers(200)
    trial = Trial(database_url, tmp_path, careless=True)
    trial.run(people, [(200, 0.0)])

    assert set(trial.copies) == set(people)
    assert len(trial.doubled) > CONNECTIONS
    assert not trial.doubled <= trial.marked


@pytest.mark.long
@pytest.mark.timeout(1800)
@on_both
def test_kill_9_at_many_moments(database_url: str, tmp_path: Path) -> None:
    people = readers(600)
    trial = Trial(database_url, tmp_path)
    trial.run(people, random_moments(seed=2, kills=40, longest=60))

    check(trial, people)
