"""The journal told again to a database from a backup: which links and second addresses ended since, what
was chosen of news, which erasures were asked for or stopped. Where it does not tell of all the time since,
every link ends that opens something."""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime

import sqlalchemy as sa

from store.catalog.models import Publication
from store.entitlements import erasure_journal
from store.entitlements.addresses import undo_change
from store.entitlements.erasure_journal import Told
from store.entitlements.erasures import begin_again, stand_as_told
from store.entitlements.links import OBJECTING, Ended
from store.entitlements.models import Journal, Link, News
from store.entitlements.news import put_choice
from store.entitlements.on_file import end_second_as_told
from store.entitlements.order_moves import hold_order
from store.kit import clock, tokens
from store.kit.database import db, end_read, insert_once, transaction
from store.kit.errors import Refusal
from store.orders.models import Customer, Offer

log = logging.getLogger(__name__)

_AT_ONCE = 500
# They open nothing: what they do is stop or object.
_HARMLESS = ("stop", *OBJECTING)
# Each is made once more, so that the button and the letters have one that is known to nobody.
_RENEWED = ("library", "order", "stop")


def keep_journal() -> None:
    """The journal tells all until now (timetable). One that is begun, as the file of before is lost, tells
    who was erased as far as the rows know. Opens its own transaction."""
    name = _name()
    if name is None:
        # Of a backup from before there were names, the file knows its own.
        known = [*erasure_journal.names(), tokens.new_reference()][0]
        with transaction():
            insert_once(Journal, id=1, name=known)
        name = _name()
    is_other = is_another_shops()
    if not is_other:
        _tell_who_was_erased(str(name))
    end_read()
    if is_other:
        log.error("the journal %s is another shop’s", erasure_journal.journal_path())
    else:
        erasure_journal.write_head(str(name), clock.now())


def _tell_who_was_erased(name: str) -> None:
    """Where the file that told it is lost, as far as the rows know."""
    if erasure_journal.head_of(name) is not None:
        return
    told = {number for line in erasure_journal.read_lines() for number in line.customers}
    rows = db.session.execute(
        sa.select(Customer.id, Customer.erased_at).where(Customer.erased_at.is_not(None))
    )
    for number, at in rows.all():
        if at is not None and number not in told:
            erasure_journal.add_line([number], at)


def is_another_shops() -> bool:
    """Whether the file has the names of other databases alone: its numbers are not ours."""
    known, name = erasure_journal.names(), _name()
    return bool(known) and name is not None and name not in known


def tells_until(made_at: datetime) -> datetime | None:
    """Until when the journal tells all that happened since a backup; None where it does not."""
    name = _name()
    head = erasure_journal.head_of(name) if name else None
    if head is None or head.since > made_at:
        return None
    last = erasure_journal.told_since(made_at).last_at
    until = max(head.until, last) if last else head.until
    return until if until >= made_at.replace(microsecond=0) else None


def begin_afresh() -> None:
    """What the journal tells has a gap before this moment. Called after the commit."""
    name = _name()
    if name is not None and not is_another_shops():
        _tell_who_was_erased(name)
        erasure_journal.write_head(name, clock.now(), is_new=True)


def apply_told(told: Told) -> None:
    """End the links and second addresses that had ended, choose again what was chosen of news, and object
    again. Rows that are newer stay."""
    by_reason: dict[str, list[int]] = {}
    for link_id, why in told.ended_links.items():
        by_reason.setdefault(why, []).append(link_id)
    ended = [
        link_id
        for why, ids in by_reason.items()
        for some in _pieces(ids)
        for link_id in _end(why, Link.id.in_(some))
    ]
    _renew(ended)
    for (customer_id, publication_id), choice in told.news.items():
        if db.session.get(Customer, customer_id) and db.session.get(Publication, publication_id):
            put_choice(customer_id, publication_id, News(choice.news), choice.at)
    for customer_id, second in told.seconds.items():
        end_second_as_told(customer_id, second)
    for link_id in told.objections:
        _object_again(link_id)


def _object_again(link_id: int) -> None:
    """What a mailbox took back is taken back, where it is there: the change may be newer than the backup."""
    link = db.session.get(Link, link_id, populate_existing=True)
    if link is None or link.revoked_at is not None or link.purpose != "undo":
        return
    try:
        with db.session.begin_nested():
            if link.order_id is None:
                undo_change(link)
            else:
                hold_order(link)
    except Refusal:
        log.warning("link %s objects to nothing after the restore", link_id)


def apply_asked(told: Told) -> int:
    """Stop and ask for the erasures that were stopped and asked for, once those that were carried out are
    done again; returns how many."""
    return sum(stand_as_told(number, asked) for number, asked in told.erasures.items())


def end_all_links() -> int:
    """End every link that opens something, and make those of libraries and orders afresh, for the
    button that mails them; returns how many ended. An erasure may have been stopped, too: each that waits
    is told once more."""
    ended = _end(Ended.RESTORED, Link.purpose.not_in(_HARMLESS))
    offers = sa.update(Offer).where(Offer.ended_at.is_(None), Offer.order_id.is_(None))
    db.session.execute(offers.values(ended_at=clock.now()))
    _renew(ended)
    begin_again()
    return len(ended)


def _end(why: str, which: sa.ColumnElement[bool]) -> Sequence[int]:
    ended = sa.update(Link).where(Link.revoked_at.is_(None), which)
    values = ended.values(revoked_at=clock.now(), revoked_reason=why)
    return db.session.scalars(values.returning(Link.id)).all()


def _renew(ended: Sequence[int]) -> None:
    """A link in place of each that ended, which is known to nobody yet."""
    kept = Link.purpose, Link.customer_id, Link.order_id, Link.publication_id
    for some in _pieces(ended):
        found = sa.select(*kept).where(Link.id.in_(some), Link.purpose.in_(_RENEWED))
        fresh = [
            {**row, "reference": tokens.new_reference(), "created_at": clock.now()}
            for row in db.session.execute(found).mappings()
        ]
        if fresh:
            db.session.execute(sa.insert(Link), fresh)


def _pieces(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]


def _name() -> str | None:
    return db.session.scalars(sa.select(Journal.name)).first()
