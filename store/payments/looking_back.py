"""After a restore: what the gateways know since the backup, each taken into the inbox like any news, so
that it is applied once, fairly and to break off."""

import logging
from datetime import timedelta

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db, end_read, transaction
from store.mail.models import Restore
from store.payments.gateways.base import GatewayRefused, GatewayUnreachable, News
from store.payments.gateways.registry import gateways
from store.payments.inbox import store_news
from store.payments.models import EventStatus, GatewayEvent

log = logging.getLogger(__name__)

KIND = "restore"
# A page to pay at may have been opened so long before the backup and paid after it.
_BEFORE = timedelta(days=1)
_AT_ONCE = 200


def look_back() -> None:
    """For the timetable: ask every gateway once for each restore, again until it answers. Opens its
    own transactions."""
    waiting = sa.select(Restore.id, Restore.made_at).where(Restore.asked_at.is_(None))
    rows = db.session.execute(waiting.order_by(Restore.id)).all()
    end_read()
    for restore_id, made_at in rows:
        try:
            known = {name: one.known_since(made_at - _BEFORE) for name, one in gateways().items()}
        except (GatewayUnreachable, GatewayRefused):
            log.warning("a gateway does not answer about what it knows since the backup")
            return
        for name, subjects in known.items():
            _store(restore_id, name, subjects)
        with transaction() as session:
            session.get_one(Restore, restore_id).asked_at = clock.now()
        log.info("%s payments are looked at since the backup", sum(map(len, known.values())))


def still_asked() -> int:
    """How many of them wait to be asked about."""
    waiting = GatewayEvent.kind == KIND, GatewayEvent.status == EventStatus.RECEIVED
    return db.session.scalars(sa.select(sa.func.count(GatewayEvent.id)).where(*waiting)).one()


def _store(restore_id: int, gateway: str, subjects: list[str]) -> None:
    for start in range(0, len(subjects), _AT_ONCE):
        with transaction():
            for subject in subjects[start : start + _AT_ONCE]:
                name = f"{KIND}:{restore_id}:{subject}"[:120]
                store_news(gateway, News(name, KIND, subject, {"subject": subject}))
