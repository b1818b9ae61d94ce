"""A shop's write to SQLite while a worker sends letters over four connections."""

import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from bench.figures import Figure
from bench.letters import drain, owe_letters, sending_to
from bench.shops import KEY, shop
from bench.sink import sink
from store import settings
from store.app import create_app
from store.kit.database import db, transaction
from store.mail.models import Delivery, DeliveryStatus
from store.orders.models import Customer
from store.serving import keep_for_good

CONNECTIONS = 4
WRITES = 600
BETWEEN = 0.01
LETTERS = 24_000


def measure() -> list[Figure]:
    """How long writes wait, as no reference has a worker beside it."""
    with sink() as port, tempfile.TemporaryDirectory() as folder:
        took = [1000 * seconds for seconds in _while_sending(Path(folder), port)]
    said = f"a shop's write while {CONNECTIONS} connections send, SQLite"
    return [
        Figure(
            f"{said}, 95 of 100",
            "",
            statistics.quantiles(took, n=20)[-1],
            10,
            at_least=False,
            unit="ms",
            detail=f"{statistics.median(took):.1f} ms in the middle",
        ),
        Figure(f"{said}, worst of {WRITES}", "", max(took), 50, at_least=False, unit="ms"),
    ]


def _while_sending(folder: Path, port: int) -> list[float]:
    given = {"env": "testing", "secret_key": KEY, "data_dir": folder}
    given |= sending_to(port, CONNECTIONS)
    spawn = multiprocessing.get_context("spawn")
    is_ready = spawn.Event()
    with shop(folder, **given):
        owe_letters(LETTERS)
        worker = spawn.Process(target=_work, args=(given, is_ready))
        worker.start()
        try:
            is_ready.wait(60)
            time.sleep(1)
            took = [_write(number) for number in range(WRITES)]
            waiting = db.session.query(Delivery).filter_by(status=DeliveryStatus.QUEUED).count()
        finally:
            worker.terminate()
            worker.join()
    if not waiting:
        raise RuntimeError("the letters were sent before the writes were done")
    return took


def _work(given: dict[str, Any], is_ready: Event) -> None:
    app = create_app(settings.load({}, **given))
    keep_for_good()
    is_ready.set()
    drain(app, CONNECTIONS)


def _write(number: int) -> float:
    start = time.perf_counter()
    with transaction() as session:
        session.get_one(Customer, 1 + number).name = f"Reader {number} again"
    took = time.perf_counter() - start
    db.session.remove()
    time.sleep(BETWEEN)
    return took
