"""Two machines share one outbox: neither takes a letter from the other, whatever its clock shows."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from store.catalog.models import Edition
from store.kit import clock
from store.kit.database import db, transaction
from store.mail.claims import LEASE
from store.mail.models import Attempt, Batch, Delivery
from store.mail.outbox import SOMEBODY_WAITS
from tests.conftest import on_both, on_postgresql
from tests.mail.scripted_server import ScriptedServer, Talk
from tests.mail.shops import a_shop, deliveries, owe_to, readers

from .editions_due import a_shop_with_readers, owed, scheduled
from .ready import Life, ReadyShop, ready_shop

DAY = 86_400
A_DAY = timedelta(seconds=DAY)
CONNECTIONS = 2
OWED = 40
APART = [(0, DAY), (0, 60), (60, 0), (0, -DAY), (DAY, 0), (-DAY, 0)]

pytestmark = pytest.mark.long


class Sink:
    """A mail server that may keep workers waiting for its answer to the dot."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.answers.set()
        self.kept_waiting = threading.Semaphore(0)
        self.server = ScriptedServer(self._say)

    def _say(self, talk: Talk, verb: str, line: str) -> None:
        if verb == ".":
            self.kept_waiting.release()
            self.answers.wait(60)

    def wait_for(self, letters: int) -> None:
        """Until so many letters wait for their answer."""
        for _ in range(letters):
            assert self.kept_waiting.acquire(timeout=60)

    def received(self) -> "Counter[str]":
        """How many letters came to each address."""
        return Counter(message_from_bytes(one.octets)["To"] for one in self.server.letters)


@contextmanager
def hosts(
    url: str, folder: Path, *ahead: int, without: str = "", names: tuple[str, str] = ("one", "two")
) -> Iterator[tuple[Sink, list[ReadyShop]]]:
    """A mail server and two machines whose clocks are so many seconds ahead."""
    sink = Sink()
    guard = {"without": without} if without else {}
    with ExitStack() as stack:
        stack.enter_context(sink.server)
        stack.enter_context(a_shop(url, folder, sink.server.port))
        settings: dict[str, Any] = {
            "database_url": url,
            "base_url": "https://shop.example.org",
            "mail_server": "127.0.0.1",
            "mail_port": sink.server.port,
            "mail_connections": CONNECTIONS,
        }
        seams = [
            {"host": name, "ahead": seconds} | guard
            for name, seconds in zip(names, ahead, strict=True)
        ]
        yield sink, [stack.enter_context(ready_shop(folder, one, **settings)) for one in seams]
        sink.answers.set()


def _owe() -> None:
    """Due for so long that every clock says so; somebody waits, so that every line sends them."""
    given = {"due_at": clock.now() - timedelta(days=3), "priority": SOMEBODY_WAITS}
    owe_to(*readers(OWED), **given)


def _letters() -> dict[str, Delivery]:
    return {address: row for address, row in deliveries().items() if address in readers(OWED)}


def _send(host: ReadyShop) -> Life:
    return host.begin("send", connections=CONNECTIONS)


def end_leases() -> None:
    """Time goes by: what is claimed now was claimed longer ago than a claim lasts."""
    _let_pass(LEASE + clock.MINUTE)


def _let_pass(time: timedelta, *statuses: str) -> None:
    which = Delivery.status.in_(statuses or ("queued", "sending"))
    claimed = sa.select(Delivery).where(Delivery.claimed_at.is_not(None), which)
    with transaction() as session:
        for row in session.scalars(claimed):
            assert row.claimed_at is not None
            row.claimed_at -= time


@on_postgresql
@pytest.mark.parametrize(
    ("senders", "others"),
    APART,
)
def test_what_another_host_sends_is_left_to_it_whatever_the_clocks_show(
    database_url: str, tmp_path: Path, senders: int, others: int
) -> None:
    with hosts(database_url, tmp_path, senders, others) as (sink, (sender, other)):
        _owe()
        sink.answers.clear()
        life = _send(sender)
        sink.wait_for(CONNECTIONS)
        other.begin("tick").ended()

        assert sum(row.status == "sending" for row in _letters().values()) == CONNECTIONS
        sink.answers.set()
        assert not life.ended()
        assert Counter(readers(OWED)) == sink.received()
        assert not any(row.is_possibly_twice for row in _letters().values())


@on_postgresql
@pytest.mark.parametrize(("senders", "others"), [(0, DAY), (-DAY, 0)])
def test_control_by_clocks_of_their_own_one_host_takes_letters_from_the_other(
    database_url: str, tmp_path: Path, senders: int, others: int
) -> None:
    guard = "the shared clock"
    with hosts(database_url, tmp_path, senders, others, without=guard) as (sink, (sender, other)):
        _owe()
        sink.answers.clear()
        life = _send(sender)
        sink.wait_for(CONNECTIONS)
        other.begin("tick").ended()

        assert sum(row.is_possibly_twice for row in _letters().values()) == CONNECTIONS
        sink.answers.set()
        life.ended()


@on_postgresql
@pytest.mark.parametrize("ahead", [DAY, 60, -DAY])
def test_a_host_that_dies_leaves_its_letters_to_the_other_when_its_claims_end(
    database_url: str, tmp_path: Path, ahead: int
) -> None:
    with hosts(database_url, tmp_path, ahead, 0) as (sink, (dying, other)):
        _owe()
        sink.answers.clear()
        life = _send(dying)
        sink.wait_for(CONNECTIONS)
        life.kill()
        assert life.ended()
        sink.answers.set()
        other.begin("tick").ended()
        under_way = [to for to, row in _letters().items() if row.status == "sending"]
        assert len(under_way) == CONNECTIONS, "nobody else can say that it is dead"

        end_leases()
        _send(other).ended()

        rows, received = _letters(), sink.received()
        assert {f"{row.status} {row.reason}".strip() for row in rows.values()} == {"sent"}
        assert set(received) == set(readers(OWED))
        assert {to for to, count in received.items() if count > 1} <= set(under_way)
        assert {to for to, row in rows.items() if row.is_possibly_twice} == set(under_way)


