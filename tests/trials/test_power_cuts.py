"""The power of a machine that sells, sends and takes uploads is cut: what was told to anybody stands,
letters keep to their bound, files are whole. It needs root; `make trials` runs it."""

import itertools
import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from tests.mail.scripted_server import ScriptedServer, Talk
from tests.serving import free_port
from tests.tables import Note

from . import power
from .ready import ReadyShop, ready_shop
from .shoppers import ServerGone, Shopper, wait_for_server
from .tally import POWER, Tally

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(power.missing()), reason=power.missing() or "it can be done here"),
]

CONNECTIONS, BUYERS = 4, 3
# Enough for a cut amid them each time.
FIRST_LETTERS, LETTERS_A_CUT = 400, 60
ROWS, FILES = "the disk, rows", "the disk, files"
KINDS = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
# With these a server says that it has what it has not.
CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_MOST_TRIES = 20


class Moment:
    """When the power goes: at the so-many-th order or letter that the shop tells anybody of."""

    def __init__(self) -> None:
        self.what, self.left = "", 0
        self.come, self.lock = threading.Event(), threading.Lock()

    def aim(self, what: str, count: int) -> None:
        """After so many."""
        self.come.clear()
        self.what, self.left = what, count

    def one_told(self, what: str) -> None:
        """The shop has told somebody something: one may rely on it."""
        with self.lock:
            self.left -= what == self.what
            if self.left == 0:
                self.come.set()

    def __call__(self, talk: Talk, verb: str, line: str) -> str | None:
        if verb == ".":
            self.one_told("letter")
        return None


@dataclass(frozen=True)
class Buyer(Shopper):
    """Remembers that the shop said that it has the order."""

    trial: "Trial | None" = field(default=None, compare=False)

    def _ask(self, method: str, path: str, *given: Any) -> str:
        answer = super()._ask(method, path, *given)
        if method == "POST" and self.trial is not None:
            self.trial.told.append(self.address)
            self.trial.moment.one_told("order")
        return answer


@dataclass
class Trial:
    """A shop on a disk whose power is cut again and again. `without` takes the waiting for it out."""

    disk: power.Disk
    outside: Path
    tally: Tally
    server: power.Server | None
    without: str = ""
    numbers: Iterator[int] = field(default_factory=itertools.count)
    moment: Moment = field(default_factory=Moment)
    is_on: bool = False
    told: list[str] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)
    uploads: int = 0
    broken: int = 0
    letters_missed: int = 0

    def run(self, cuts: int) -> None:
        """So many cuts, then the rest of the letters."""
        with ScriptedServer(self.moment) as self.sink:
            self.begin(FIRST_LETTERS + LETTERS_A_CUT * cuts)
            while self.tally.kills < cuts:
                self.one_cut()
            self.begins.append(len(self.sink.talks) + 1)
            with self._machine() as shop:
                self._look(shop)
                assert not shop.begin("send", connections=CONNECTIONS).ended()
                self._look(shop)
        self.tally.of = len(self.told)
        self._count_letters()

    def begin(self, letters: int = FIRST_LETTERS) -> None:
        """A shop that is set up and owes so many letters, all of it on the disk."""
        with self._machine() as shop:
            assert not shop.begin("begin on a disk", letters=letters).ended()
        os.sync()

    def one_cut(self) -> None:
        """A life of the machine, and what the next one finds."""
        chance, self.port = self.tally.chance, free_port()
        self.begins.append(len(self.sink.talks) + 1)
        with self._machine(is_cut=True) as shop:
            bind, told = f"127.0.0.1:{self.port}", str(self.outside / "uploaded")
            life = shop.begin("machine", connections=CONNECTIONS, bind=bind, told=told)
            wait_for_server(self.port)
            at = chance.choice(
                [("order", chance.randint(1, 8)), ("letter", chance.randint(1, 120))]
            )
            self.moment.aim(*at)
            self.is_on = True
            buyers = [threading.Thread(target=self._buy) for _ in range(BUYERS)]
            for buyer in buyers:
                buyer.start()
            assert self.moment.come.wait(power.PATIENCE_SECONDS), "nobody was told anything"
            time.sleep(chance.choice([0.0, chance.uniform(0.0, 0.03)]))
            self.disk.cut()
            self.is_on = False
            life.kill()
            for buyer in buyers:
                buyer.join()
            assert life.ended()
        self.tally.kills += 1
        with self._machine() as shop:
            self._look(shop)
        # Who died a moment ago may still be seen, and its letters are marked after the next cut only.
        assert self._marked() <= CONNECTIONS * self.tally.kills
        self._count()

    @contextmanager
    def _machine(self, *, is_cut: bool = False) -> Iterator[ReadyShop]:
        """The machine with its power on; afterwards its disk is in again."""
        settings: dict[str, Any] = {"mail_server": "127.0.0.1", "mail_port": self.sink.port}
        settings |= {"mail_connections": CONNECTIONS, "trusted_proxies": 1}
        if self.server is not None:
            self.server.start()
            settings["database_url"] = self.server.url
        if is_cut:
            settings["base_url"] = f"http://127.0.0.1:{self.port}"
        seams = {"without": self.without} if self.without else {}
        try:
            with ready_shop(self.disk.at / "shop", seams, **settings) as shop:
                yield shop
        finally:
            if self.server is not None:
                self.server.kill() if is_cut else self.server.stop()
        if is_cut:
            self.disk.take_out()
            self.disk.insert()

    def _buy(self) -> None:
        """One order after the other, until there is no answer any more."""
        while self.is_on:
            number = next(self.numbers)
            way = ("transfer", "free")[number % 2]
            # No answer, or one that says that nothing was done.
            with suppress(ServerGone, AssertionError, OSError):
                Buyer(way, number, self.port, "/publications/send-early-years", self).order()

    def _look(self, shop: ReadyShop) -> None:
        told = self.outside / "found.json"
        assert not shop.begin("look", told=str(told)).ended()
        self.found = json.loads(told.read_text())

    def _marked(self) -> int:
        return sum(twice for _, _, twice in self.found.get("letters", {}).values())

    def _count(self) -> None:
        """What was told to anybody, and is gone."""
        tally, orders = self.tally, self.found["orders"]
        tally.missed = sum(address not in orders for address in self.told)
        tally.half_done = sum(bool(orders.get(address)) for address in self.told)
        uploaded = (self.outside / "uploaded").read_text().split()
        self.uploads = len(uploaded)
        lost = set(uploaded) - set(self.found["uploaded"])
        self.broken += len(lost) + len(self.found["files"])

    def _count_letters(self) -> None:
        """Compare what came with what the shop says."""
        tally, letters = self.tally, self.found["letters"]
        copies: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for letter in self.sink.letters:
            message = message_from_bytes(letter.octets)
            life = sum(letter.connection >= first for first in self.begins)
            copies[message["Message-ID"]].append((life, message["To"]))
        twice = {name: found for name, found in copies.items() if len(found) > 1}
        of_row = {name: (status, is_twice) for status, name, is_twice in letters.values()}
        for status, name, _ in letters.values():
            self.letters_missed += status not in ("sent", "skipped") or name not in copies
        tally.other_ids = len(copies.keys() - of_row.keys())
        tally.doubled = sum(len(found) - 1 for found in twice.values())
        tally.marked = sum(
            len(found) - 1 for name, found in twice.items() if of_row.get(name, ("", False))[1]
        )
        at_cut = [
            sum(any(life == number for life, _ in sorted(found)[:-1]) for found in twice.values())
            for number in range(1, len(self.begins) + 1)
        ]
        tally.most_doubled = max(at_cut)

    def note(self, note: Note) -> None:
        """A row of the table."""
        tally = self.tally
        row: dict[str, object] = {"database": tally.database_url, "seed": tally.seed}
        row |= {"cuts": tally.kills, "orders told": tally.of, "lost": tally.missed}
        row |= {"half done": tally.half_done, "letters": len(self.found["letters"])}
        row |= {"missed": self.letters_missed}
        row |= {
            "doubled": tally.doubled,
            "marked": tally.marked,
            "most at one cut": tally.most_doubled,
        }
        note(POWER, row | {"uploads": self.uploads, "broken": self.broken})


