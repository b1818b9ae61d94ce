"""What came back is mended: the address repaired or given up, what was missed sent once; and what a
complaint stops."""

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from store.catalog.models import Edition, EditionStatus
from store.entitlements.merging import TOGETHER
from store.entitlements.models import Entitlement
from store.entitlements.notices import NEWER, UNSENT, is_recalled, leave_older_out, stop_notices
from store.entitlements.received import NOTICE
from store.kit import clock
from store.kit.database import db, transaction
from store.mail import holds, outbox, returns
from store.mail.models import (
    AddressHold,
    Delivery,
    DeliveryStatus,
    Occasion,
    Repair,
    RepairEnd,
)
from store.orders.models import Customer

_UNDER_WAY = (*UNSENT, DeliveryStatus.SENDING)


def send_missed(customer_id: int, who: str) -> int:
    """Queue what a customer missed, after the address was repaired (see `release_held`), and end
    what was to be repaired at another address than theirs now. Of several editions of a
    publication the newest alone is sent, and none that has reached them by another letter.
    Returns how many were queued."""
    _end(customer_id, RepairEnd.CORRECTED, who, Repair.address_key != _key_of(customer_id))
    missed = outbox.release_held(customer_id, who)
    queued = len(missed)
    queued -= _leave_out_what_came(customer_id, missed)
    theirs = sa.select(Entitlement.publication_id).where(Entitlement.customer_id == customer_id)
    for publication_id in db.session.scalars(theirs.distinct()).all():
        queued -= leave_older_out(publication_id, [customer_id])
    return queued


def _leave_out_what_came(customer_id: int, missed: list[int]) -> int:
    """Of notices that were missed, leave out those of an edition that another letter has brought
    or is to bring, or a newer one of its publication; what a person sends again stays."""
    older, newer, other = aliased(Edition), aliased(Edition), aliased(Delivery)
    has_come = other.status.in_((DeliveryStatus.SENT, DeliveryStatus.SENDING))
    comes = sa.and_(other.status.in_(UNSENT), ~is_recalled(newer.id))
    of_newer = (
        sa.exists()
        .correlate_except(older, newer, other)
        .where(
            older.id == Delivery.edition_id,
            newer.publication_id == older.publication_id,
            newer.number > older.number,
            newer.status == EditionStatus.RELEASED,
            other.edition_id == newer.id,
            other.customer_id == customer_id,
            other.kind == NOTICE,
            sa.or_(has_come, comes),
        )
    )
    same = aliased(Delivery)
    of_same = (
        sa.exists()
        .correlate_except(same)
        .where(
            same.edition_id == Delivery.edition_id,
            same.customer_id == customer_id,
            same.kind == NOTICE,
            same.id != Delivery.id,
            sa.or_(
                same.status.in_((DeliveryStatus.SENT, DeliveryStatus.SENDING)),
                sa.and_(same.status.in_(UNSENT), same.id < Delivery.id),
            ),
        )
    )
    which = (
        Delivery.id.in_(missed),
        Delivery.kind == NOTICE,
        Delivery.occasion != Occasion.RESENT,
    )
    left_out = outbox.leave_out(TOGETHER, *which, of_same)
    return left_out + outbox.leave_out(NEWER, *which, of_newer)


def _key_of(customer_id: int) -> str:
    query = sa.select(Customer.email_key).where(Customer.id == customer_id)
    return db.session.scalar(query) or ""


def free_address(customer_id: int) -> None:
    """The address that a customer has now is right: letters leave to it again. For who proved it,
    or staff who say so; `send_missed` follows."""
    key = _key_of(customer_id)
    holds.free(key)
    _end(customer_id, RepairEnd.CORRECTED, "", Repair.address_key == key)


def _end(
    customer_id: int | None,
    how: RepairEnd,
    who: str,
    *which: sa.ColumnElement[bool],
    word: str = "",
) -> None:
    db.session.execute(
        sa.update(Repair)
        .where(Repair.customer_id == customer_id, Repair.ended_at.is_(None), *which)
        .values(ended_at=clock.now(), how=how, who=who, word=word)
        .execution_options(synchronize_session=False)
    )


def free_accepted() -> None:
    """End the soft holds of addresses that took a letter since, and send what was missed there
    (timetable)."""
    taken = sa.select(AddressHold.address_key).where(AddressHold.accepted_at.is_not(None))
    for key in db.session.scalars(taken).all():
        with transaction() as session:
            is_still = AddressHold.accepted_at.is_not(None)
            freed = session.execute(
                sa.delete(AddressHold)
                .where(AddressHold.address_key == key, is_still)
                .returning(AddressHold.id)
            ).first()
            owner = session.scalar(sa.select(Customer.id).where(Customer.email_key == key))
            if freed is not None and owner is not None:
                _end(owner, RepairEnd.ACCEPTED, "shop", Repair.address_key == key)
                send_missed(owner, "shop")


def forget_holds() -> None:
    """Forget what came back from addresses that are no customer's any more (timetable)."""
    with transaction() as session:
        is_known = sa.exists().where(Customer.email_key == AddressHold.address_key)
        session.execute(
            sa.delete(AddressHold)
            .where(AddressHold.came_at < outbox.long_past(), ~is_known)
            .execution_options(synchronize_session=False)
        )
        is_on_file = sa.exists().where(Customer.email_key == Repair.address_key)
        session.execute(
            sa.update(Repair)
            .where(
                Repair.ended_at < outbox.long_past(),
                Repair.address_key != "",
                ~is_on_file,
            )
            .values(address_key="", words="")
            .execution_options(synchronize_session=False)
        )


def _complained(delivery: Delivery) -> None:
    """News of that publication stops; the copy stays."""
    if delivery.customer_id is None or delivery.edition_id is None:
        return
    edition = db.session.get_one(Edition, delivery.edition_id)
    stop_notices(delivery.customer_id, edition.publication_id, complained=True)


returns.register_rules(
    returns.Rules(
        key_of=_key_of,
        send_missed=lambda customer_id: send_missed(customer_id, "shop"),
        complained=_complained,
    )
)
