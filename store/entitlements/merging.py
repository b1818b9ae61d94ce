"""Two customers become one: all that was the one's is the other's, and no edition comes twice."""

from collections import defaultdict
from collections.abc import Sequence
from math import inf

import sqlalchemy as sa

from store.catalog.publications import lock_publication
from store.entitlements.access import has_rights
from store.entitlements.links import Ended, revoke_pending, undo_ends_at
from store.entitlements.models import Entitlement, Erasure, Link, NoticeStop, fewer_news
from store.entitlements.notices import UNSENT, notice_key
from store.entitlements.on_file import Why, end_second
from store.entitlements.received import NOTICE
from store.kit import clock
from store.kit.database import Base, db
from store.kit.errors import Refusal
from store.kit.formatting import format_moment
from store.kit.status import StatusChange, advance, record_change
from store.mail import outbox
from store.mail.models import Delivery, DeliveryStatus
from store.orders.customers import lock_customers, take_name
from store.orders.models import Customer, Order
from store.orders.orders import locking

TOGETHER = "two customers became one"
# Of two notices of one edition the one that got furthest stands for it.
_FURTHEST = (
    DeliveryStatus.SENT,
    DeliveryStatus.SENDING,
    DeliveryStatus.QUEUED,
    DeliveryStatus.HELD,
    DeliveryStatus.BOUNCED,
    DeliveryStatus.FAILED,
    DeliveryStatus.SKIPPED,
)


class CustomerMerged(Refusal):
    """A customer who was brought together with another, and has nothing any more."""

    heading = "This customer is one with another"
    sentence = (
        "This customer was brought together with another one. Look at the other before you go on."
    )


class CustomerErased(Refusal):
    """A customer of whom nothing is known any more."""

    status = 410
    heading = "This customer is erased"
    sentence = (
        "All that was known of this customer is gone, as was asked for. Their orders stay for the "
        "accounts, without a name."
    )


class ObjectionOpen(Refusal):
    """A customer whose address was changed, while the mailbox before can still undo that."""

    status = 409
    heading = "That change of address can still be undone"


def lock_histories(
    customer_ids: Sequence[int], *, beside: sa.ColumnElement[bool] | None = None
) -> dict[int, Customer]:
    """Lock all that customers have, and the orders `beside` it: orders, publications shared, then
    the customers, in the order in which granting and releasing do. Where something came to them
    while this waited, all is let go and locked again with it."""
    theirs = Order.customer_id.in_(customer_ids)
    orders = sa.select(Order.id).where(theirs if beside is None else sa.or_(theirs, beside))
    publications = sa.select(Entitlement.publication_id).where(
        Entitlement.customer_id.in_(customer_ids)
    )
    while True:
        with db.session.begin_nested() as attempt:
            locked = set(db.session.scalars(locking(orders.order_by(Order.id))))
            shared = set(db.session.scalars(publications))
            for publication_id in sorted(shared):
                lock_publication(publication_id)
            customers = lock_customers(customer_ids, for_address=True)
            if not _has_more(orders, locked) and not _has_more(publications, shared):
                return customers
            attempt.rollback()


def refuse_merged(*customers: Customer) -> None:
    """Refuse a customer who was brought together with another, or erased. Called under their locks: what was
    read before may have been another's to change."""
    if any(customer.merged_into_id is not None for customer in customers):
        raise CustomerMerged
    if any(customer.erased_at is not None for customer in customers):
        raise CustomerErased


def refuse_open_objection(gone: Customer) -> None:
    """Refuse (`ObjectionOpen`) to give away what a mailbox can still take back: who took it over by
    another address would be rid of the objection by becoming one with a third."""
    which = Link.customer_id == gone.id, Link.purpose == "undo", Link.order_id.is_(None)
    links = db.session.scalars(sa.select(Link).where(*which, Link.revoked_at.is_(None)))
    ends_at = max((undo_ends_at(link) for link in links), default=None)
    if ends_at is not None and ends_at >= clock.now():
        raise ObjectionOpen(
            f"The address {gone.email} is new, and the mailbox before can undo the change until "
            f"{format_moment(ends_at)}. Let {gone.email} be the one that stays, or wait until then."
        )


def _has_more(query: sa.Select[int], known: set[int]) -> bool:
    return not known.issuperset(db.session.scalars(query))


def bring_together(gone: Customer, kept: Customer, who: str) -> None:
    """Give `kept` everything of `gone`, whose address is free afterwards. Called after
    `lock_histories`; the links of `kept` are for the caller to end.

    `gone` keeps its row, so that its number is nobody else's, and has nothing any more.
    """
    # A customer who never had a right may be named by anybody who typed the address.
    gone_id, kept_id, name = gone.id, kept.id, gone.name if has_rights(gone.id) else ""
    outbox.look_again(gone_id)
    end_second(gone_id, Why.MERGED, who, unless_key=kept.email_key)
    revoke_pending("undo", Ended.UNDONE, customer_id=gone_id, order_id=None)
    _end_erasure(gone_id, who)
    gone.email, gone.email_key = "", f"merged:{gone_id}"
    gone.name = ""
    gone.merged_into_id = kept_id
    db.session.flush()
    _one_imported_right_each(gone_id, kept_id)
    _one_stop_each(gone_id, kept_id)
    _one_notice_each(gone_id, kept_id, who)
    _hand_over_rows(gone_id, kept_id)
    db.session.expire_all()
    if not kept.name:
        take_name(kept, name)
    record_change(db.session(), "customers", kept_id, "two", "one", who=who, why=TOGETHER)
    db.session.flush()