@contextmanager
def _trial(folder: Path, kind: str, seed: int, without: str = "") -> Iterator[Trial]:
    outside = folder / "outside"
    outside.mkdir()
    (outside / "uploaded").touch()
    with power.a_disk() as disk:
        server = None
        if kind == "postgresql":
            server = power.Server(disk, free_port(), CARELESS if without == ROWS else {})
            server.make()
        tally = Tally("power", kind, seed)
        (disk.at / "shop").mkdir()
        yield Trial(disk, outside, tally, server, without)


@KINDS
def test_what_a_shop_has_told_anybody_stands_after_a_power_cut(
    tmp_path: Path, kind: str, seed: int, cuts: int, note: Note
) -> None:
    with _trial(tmp_path, kind, seed) as trial:
        trial.run(cuts)
        trial.note(note)
    trial.tally.check(most_doubled=CONNECTIONS)
    assert (trial.letters_missed, trial.broken) == (0, 0)
    assert trial.uploads > 0


@pytest.mark.usefixtures("cuts")
@KINDS
def test_control_without_waiting_for_the_disk_orders_are_lost(
    tmp_path: Path, kind: str, seed: int
) -> None:
    with _trial(tmp_path, kind, seed, ROWS) as trial, ScriptedServer(trial.moment) as trial.sink:
        trial.begin()
        assert _is_noticed(trial, lambda: trial.tally.missed > 0)


@pytest.mark.usefixtures("cuts")
def test_control_without_waiting_for_the_disk_files_are_broken(tmp_path: Path, seed: int) -> None:
    with (
        _trial(tmp_path, "sqlite", seed, FILES) as trial,
        ScriptedServer(trial.moment) as trial.sink,
    ):
        trial.begin()
        assert _is_noticed(trial, lambda: trial.broken > 0)


def _is_noticed(trial: Trial, is_seen: Callable[[], bool]) -> bool:
    """Whether one of the cuts shows it; a shop whose tables are broken does not open any more."""
    for _ in range(_MOST_TRIES):
        try:
            trial.one_cut()
        except AssertionError:
            return True
        if is_seen():
            return True
    return False