@on_postgresql
def test_control_by_its_own_clock_a_dead_host_a_day_ahead_keeps_its_letters_for_a_day(
    database_url: str, tmp_path: Path
) -> None:
    guard = "the shared clock"
    with hosts(database_url, tmp_path, DAY, 0, without=guard) as (sink, (dying, other)):
        _owe()
        sink.answers.clear()
        life = _send(dying)
        sink.wait_for(CONNECTIONS)
        life.kill()
        life.ended()
        sink.answers.set()
        end_leases()
        _send(other).ended()

        assert sum(row.status == "sending" for row in _letters().values()) == CONNECTIONS


@pytest.mark.parametrize(
    ("database_url", "ahead"),
    # SQLite's processes are on one machine, but may be in containers of other names.
    [("sqlite", 0), ("postgresql", 60), ("postgresql", -60)],
    indirect=["database_url"],
)
def test_what_a_host_claimed_and_never_began_is_free_two_minutes_after_it_died(
    database_url: str, tmp_path: Path, ahead: int
) -> None:
    with hosts(database_url, tmp_path, ahead, 0) as (sink, (dying, other)):
        _owe()
        assert dying.begin("take", connections=CONNECTIONS).ended()
        other.begin("tick").ended()
        claimed = [to for to, row in _letters().items() if row.claimed_by]
        assert claimed, "a host that lives may have claimed them a moment ago"

        _let_pass(timedelta(minutes=2))
        other.begin("tick").ended()
        _send(other).ended()

        assert Counter(readers(OWED)) == sink.received()
        assert not any(row.is_possibly_twice for row in _letters().values())


@on_both
def test_control_without_the_two_minutes_they_wait_for_the_lease(
    database_url: str, tmp_path: Path
) -> None:
    guard = "two minutes"
    with hosts(database_url, tmp_path, 0, 0, without=guard) as (sink, (dying, other)):
        _owe()
        assert dying.begin("take", connections=CONNECTIONS).ended()
        claimed = {to for to, row in _letters().items() if row.claimed_by}
        assert claimed
        _let_pass(LEASE - clock.MINUTE)
        other.begin("tick").ended()
        _send(other).ended()
        assert set(sink.received()) == set(readers(OWED)) - claimed


@on_postgresql
@pytest.mark.parametrize("ahead", [60, -60])
def test_a_host_that_lives_and_is_slow_passes_over_what_others_sent_meanwhile(
    database_url: str, tmp_path: Path, ahead: int
) -> None:
    with hosts(database_url, tmp_path, ahead, 0) as (sink, (slow, other)):
        _owe()
        sink.answers.clear()
        life = _send(slow)
        sink.wait_for(CONNECTIONS)
        _let_pass(timedelta(minutes=2), "queued")
        other.begin("tick").ended()
        assert sum(row.status == "sending" for row in _letters().values()) == CONNECTIONS
        assert {row.claimed_by for row in _letters().values() if row.status == "queued"} == {None}
        also = _send(other)
        sink.wait_for(CONNECTIONS)
        sink.answers.set()

        assert not life.ended()
        assert not also.ended()
        assert Counter(readers(OWED)) == sink.received()
        assert not any(row.is_possibly_twice for row in _letters().values())


@on_postgresql
def test_two_hosts_share_the_letters_and_send_each_once(database_url: str, tmp_path: Path) -> None:
    with hosts(database_url, tmp_path, 0, 60) as (sink, both):
        _owe()
        sink.answers.clear()
        lives = [_send(host) for host in both]
        sink.wait_for(2 * CONNECTIONS)
        sink.answers.set()

        assert not any(life.ended() for life in lives)
        assert Counter(readers(OWED)) == sink.received()
        workers = db.session.scalars(sa.select(Attempt.worker)).all()
        assert {name.partition(":")[0] for name in workers} == {"one", "two"}


@pytest.mark.parametrize(
    ("database_url", "ahead"),
    # SQLite's processes are on one machine.
    [
        ("sqlite", 0),
        ("postgresql", 0),
        *(("postgresql", ahead) for ahead in (60, DAY, -DAY)),
    ],
    indirect=["database_url"],
)
def test_the_timetable_twice_at_once_releases_once_and_writes_once_to_each(
    database_url: str, tmp_path: Path, ahead: int
) -> None:
    names = ("one", "one" if database_url.startswith("sqlite") else "two")
    with hosts(database_url, tmp_path, 0, ahead, names=names) as (sink, both):
        publication_id = a_shop_with_readers()
        edition_id, concerned = scheduled(publication_id, 2)
        for life in [host.begin("tick") for host in both]:
            assert not life.ended()

        assert owed(edition_id) == Counter(concerned)
        batches = sa.select(sa.func.count(Batch.id)).where(Batch.subject_id == edition_id)
        assert db.session.scalar(batches) == 1
        assert db.session.get_one(Edition, edition_id).status == "released"
        db.session.remove()
        for life in [_send(host) for host in both]:
            assert not life.ended()
        assert set(sink.received().values()) == {1}
        # Half of the readers wait for their 14 days to be over.
        db.session.remove()
        rows = db.session.scalars(sa.select(Delivery).filter_by(edition_id=edition_id)).all()
        late = {row.status for row in rows if row.due_at < clock.now() + 2 * A_DAY}
        assert late == {"sent", "skipped"}
