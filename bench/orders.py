"""Orders from eight buyers at once on SQLite, while an edition is released and its letters leave."""

import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
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
CONNECTIONS = 4
READERS = 10_000
ROUNDS = 2


def measure() -> list[Figure]:
    """How many a second, the longest wait, and what the release keeps of its pace; an order that
    fails ends the bench."""
    took: list[float] = []
    rates, kept = [], []
    with sink() as port, tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            alone, beside, rate = _round(Path(folder) / str(number), port, took)
            rates.append(rate)
            kept.append(beside / alone)
    orders = f"{BUYERS} buyers at once beside a release to {READERS:,}, SQLite"
    worst = 1000 * max(took)
    middle = f"{1000 * statistics.median(took):.0f} ms in the middle"
    return [
        Figure(f"orders of {orders}", "", statistics.mean(rates), 15, 25, unit="a second"),
        Figure(
            f"the longest wait of {orders}",
            "",
            worst,
            600,
            200,
            at_least=False,
            unit="ms",
            detail=middle,
        ),
        Figure(
            f"letters a second of a release to {READERS:,} beside {BUYERS} buyers at once",
            "the same release without them",
            statistics.mean(kept),
            0.4,
        ),
    ]


def _round(folder: Path, port: int, took: list[float]) -> tuple[float, float, float]:
    """Letters a second of a release alone and beside buyers, and their orders a second."""
    given: dict[str, Any] = {"env": "testing", "secret_key": KEY, "data_dir": folder}
    given |= sending_to(port, CONNECTIONS)
    with shop(folder, web_threads=BUYERS, **given) as app:
        alone = _release(app, given, add_publication(READERS), None)
        before, start = len(took), time.perf_counter()
        edition_id = add_publication(READERS, are_known=True)
        beside = _release(app, given, edition_id, took)
        rate = (len(took) - before) / (time.perf_counter() - start)
    return alone, beside, rate


def _release(app: Flask, given: dict[str, Any], edition_id: int, took: list[float] | None) -> float:
    """Letters a second until all have left; buyers order all the while where their waits are asked."""
    spawn = multiprocessing.get_context("spawn")
    is_ready, is_owed = spawn.Event(), spawn.Event()
    worker = spawn.Process(target=_work, args=(given, is_ready, is_owed))
    worker.start()
    is_ready.wait()

    def publish() -> None:
        with app.app_context():
            release(edition_id)
        is_owed.set()

    buyers = [_buyer(app, took, worker.is_alive)] * BUYERS if took is not None else []
    timed([publish, *buyers])
    worker.join()
    need_all_sent(edition_id, READERS)
    ours = sa.select(sa.func.min(Delivery.sent_at), sa.func.max(Delivery.sent_at))
    first, last = db.session.execute(ours.where(Delivery.edition_id == edition_id)).one()
    db.session.remove()
    return READERS / float((last - first).total_seconds())


def _buyer(app: Flask, took: list[float], is_under_way: Callable[[], bool]) -> Callable[[], None]:
    def buy() -> None:
        with app.app_context():
            publication_id = db.session.query(Edition.publication_id).first()[0]
            db.session.remove()
            number = 0
            while is_under_way():
                number += 1
                address = f"buyer{threading.get_ident()}-{number}@reader.example"
                start = time.perf_counter()
                with transaction() as session:
                    publication = session.get_one(Publication, publication_id)
                    details = Details(email=address)
                    place_order(publication, details, form_key=new_reference(), seen_amount=1250)
                took.append(time.perf_counter() - start)
                db.session.remove()

    return buy


def _work(given: dict[str, Any], is_ready: Event, is_owed: Event) -> None:
    app = create_app(settings.load({}, **given))
    keep_for_good()
    is_ready.set()
    is_owed.wait()
    drain(app, CONNECTIONS)
