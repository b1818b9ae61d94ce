"""The journal held beside the database: what ended lately, and stands in no line of the file of this
machine. So it is where each machine writes a file of its own, or where an older copy took its place.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from store.entitlements.erasure_journal import Told, head_of, read_lines, told_since
from store.entitlements.links import Ended
from store.entitlements.models import Erasure, Journal, Link, NoticeStop
from store.kit.database import db
from store.orders.models import Customer

_EVER = datetime.min.replace(tzinfo=UTC)
# What ends by being used or by an undo, or with its customer, has no line of its own.
_WITHOUT_A_LINE = (Ended.USED, Ended.UNDONE, Ended.ERASED, Ended.RESTORED)


@dataclass(frozen=True)
class Compared:
    """How many links, choices of news and erased customers have no line; from when until when (UTC) the
    file says that it tells all of this database, None where it knows of none; and what it tells."""

    links: int
    choices: int
    erased: int
    since: datetime | None
    until: datetime | None
    told: Told


def compare(moment: datetime) -> Compared:
    """What ended from that moment (UTC) on, links from when on the file tells all. Rows are read before the
    file: a line is there before its row is."""
    name = db.session.scalars(sa.select(Journal.name)).first()
    ended = db.session.execute(
        sa.select(Link.id, Link.revoked_at).where(
            Link.revoked_at >= moment, Link.revoked_reason.not_in(_WITHOUT_A_LINE)
        )
    ).all()
    # Who hears of every edition has no moment in the row, and is not compared.
    chosen = db.session.scalars(
        sa.select(NoticeStop.stopped_at).where(NoticeStop.stopped_at >= moment)
    ).all()
    # Who has nothing any more is forgotten without being asked, and again by itself.
    is_asked = sa.exists().where(Erasure.customer_id == Customer.id, Erasure.done_at.is_not(None))
    erased = set(
        db.session.scalars(sa.select(Customer.id).where(Customer.erased_at >= moment, is_asked))
    )
    head = head_of(name) if name else None
    since = head.since if head else moment
    told = told_since(_EVER)
    written = {number for line in read_lines() for number in line.customers}
    return Compared(
        len({one.id for one in ended if one.revoked_at >= since} - told.ended_links.keys()),
        sum(at not in told.chosen_at for at in chosen if at is not None and at >= since),
        len(erased - written),
        head.since if head else None,
        head.until if head else None,
        told,
    )
