"""Who asked not to hear of new editions of a publication; what was bought stays theirs."""

from datetime import datetime

import sqlalchemy as sa

from store.catalog.publications import lock_publication
from store.entitlements.models import NoticeStop
from store.kit import clock
from store.kit.config import config
from store.kit.database import db, insert_into
from store.mail import outbox

NEWS_STOPPED = "news_stopped"


def stop_by_press(customer_id: int, publication_id: int) -> None:
    """Stop notices because a button was pressed, and owe the letter that says so, with the way to
    undo it: at most one a day for a publication, none where nothing changes. The press may have
    been a robot's that reads the mail, or somebody's whom the mail was forwarded to."""
    if is_stopped(customer_id, publication_id):
        return
    stop_notices(customer_id, publication_id)
    outbox.owe(
        NEWS_STOPPED,
        f"{NEWS_STOPPED}:{customer_id}:{publication_id}:{clock.today(config().zone)}",
        customer_id=customer_id,
        facts={"publication_id": publication_id},
        priority=0,
        again_if_skipped=True,
    )


def stop_notices(customer_id: int, publication_id: int) -> None:
    """No more notices of new editions of this publication, from now on; again changes nothing."""
    if not is_stopped(customer_id, publication_id):
        # A release waits and sees the stop, or its letters are seen here.
        lock_publication(publication_id)
        outbox.look_again(customer_id)
        _put(customer_id, publication_id, clock.now())


def resume_notices(customer_id: int, publication_id: int) -> None:
    """Notices of new editions again; where nothing was stopped, nothing changes."""
    if is_stopped(customer_id, publication_id):
        _put(customer_id, publication_id, None)


def is_stopped(customer_id: int, publication_id: int) -> bool:
    """Whether notices of this publication are stopped."""
    query = sa.select(NoticeStop.id).where(
        NoticeStop.customer_id == customer_id,
        NoticeStop.publication_id == publication_id,
        NoticeStop.stopped_at.is_not(None),
    )
    return db.session.scalars(query).first() is not None


def _put(customer_id: int, publication_id: int, stopped_at: datetime | None) -> None:
    statement = insert_into(NoticeStop).values(
        customer_id=customer_id, publication_id=publication_id, stopped_at=stopped_at
    )
    db.session.execute(
        statement.on_conflict_do_update(
            index_elements=["customer_id", "publication_id"], set_={"stopped_at": stopped_at}
        )
    )
