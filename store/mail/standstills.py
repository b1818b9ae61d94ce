"""Times in which no letter left: how staff hear of them, though the post itself is what fails.

The desk's first page, `/readyz` and the log say it while it lasts; a letter says it once letters
leave again, and each day until somebody has seen it.
"""

import logging
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from store.kit import clock, happenings
from store.kit.database import db, end_read, transaction
from store.kit.errors import NotFound
from store.kit.formatting import format_moment
from store.mail import outbox, rests
from store.mail.answers import About, Cause
from store.mail.models import Rest, Standstill

log = logging.getLogger(__name__)

# A server that is started again, or a line that breaks, is no news before.
SHORT = timedelta(minutes=10)
_LOGGED_EVERY = timedelta(hours=1)
_MAILED_EVERY = timedelta(days=1)
_KEPT_FOR = timedelta(days=30)


class StandstillUnknown(NotFound):
    """None has this number."""

    sentence = "There is nothing of this number to be seen."


def begin(session: Session, about: About, cause: Cause | None, words: str) -> None:
    """The server took nothing, or refuses us. One row until a letter is taken; what is about us
    outweighs what is not. The caller holds the row of the post's rest, so that two who notice it at
    once begin one."""
    row = session.scalar(_open().with_for_update())
    if row is None:
        row = Standstill(began_at=clock.now())
        session.add(row)
        happenings.tell(happenings.Happening.MAIL_STANDS, cause=str(cause or about))
    elif row.about == About.US:
        return
    row.about, row.words = about, words[:500]
    row.cause = str(cause or "")
    session.flush()


def end(session: Session) -> None:
    """A letter was taken. What was short is not worth a word: it may have been one letter that was
    refused as if it were us."""
    row = session.scalar(_open().with_for_update())
    if row is None:
        return
    lasted = clock.now() - row.began_at
    happenings.tell(happenings.Happening.MAIL_LEAVES, ms=round(1000 * lasted.total_seconds()))
    if lasted < SHORT:
        session.delete(row)
    else:
        row.ended_at = clock.now()
        row.told_at = None  # that letters leave again is news
    session.flush()


def now_standing() -> Standstill | None:
    """The one that lasts, if it is worth a word by now."""
    row = db.session.scalar(_open())
    return row if row is not None and _is_news(row) else None


def unseen() -> list[Standstill]:
    """What lasts, and then what is over and nobody has seen, oldest first."""
    wanted = sa.or_(Standstill.ended_at.is_(None), Standstill.seen_at.is_(None))
    order = (Standstill.ended_at.is_not(None), Standstill.id)
    rows = db.session.scalars(sa.select(Standstill).where(wanted).order_by(*order))
    return [row for row in rows if _is_news(row)]


def see(standstill_id: int, who: str) -> None:
    """Somebody has seen it, and the next letter is tried at once. Refuses (`StandstillUnknown`)."""
    row = db.session.get(Standstill, standstill_id)
    if row is None:
        raise StandstillUnknown
    if row.seen_at is None:
        row.seen_at, row.seen_by = clock.now(), who
    rests.try_now(db.session())
    outbox.wake()


def tell() -> None:
    """Say again what nobody has seen: in the log while it lasts, by letter once it is over; and
    forget what is long past (timetable)."""
    has_any = [db.session.scalar(sa.select(one.id).limit(1)) for one in (Rest, Standstill)]
    end_read()
    if has_any == [None, None]:
        return
    with transaction() as session:
        rests.forget(session)
        old = clock.now() - _KEPT_FOR
        gone = sa.and_(Standstill.ended_at < old, Standstill.seen_at.is_not(None))
        session.execute(sa.delete(Standstill).where(gone))
        untold = [row for row in unseen() if row.seen_at is None and _is_due(row)]
        for row in untold:
            row.told_at = clock.now()
            if row.ended_at is not None:
                _mail(row)
    for row in untold:
        if row.ended_at is None:
            # The words may quote an address, so they are for the desk alone.
            log.error(
                "no letters leave since %s: %s", f"{row.began_at:%Y-%m-%d %H:%M} UTC", row.cause
            )


def _mail(row: Standstill) -> None:
    outbox.alert_staff(
        "The mail server took no letters",
        f"From {format_moment(row.began_at)} to {format_moment(row.ended_at or clock.now())} letters"
        f" did not leave: {row.cause}.\n\nThey leave again, and nobody was left out. The first page of the desk has"
        " the server's words. This letter comes each day until somebody has pressed “Seen” there.",
        f"standstill:{row.id}:{clock.now():%Y-%m-%d}",
    )


def _is_news(row: Standstill) -> bool:
    return row.about == About.US or clock.now() - row.began_at >= SHORT


def _is_due(row: Standstill) -> bool:
    every = _LOGGED_EVERY if row.ended_at is None else _MAILED_EVERY
    return row.told_at is None or clock.now() - row.told_at >= every


def _open() -> sa.Select[Standstill]:
    return sa.select(Standstill).where(Standstill.ended_at.is_(None)).limit(1)
