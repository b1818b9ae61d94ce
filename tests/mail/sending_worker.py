"""A worker process to be killed: sends over every connection of the settings it is given."""

import json
import sys
import threading
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask

from store.app import create_app
from store.kit import clock
from store.kit.database import transaction
from store.mail import worker
from store.mail.claims import Prepared
from store.mail.models import Delivery
from store.mail.worker import Drain
from tests.conftest import make_settings


def main(folder: str, careless: str, given: dict[str, Any]) -> None:
    app = create_app(make_settings(Path(folder), **given))
    if careless:
        Drain._send = _send_and_record_later  # type: ignore[method-assign]
    with app.app_context():
        worker.sweep()
    threads = [
        threading.Thread(target=_send, args=(app,)) for _ in range(given["mail_connections"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _send(app: Flask) -> None:
    with app.app_context():
        worker.send_due_letters()


def _send_and_record_later(self: Drain, letter: Prepared) -> None:
    """The careless way: no mark before DATA, outcomes written down once per claim."""
    self.line.send(letter.envelope, letter.octets)
    handed_over = self.__dict__.setdefault("handed_over", [])
    handed_over.append(letter.claim.delivery_id)
    if not self.claims:
        sent = {"status": "sent", "sent_at": clock.now(), "claimed_by": None, "claimed_at": None}
        with transaction() as session:
            session.execute(sa.update(Delivery).where(Delivery.id.in_(handed_over)).values(sent))
        handed_over.clear()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
