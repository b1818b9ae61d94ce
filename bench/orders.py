"""Orders from eight buyers at once on SQLite, while an edition is released and its letters leave."""

import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from flask import Flask

from bench.figures import Figure
from bench.letters import drain, release, sending_to
from bench.parallel import timed
from bench.shops import KEY, add_publication, shop
from bench.sink import sink
from store import settings
from store.app import create_app
from store.catalog.models import Edition, Publication
from store.kit.database import db, transaction
from store.kit.tokens import new_reference
from store.orders.placing import Details, place_order

BUYERS = 8
CONNECTIONS = 4
READERS = 100_000
SECONDS = 10.0


def measure() -> list[Figure]:
    """How many a second, and the longest wait; one that fails ends the bench."""
    with sink() as port, tempfile.TemporaryDirectory() as folder:
        took = _beside_release(Path(folder), port)
    beside = f"{BUYERS} buyers at once beside a release to {READERS:,}, SQLite"
    rate, worst = len(took) / SECONDS, 1000 * max(took)
    return [
        Figure(f"orders of {beside}", "", rate, 15, 25, unit="a second"),
        Figure(f"the longest wait of {beside}", "", worst, 600, 200, at_least=False, unit="ms"),
    ]


def _beside_release(folder: Path, port: int) -> list[float]:
    given: dict[str, Any] = {"env": "testing", "secret_key": KEY, "data_dir": folder}
    given |= sending_to(port, CONNECTIONS)
    spawn = multiprocessing.get_context("spawn")
    is_owed = spawn.Event()
    with shop(folder, web_threads=BUYERS, **given) as app:
        edition_id = add_publication(READERS)
        worker = spawn.Process(target=_work, args=(given, is_owed))
        worker.start()
        took: list[float] = []
        until = time.monotonic() + SECONDS

        def publish() -> None:
            with app.app_context():
                release(edition_id)
            is_owed.set()

        try:
            timed([*([_buyer(app, took, until)] * BUYERS), publish])
        finally:
            is_owed.set()
            worker.terminate()
            worker.join()
    return took


def _buyer(app: Flask, took: list[float], until: float) -> Callable[[], None]:
    def buy() -> None:
        with app.app_context():
            publication_id = db.session.query(Edition.publication_id).first()[0]
            db.session.remove()
            number = 0
            while time.monotonic() < until:
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


def _work(given: dict[str, Any], is_owed: Event) -> None:
    app = create_app(settings.load({}, **given))
    is_owed.wait()
    drain(app, CONNECTIONS)