def _end_erasure(gone_id: int, who: str) -> None:
    """What was asked for of the one is not done to both."""
    revoke_pending("keep", Ended.KEPT, customer_id=gone_id)
    is_open = Erasure.stopped_at.is_(None), Erasure.done_at.is_(None)
    ended = sa.update(Erasure).where(Erasure.customer_id == gone_id, *is_open)
    db.session.execute(ended.values(stopped_at=clock.now(), stopped_by=who))


def _hand_over_rows(gone_id: int, kept_id: int) -> None:
    """Every column of every table that names a customer, so that none can be forgotten."""
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if any(key.column.table.name == "customers" for key in column.foreign_keys):
                if table.name == "customers":
                    continue
                db.session.execute(
                    sa.update(table).where(column == gone_id).values({column.name: kept_id})
                )
    db.session.execute(
        sa.update(StatusChange)
        .where(StatusChange.entity == "customers", StatusChange.entity_id == gone_id)
        .values(entity_id=kept_id)
    )


def _one_imported_right_each(gone_id: int, kept_id: int) -> None:
    rights = db.session.scalars(
        sa.select(Entitlement)
        .where(Entitlement.customer_id.in_((gone_id, kept_id)), Entitlement.order_line_id.is_(None))
        .order_by(Entitlement.customer_id == gone_id)
    ).all()
    by_publication: dict[int, list[Entitlement]] = defaultdict(list)
    for right in rights:
        by_publication[right.publication_id].append(right)
    for pair in by_publication.values():
        if len(pair) == 2:
            _join(*pair)
    db.session.flush()


def _join(kept: Entitlement, gone: Entitlement) -> None:
    """One right that opens what either did."""
    standing = [right for right in (kept, gone) if right.revoked_at is None] or [kept]
    firsts = [right.from_edition for right in standing]
    known = [edition for edition in firsts if edition is not None]
    first = min(known, key=lambda edition: edition.number) if len(known) == len(firsts) else None
    longest = _longest(standing)
    kept.granted_at = min(right.granted_at for right in standing)
    kept.available_at = min(right.available_at for right in standing)
    kept.updates_months, kept.updates_until = longest.updates_months, longest.updates_until
    kept.from_edition_id = first.id if first else None
    kept.suspended_at = standing[-1].suspended_at and standing[0].suspended_at
    kept.revoked_at, kept.revoked_reason = standing[0].revoked_at, standing[0].revoked_reason
    db.session.delete(gone)


def _longest(rights: Sequence[Entitlement]) -> Entitlement:
    """The right whose updates end last: never, or else the months that have not begun, or else the
    latest day."""
    unended = [one for one in rights if one.updates_until is None]
    if unended:
        return max(unended, key=lambda one: one.updates_months or inf)
    return max(rights, key=lambda one: one.updates_until or one.granted_at)


def _one_stop_each(gone_id: int, kept_id: int) -> None:
    """The choice of fewer news holds, under whichever address it was made."""
    stops = db.session.scalars(
        sa.select(NoticeStop).where(NoticeStop.customer_id.in_((gone_id, kept_id)))
    ).all()
    theirs = {stop.publication_id: stop for stop in stops if stop.customer_id == kept_id}
    for stop in stops:
        other = theirs.get(stop.publication_id)
        if stop.customer_id == gone_id and other is not None:
            other.stopped_at, other.matters_pass = fewer_news(other.columns, stop.columns)
            db.session.delete(stop)
    db.session.flush()


def _one_notice_each(gone_id: int, kept_id: int, who: str) -> None:
    """Of the notices of one edition one stands in the account of its release; what waited beside
    it is left out, and what was sent stays in the history."""
    rows = db.session.scalars(
        sa.select(Delivery)
        .where(
            Delivery.kind == NOTICE,
            Delivery.edition_id.is_not(None),
            Delivery.customer_id.in_((gone_id, kept_id)),
        )
        .order_by(Delivery.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    by_edition: dict[int, list[Delivery]] = defaultdict(list)
    for row in rows:
        by_edition[row.edition_id or 0].append(row)
    for edition_id, notices in by_edition.items():
        if all(row.customer_id == kept_id for row in notices):
            continue
        for row in notices:
            row.dedupe_key = f"merging:{row.id}"
        db.session.flush()
        best, *rest = sorted(
            notices, key=lambda row: (_FURTHEST.index(row.status), not row.batch_id)
        )
        best.dedupe_key = notice_key(edition_id, kept_id)
        # Numbered as `owe_copy` numbers what it owes again.
        for number, row in enumerate(rest, 1):
            row.dedupe_key = notice_key(edition_id, kept_id, number)
            row.batch_id = None
            if row.status in UNSENT:
                advance(row, DeliveryStatus.SKIPPED, who=who, why=TOGETHER)
                row.reason = TOGETHER
                row.claimed_by = row.claimed_at = None
        db.session.flush()
