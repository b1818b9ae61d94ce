"""Orders from eight buyers at once on SQLite, while an edition is released and its letters leave: as fast
as they can, and as many a second as are asked of a shop, by a timetable that waits for nobody."""

import itertools
import math
import multiprocessing
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask

from bench.figures import Figure
from bench.letters import drain, need_all_sent, release, sending_to
from bench.parallel import timed
from bench.shops import KEY, add_publication, shop
from bench.sink import sink
from store import settings
from store.app import create_app
from store.catalog.models import Edition, Publication
from store.kit.database import db, transaction
from store.kit.tokens import new_reference
from store.mail.models import Delivery
from store.orders.placing import Details, place_order
from store.serving import keep_for_good

BUYERS = 8
# Of all buyers together: the aim.
A_SECOND = 25
CONNECTIONS = 4
READERS = 10_000
ROUNDS = 2
RELEASE = f"a release to {READERS:,}, SQLite"
AT_ONCE = f"{BUYERS} buyers who order as fast as they can"
PACED = f"{BUYERS} buyers who order {A_SECOND} a second"


@dataclass
class Bought:
    """What buyers met beside a release: how long each order took them, in seconds, how many failed, over
    how long; and what the release kept of its pace."""

    took: list[float] = field(default_factory=list)
    failed: int = 0
    seconds: float = 0.0
    kept: list[float] = field(default_factory=list)

    @property
    def a_second(self) -> float:
        return len(self.took) / self.seconds


def measure() -> list[Figure]:
    """How many a second, the longest wait, failures, and what the release keeps of its pace."""
    at_once, paced = Bought(), Bought()
    with sink() as port, tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            # In a hurry once: it takes as long as all else, and nothing is demanded of the release then.
            paces = {float(A_SECOND): paced} | ({math.inf: at_once} if number == 0 else {})
            _round(Path(folder) / str(number), port, paces)
    return [
        Figure(
            f"orders of {AT_ONCE} beside {RELEASE}", "", at_once.a_second, 15, 25, unit="a second"
        ),
        *_waits(AT_ONCE, at_once),
        _kept(AT_ONCE, at_once, None),
        *_waits(PACED, paced),
        _kept(PACED, paced, 0.4),
    ]


def _waits(who: str, bought: Bought) -> list[Figure]:
    """The longest wait and the failures."""
    took = [1000 * one for one in sorted(bought.took)]
    detail = f"{statistics.median(took):.0f} ms in the middle, 99 of 100 in {took[len(took) * 99 // 100]:.0f} ms"
    return [
        Figure(
            f"the longest wait of {who} beside {RELEASE}",
            "",
            took[-1],
            600,
            200,
            at_least=False,
            unit="ms",
            detail=f"{detail}; {len(took)} orders, {bought.a_second:.1f} a second",
        ),
        Figure(f"orders of {who} that failed", "", bought.failed, 0, at_least=False, unit="orders"),
    ]


def _kept(who: str, bought: Bought, must: float | None) -> Figure:
    return Figure(
        f"letters a second of {RELEASE}, beside {who}",
        "the same release without them",
        statistics.mean(bought.kept),
        must,
    )


def _round(folder: Path, port: int, paces: dict[float, Bought]) -> None:
    """A release alone, then one beside buyers of each pace."""
    given: dict[str, Any] = {"env": "testing", "secret_key": KEY, "data_dir": folder}
    given |= sending_to(port, CONNECTIONS)
    with shop(folder, web_threads=BUYERS, **given) as app:
        alone = _release(app, given, add_publication(READERS))
        for pace, bought in paces.items():
            edition_id = add_publication(READERS, are_known=True)
            bought.kept.append(_release(app, given, edition_id, bought, pace) / alone)


def _release(
    app: Flask,
    given: dict[str, Any],
    edition_id: int,
    bought: Bought | None = None,
    pace: float = math.inf,
) -> float:
    """Letters a second until all have left; buyers order all the while where it is asked what they met."""
    spawn = multiprocessing.get_context("spawn")
    is_ready, is_owed = spawn.Event(), spawn.Event()
    worker = spawn.Process(target=_work, args=(given, is_ready, is_owed))
    worker.start()
    is_ready.wait()

    def publish() -> None:
        with app.app_context():
            release(edition_id)
        is_owed.set()

    timetable = _Timetable(pace)
    buyers = [_buyer(app, bought, timetable, worker.is_alive)] * BUYERS if bought else []
    timed([publish, *buyers])
    worker.join()
    if bought:
        bought.seconds += timetable.seconds
    need_all_sent(edition_id, READERS)
    ours = sa.select(sa.func.min(Delivery.sent_at), sa.func.max(Delivery.sent_at))
    first, last = db.session.execute(ours.where(Delivery.edition_id == edition_id)).one()
    db.session.remove()
    return READERS / float((last - first).total_seconds())


class _Timetable:
    """When each next order of all buyers together falls due, whether the ones before are done or not."""

    def __init__(self, pace: float) -> None:
        self._pace, self._numbers = pace, itertools.count()
        self._start = time.perf_counter()

    def next_due(self) -> float:
        """Wait for the next order's moment; from it on its buyer waits, also where nobody was free."""
        due = self._start + next(self._numbers) / self._pace
        now = time.perf_counter()
        if math.isinf(self._pace):
            return now
        time.sleep(max(0.0, due - now))
        return due

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start


def _buyer(
    app: Flask, bought: Bought, timetable: _Timetable, is_under_way: Callable[[], bool]
) -> Callable[[], None]:
    def buy() -> None:
        with app.app_context():
            publication_id = db.session.query(Edition.publication_id).first()[0]
            db.session.remove()
            while is_under_way():
                due = timetable.next_due()
                try:
                    _order(publication_id)
                    bought.took.append(time.perf_counter() - due)
                except sa.exc.DBAPIError:
                    bought.failed += 1
                db.session.remove()

    return buy


def _order(publication_id: int) -> None:
    with transaction() as session:
        publication = session.get_one(Publication, publication_id)
        details = Details(email=f"{uuid.uuid4().hex}@reader.example")
        place_order(publication, details, form_key=new_reference(), seen_amount=1250)


def _work(given: dict[str, Any], is_ready: Event, is_owed: Event) -> None:
    app = create_app(settings.load({}, **given))
    keep_for_good()
    is_ready.set()
    is_owed.wait()
    drain(app, CONNECTIONS)
