"""What follows a restore, before any process of the shop starts on the database.

The database is as it was when the backup was made. What the shop did since is on old pages, in letters,
at the gateway and in the journal, and nothing of it may be done again or be undone.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from store.catalog.models import Edition
from store.entitlements import journal_after_restore
from store.entitlements.erasure_journal import Told, add_floor, highest_floor, told_since
from store.kit import clock, numbers
from store.kit.database import db, transaction
from store.mail import restores
from store.mail.models import Delivery, Restore
from store.orders.models import Order
from store.payments.erasures import apply_journal
from store.staff import people
from store.staff.membership import StaffUnknown, remove
from store.staff.people import LastOwner

# A line has the moment at which its transaction knew what to do. A backup that was made while that was
# being committed has neither; told twice it changes nothing.
UNDER_WAY = timedelta(minutes=1)


@dataclass
class Begun:
    """What was done, for the person who restores."""

    restore_id: int
    made_at: datetime
    journal_until: datetime | None  # null: it does not tell of the time since
    is_another_shops: bool = False  # and so nothing of it was applied
    links: int = 0  # ended
    news: int = 0  # choices made again
    left: int = 0  # staff removed again
    erased: int = 0  # customers
    asked: int = 0  # erasures, asked for or stopped
    kept_owners: list[int] = field(default_factory=list)  # left, and is the only owner here


def begin_after_restore(made_at: datetime) -> Begun:
    """Hold every letter until a person says go, give no number again, end all sessions of staff, and
    apply the journal; where it does not tell of all the time since `made_at` (UTC), end all links that
    open something. May be called again. Opens its own transactions."""
    until = journal_after_restore.tells_until(made_at)
    with transaction() as session:
        connection = session.connection()
        floor = max(numbers.next_floor(connection), highest_floor() + numbers.STEP)
        add_floor(floor, clock.now())
        numbers.begin_at(connection, floor)
        restore = restores.hold(made_at, floor)
        restore.journal_until = until
        people.end_every_session()
        done = Begun(restore.id, made_at, until)
        _tell_again(done)
        if until is None:
            done.links = journal_after_restore.end_all_links()
    if until is None:
        journal_after_restore.begin_afresh()
    done.erased = apply_journal()
    if not done.is_another_shops:
        with transaction():
            done.asked = journal_after_restore.apply_asked(_told(made_at))
    return done


def end_all_links() -> int:
    """End every link that opens something, as without a journal: the shop was open after the last
    line of it. Returns how many ended. Opens its own transaction."""
    with transaction():
        count = journal_after_restore.end_all_links()
        people.end_every_session()
    journal_after_restore.begin_afresh()
    return count


def let_letters_go(who: str) -> list[Restore]:
    """A person says that letters may leave; those that the shop before may have sent are marked. Refuses
    (`NothingHeld`)."""
    held = restores.let_go(who)
    for restore in held:
        _mark_of_before(restore)
    return held


def _mark_of_before(restore: Restore) -> None:
    """What was owed since the restore for what the shop before had seen as well: an edition that fell
    due, and payments and refunds of orders that the backup knows."""
    fell_due = sa.select(Edition.id).where(
        Edition.release_at <= restore.restored_at, Edition.released_at >= restore.restored_at
    )
    known = sa.select(Order.id).where(Order.placed_at < restore.made_at)
    of_before = sa.or_(Delivery.edition_id.in_(fell_due), Delivery.order_id.in_(known))
    since = Delivery.created_at >= restore.restored_at, Delivery.sent_at.is_(None)
    marked = sa.update(Delivery).where(of_before, *since)
    db.session.execute(marked.values(is_possibly_twice=True))


def _told(made_at: datetime) -> Told:
    return told_since(made_at - UNDER_WAY)


def _tell_again(done: Begun) -> None:
    """What the journal tells, be it all or not."""
    if journal_after_restore.is_another_shops():
        done.is_another_shops = True
        return
    told = _told(done.made_at)
    journal_after_restore.apply_told(told)
    done.links, done.news = len(told.ended_links), len(told.news)
    for number in sorted(told.left):
        try:
            remove(number)
            done.left += 1
        except StaffUnknown:
            pass
        except LastOwner:
            done.kept_owners.append(number)
