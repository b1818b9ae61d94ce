"""What benches of the outbox share: shops that send to a sink, a release to send."""

from typing import Any

from flask import Flask

from bench.parallel import timed
from bench.shops import add_publication
from store.catalog.models import Edition
from store.distribution.releasing import release_edition
from store.kit.database import db, transaction
from store.mail.models import CapturedLetter, Delivery, DeliveryStatus
from store.mail.worker import send_due_letters


def sending_to(port: int, connections: int, database: str = "") -> dict[str, Any]:
    """Settings of a shop whose letters go to this port."""
    return {
        "mail_server": "127.0.0.1",
        "mail_port": port,
        "mail_connections": connections,
        "mail_default_sender": "shop@press.example",
        "database_url": database,
    }


def owe_letters(count: int) -> int:
    """Release an edition to so many; returns its id."""
    known = db.session.query(Edition).count() > 0
    edition_id = add_publication(count, are_known=known)
    release(edition_id)
    return edition_id


def release(edition_id: int) -> None:
    """Release an edition that `add_publication` made."""
    with transaction() as session:
        release_edition(session.get_one(Edition, edition_id), "bench")
    db.session.remove()


def drain(app: Flask, connections: int) -> float:
    """Send all that is due over so many connections of this process; returns seconds."""

    def send() -> None:
        with app.app_context():
            send_due_letters()

    return timed([send] * connections)


def need_all_sent(edition_id: int, count: int) -> None:
    """Stop the bench unless every letter of the edition went to the sink."""
    sent = db.session.query(Delivery).filter_by(edition_id=edition_id, status=DeliveryStatus.SENT)
    if sent.count() != count or db.session.query(CapturedLetter).count():
        raise RuntimeError("not every letter went to the sink")
    db.session.remove()
