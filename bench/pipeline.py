"""The whole way of a letter (claim, facts, words, send, record) beside a bare smtplib loop."""

import smtplib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask

from bench.figures import Figure, rounds
from bench.shops import add_publication, postgresql, shop
from store.catalog.models import Edition
from store.distribution.releasing import release_edition
from store.kit.database import db, transaction
from store.mail.models import CapturedLetter, Delivery, DeliveryStatus
from store.mail.worker import send_due_letters

CONNECTIONS = 4
LETTERS = 600
SAMPLE = (
    b"From: a@press.example\r\nTo: b@reader.example\r\nSubject: x\r\n\r\n" + b"x" * 70 + b"\r\n"
)


def measure() -> list[Figure]:
    """Letters a second of a bare smtplib loop with as many connections, on both databases."""
    with sink() as port, tempfile.TemporaryDirectory() as folder:
        figures = [_ratio("SQLite", Path(folder), port, "", must=0.20)]
        with postgresql() as server:
            figures.append(_ratio("PostgreSQL", Path(folder) / "pg", port, server, must=0.15))
    return figures


def _ratio(name: str, folder: Path, port: int, database: str, *, must: float) -> Figure:
    given = {
        "mail_server": "127.0.0.1",
        "mail_port": port,
        "mail_connections": CONNECTIONS,
        "mail_default_sender": "shop@press.example",
        "database_url": database,
    }
    with shop(folder, **given) as app:
        ratio = rounds(3, lambda: _ours(app), lambda: _bare(port))
    return Figure(
        f"letters a second through the outbox, {CONNECTIONS} connections, {name}",
        f"a bare smtplib loop with {CONNECTIONS} connections (sink: bench/sink.py)",
        ratio,
        must,
    )


def _ours(app: Flask) -> float:
    edition_id = add_publication(LETTERS)
    with transaction() as session:
        release_edition(session.get_one(Edition, edition_id), "bench")
    db.session.remove()

    def drain() -> None:
        with app.app_context():
            send_due_letters()

    rate = LETTERS / _timed([drain] * CONNECTIONS)
    sent = db.session.query(Delivery).filter_by(edition_id=edition_id, status=DeliveryStatus.SENT)
    if sent.count() != LETTERS or db.session.query(CapturedLetter).count():
        raise RuntimeError("not every letter went to the sink")
    db.session.remove()
    return rate


def _bare(port: int) -> float:
    def send() -> None:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="localhost") as server:
            for _ in range(LETTERS // CONNECTIONS):
                server.sendmail("a@press.example", ["b@reader.example"], SAMPLE * 60)

    return LETTERS / _timed([send] * CONNECTIONS)


def _timed(work: list[Callable[[], None]]) -> float:
    threads = [threading.Thread(target=each) for each in work]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


@contextmanager
def sink() -> Iterator[int]:
    """The sink as a process of its own; yields its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.sink"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()
