"""The mailbox that letters come back to, read over IMAP by the timetable.

Where the shop has got to stands in a row, written in the transaction that takes a message, so that a
crash repeats nothing and leaves nothing out, whatever people read in the mailbox meanwhile. What was
taken is marked as read; everything else stays as it is, for a person. Nothing is ever deleted.
"""

import logging
import time
from datetime import timedelta

import sqlalchemy as sa

from store.kit import clock, jobs, limits
from store.kit.config import config
from store.kit.database import db, end_read, insert_once, transaction
from store.kit.judged import mailbox_parts
from store.mail.imap import MailboxServer, MailboxUnavailable, OpenMailbox, opened
from store.mail.matching import take_message
from store.mail.models import MailboxPlace
from store.mail.outbox import alert_staff
from store.mail.reports import LARGEST_READ

log = logging.getLogger(__name__)

# Found by a timetable that looks each minute: every other minute.
EVERY = timedelta(seconds=100)
# One job; what is left has its turn at once, in the next.
MOST_MESSAGES, MOST_SECONDS = 200, 15
# Nobody else reads meanwhile; outlives any job, also one that waits for each answer.
_LEASE = timedelta(minutes=10)
_LONGEST_WAIT = timedelta(minutes=15)
TOLD_AFTER = timedelta(minutes=30)
# Of a mailbox that has not been read before; reports come within days.
FIRST_READ = timedelta(days=30)

_places = MailboxPlace.__table__.c


def mailbox_server() -> MailboxServer | None:
    """The mailbox of the settings, or None."""
    url = config().bounce_imap
    return MailboxServer(mailbox_parts(url.get_secret_value())) if url else None


def wake_when_due() -> None:
    """Ring for the mailbox where it is due (timetable); a slow server keeps a job busy, not the
    timetable."""
    server = mailbox_server()
    if server is None:
        return
    place = db.session.execute(sa.select(_places.due_at).where(_is_of(server))).first()
    if place is None or place.due_at <= clock.now():
        jobs.ring("read_returned")


def read_returned() -> None:
    """Read what has come into the mailbox since. Safe many times and at once: one reads, of all
    hosts."""
    server = mailbox_server()
    if server is None or not _claim(server):
        return
    end_read()
    try:
        with opened(server) as mailbox:
            is_all = _read(server, mailbox)
    except MailboxUnavailable as fault:
        _put_off(server, fault.reply)
        return
    with transaction() as session:
        due_at = clock.now() + (EVERY if is_all else timedelta())
        well = {"due_at": due_at, "faults": 0, "fault": "", "first_failed_at": None}
        session.execute(sa.update(MailboxPlace).where(_is_of(server)).values(well))
    if not is_all:
        jobs.ring("read_returned")


def _name(server: MailboxServer) -> str:
    parts = server.parts
    return limits.mark(f"{parts.host}\n{parts.port}\n{parts.username}\n{parts.folder}")


def _is_of(server: MailboxServer) -> sa.ColumnElement[bool]:
    return _places.name == _name(server)


def _claim(server: MailboxServer) -> bool:
    now = clock.now()
    with transaction() as session:
        insert_once(MailboxPlace, name=_name(server), due_at=now)
        claimed = sa.update(MailboxPlace).where(_is_of(server), _places.due_at <= now)
        found = session.execute(claimed.values(due_at=now + _LEASE).returning(_places.id))
        return found.first() is not None


def _read(server: MailboxServer, mailbox: OpenMailbox) -> bool:
    """Take one message after the other; says whether none is left."""
    uid = _place_in(server, mailbox.validity)
    waiting = mailbox.after(uid) if uid else mailbox.since((clock.now() - FIRST_READ).date())
    end = time.monotonic() + MOST_SECONDS
    for number, each in enumerate(waiting):
        if number == MOST_MESSAGES or time.monotonic() > end:
            return False
        octets = mailbox.beginning(each, LARGEST_READ)
        if _take(server, mailbox.validity, each, octets or b""):
            mailbox.mark_read(each)
    return True


def _place_in(server: MailboxServer, validity: int) -> int:
    """The number of the last message that was read; 0 where the server has given them other numbers."""
    with transaction() as session:
        renumbered = sa.update(MailboxPlace).where(_is_of(server), _places.validity != validity)
        session.execute(renumbered.values(validity=validity, uid=0))
        return int(session.execute(sa.select(_places.uid).where(_is_of(server))).scalar_one())


def _take(server: MailboxServer, validity: int, uid: int, octets: bytes) -> bool:
    """Take what a message says, and go beyond it in the same commit."""
    beyond = sa.update(MailboxPlace).where(
        _is_of(server), _places.validity == validity, _places.uid < uid
    )
    try:
        with transaction() as session:
            session.execute(beyond.values(uid=uid))
            return take_message(octets)
    except sa.exc.OperationalError:
        raise
    except Exception:
        # One message that the shop stumbles over must not keep all others from being read.
        log.exception("a message in the mailbox was passed over, and stays unread")
        with transaction() as session:
            session.execute(beyond.values(uid=uid))
        return False


def _put_off(server: MailboxServer, reply: str) -> None:
    """Try again later, and tell staff once where it goes on."""
    now = clock.now()
    with transaction() as session:
        place = session.execute(
            sa.select(MailboxPlace).where(_is_of(server)).with_for_update()
        ).scalar_one()
        wait = min(EVERY * 2**place.faults, _LONGEST_WAIT)
        place.faults = min(place.faults + 1, 10)
        place.first_failed_at = since = place.first_failed_at or now
        place.fault, place.due_at = reply[:300], now + wait
    log.warning("the mailbox of returned letters cannot be read: %s", reply)
    if now - since >= TOLD_AFTER:
        with transaction():
            alert_staff(
                "The mailbox of returned letters cannot be read",
                f"What came back since has not been seen by the shop. The mail server said: {reply}\n\n"
                "For who looks after the server: `store check` tries the mailbox, and"
                " STORE_BOUNCE_IMAP is where it is set. Nothing is lost: the shop tries again every"
                f" {_LONGEST_WAIT.seconds // 60} minutes and then reads all that has come meanwhile.",
                f"mailbox:{_name(server)[:8]}:{since:%Y-%m-%dT%H:%M:%S}",
            )
