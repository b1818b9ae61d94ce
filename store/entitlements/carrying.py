"""What is owed of an order that changes hands: the new customer misses no edition and gets none
twice, and nothing more goes to the old one. Called under the order's and its publications' locks."""

from collections.abc import Sequence

import sqlalchemy as sa

from store.catalog.models import Edition, EditionStatus
from store.entitlements.access import rights_of_order
from store.entitlements.confirmation import confirm_again, confirmation_key
from store.entitlements.finding import FIND
from store.entitlements.links import Ended, ensure_links, order_link, revoke_order_links
from store.entitlements.models import Download, Entitlement
from store.entitlements.notices import notice_key, owe_what_was_missed
from store.entitlements.received import CONFIRMATION, NOTICE
from store.kit import clock
from store.kit.database import db
from store.mail import outbox
from store.mail.models import Delivery, DeliveryStatus, Occasion
from store.orders.customers import lock_customers
from store.orders.models import Order

MOVED_AWAY = "the order went to another address"
CAME_WITH = "came with an order that changed hands"


def hand_over(order: Order, customer_id: int, why: str, ended: Ended = Ended.MOVED) -> None:
    """The order and all that hangs on it become the customer's; the other keeps what was sent.
    Its links end for the reason `ended`; its confirmation is owed again, once for `why`."""
    old_id = order.customer_id
    lock_customers([old_id, customer_id])
    for one in (old_id, customer_id):
        outbox.look_again(one)
    order.customer_id = customer_id
    for right in rights_of_order(order.id):
        right.customer_id = customer_id
    db.session.execute(
        sa.update(Download)
        .where(Download.order_id == order.id, Download.customer_id == old_id)
        .values(customer_id=customer_id)
    )
    db.session.flush()
    db.session.expire_all()
    revoke_order_links(order.id, ended)
    confirm_moved(order, why)
    carry_over(order, customer_id, old_id)


def confirm_moved(order: Order, why: str) -> None:
    """Owe the order's confirmation with fresh links to whoever has it now, once for `why`; it
    carries the newest edition that the order opens. Letters of it that wait go there, too, or are
    left out where this one says the same."""
    for line in order.lines:
        ensure_links(order.customer_id, line.publication_id)
    order_link(order.id, order.customer_id)
    outbox.leave_out(
        MOVED_AWAY,
        Delivery.order_id == order.id,
        Delivery.kind == CONFIRMATION,
        Delivery.dedupe_key != confirmation_key(order.id, why),
    )
    waiting = (DeliveryStatus.QUEUED, DeliveryStatus.HELD)
    db.session.execute(
        sa.update(Delivery)
        .where(
            Delivery.order_id == order.id,
            Delivery.status.in_(waiting),
            Delivery.address.is_(None),
            # Those to the other customer: that it is theirs no more, and the links they asked for.
            Delivery.kind.not_in(("order_moved", "order_settled", FIND)),
        )
        .values(customer_id=order.customer_id)
        .execution_options(synchronize_session=False)
    )
    confirm_again(order, why)


def carry_over(order: Order, customer_id: int, old_id: int | None = None) -> None:
    """Owe the customer what the order's rights open and nothing has brought; of several editions
    the newest alone, the others are noted as left out. What waits for the old one is left out,
    unless another right of theirs is owed it."""
    rights = db.session.scalars(
        sa.select(Entitlement).where(
            Entitlement.order_line_id.in_([line.id for line in order.lines])
        )
    ).all()
    for publication_id in sorted({right.publication_id for right in rights}):
        editions = _released(publication_id)
        theirs = [right for right in rights if right.publication_id == publication_id]
        if old_id is not None:
            _leave_out(old_id, publication_id, editions)
        owe_what_was_missed(customer_id, publication_id, Occasion.FIRST_COPY)
        for edition in editions:
            if _concerns(theirs, edition) and not _has_row(customer_id, edition):
                _note_left_out(customer_id, edition)


def _leave_out(old_id: int, publication_id: int, editions: Sequence[Edition]) -> None:
    kept = db.session.scalars(
        sa.select(Entitlement).where(
            Entitlement.customer_id == old_id,
            Entitlement.publication_id == publication_id,
            Entitlement.revoked_at.is_(None),
        )
    ).all()
    over = [edition.id for edition in editions if not _concerns(kept, edition, is_carried=True)]
    outbox.leave_out(
        MOVED_AWAY,
        Delivery.customer_id == old_id,
        Delivery.kind == NOTICE,
        Delivery.edition_id.in_(over),
    )


def _concerns(rights: Sequence[Entitlement], edition: Edition, *, is_carried: bool = False) -> bool:
    """Whether a release of the edition concerns any of the rights; with `is_carried` also where
    the edition came with the purchase."""
    firsts = [right.from_edition.number if right.from_edition else 0 for right in rights]
    return any(first < edition.number + is_carried for first in firsts)


def _released(publication_id: int) -> Sequence[Edition]:
    query = sa.select(Edition).where(
        Edition.publication_id == publication_id, Edition.status == EditionStatus.RELEASED
    )
    return db.session.scalars(query.order_by(Edition.number)).all()


def _has_row(customer_id: int, edition: Edition) -> bool:
    query = sa.select(Delivery.id).where(
        Delivery.customer_id == customer_id, Delivery.edition_id == edition.id
    )
    return db.session.scalars(query.limit(1)).first() is not None


def _note_left_out(customer_id: int, edition: Edition) -> None:
    now = clock.now()
    db.session.add(
        Delivery(
            kind=NOTICE,
            status=DeliveryStatus.SKIPPED,
            reason=CAME_WITH,
            dedupe_key=notice_key(edition.id, customer_id),
            customer_id=customer_id,
            edition_id=edition.id,
            occasion=Occasion.RELEASED,
            created_at=now,
            due_at=now,
        )
    )
    db.session.flush()
