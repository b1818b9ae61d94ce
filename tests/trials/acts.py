"""What a life of a ready shop may do."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask

from store import tasks
from store.catalog.publications import publication_by_slug
from store.distribution import releasing
from store.distribution.customers_csv import read_customers
from store.distribution.import_export import import_customers
from store.kit.database import db
from store.mail import worker
from store.mail.claims import new_name
from store.mail.ledger import ledger
from store.mail.models import PRIORITIES
from store.serving import WebServer

from . import power_acts
from .ready import die


def send(app: Flask, connections: int) -> None:
    """A worker: frees what the dead had claimed, then sends over every connection."""

    def one() -> None:
        with app.app_context():
            worker.send_due_letters()

    with app.app_context():
        worker.sweep()
    threads = [threading.Thread(target=one) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def take(app: Flask, connections: int) -> None:
    """A worker that dies when it has claimed letters over each connection and begun none."""
    with app.app_context():
        for _ in range(connections):
            ledger().claim(None, new_name(), PRIORITIES)
        die()


def release(app: Flask) -> None:
    """Release what is due."""
    with app.app_context():
        releasing.release_due()


def bring_in(app: Flask, slug: str, file: str) -> None:
    """Import the customers of a file."""
    with app.app_context():
        import_customers(publication_by_slug(slug), read_customers(Path(file).read_bytes()))
        db.session.remove()


def tick(app: Flask) -> None:
    """One pass of the timetable."""
    with app.app_context():
        tasks.tick()


def web(app: Flask, bind: str) -> None:
    """Pages and doors, by the server that the shop runs on; its file reads the settings once more."""
    settings = app.extensions["colophon.settings"]
    os.environ.update(STORE_ENV="demo", STORE_DATA_DIR=str(settings.data_dir))
    os.environ.update(STORE_WEB_WORKERS="1", STORE_WEB_THREADS="4")
    WebServer(lambda: app, bind).run()


ACTS: dict[str, Callable[..., Any]] = {
    "send": send,
    "take": take,
    "release": release,
    "import": bring_in,
    "tick": tick,
    "web": web,
    "begin on a disk": power_acts.begin,
    "machine": power_acts.machine,
    "look": power_acts.look,
}
