"""What has reached a customer: by letter, asked as part of other queries and for all of a publication;
and what was fetched, noted once for a granted transfer, with where it went."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased, joinedload

from store.catalog.models import Asset, Edition, EditionStatus
from store.catalog.released import ReleasedEdition
from store.entitlements.models import Download, Entitlement
from store.kit import clock
from store.kit.database import UtcDateTime, db, give_connection_back, insert_once_by, one_write
from store.kit.paging import BEGINNING, SHORT_PAGE, Page, paginate
from store.kit.shared_commit import in_sqlite, shared_commit
from store.kit.text import clean_line
from store.mail.models import Delivery, DeliveryStatus
from store.orders.models import Order

# The letters that bring an edition.
NOTICE = "edition_notice"
CONFIRMATION = "order_confirmation"

_HANDED_OVER = (DeliveryStatus.SENT, DeliveryStatus.SENDING)

# Other names of the tables, made once: making them took half of the time of building a query. In each part
# of a query a name is used once.
_edition, _gone, _sound, _out = (
    aliased(Edition),
    aliased(Edition),
    aliased(Edition),
    aliased(Edition),
)
_letter, _had, _after = aliased(Delivery), aliased(Delivery), aliased(Delivery)
_right, _since = aliased(Entitlement), aliased(Entitlement)


def has_copy(customer_id: Any, publication_id: Any) -> sa.ColumnElement[bool]:
    """Whether an edition that still stands has reached a customer under a right that stands, as
    part of another query: handed over by letter, on its way with a confirmation, or had elsewhere
    before an import. A withdrawn edition is no copy, nor is one that came before a refund."""
    edition, letter, right = _edition, _letter, _right
    by_letter = (
        sa.exists()
        .correlate_except(edition, letter)
        .where(
            edition.publication_id == publication_id,
            edition.status == EditionStatus.RELEASED,
            letter.edition_id == edition.id,
            letter.customer_id == customer_id,
            letter.created_at >= held_since(customer_id, publication_id),
            sa.or_(
                letter.status.in_(_HANDED_OVER),
                sa.and_(letter.kind == CONFIRMATION, letter.status == DeliveryStatus.QUEUED),
            ),
        )
    )
    elsewhere = (
        sa.exists()
        .correlate_except(right)
        .where(
            right.customer_id == customer_id,
            right.publication_id == publication_id,
            is_elsewhere(right),
        )
    )
    return sa.or_(by_letter, elsewhere)


# Built once: building and taking apart a statement costs more than running it.
_CAME_BACK = (
    sa.select(Delivery.id)
    .where(
        Delivery.customer_id == sa.bindparam("customer_id"),
        Delivery.status.in_((DeliveryStatus.BOUNCED, DeliveryStatus.FAILED)),
        Delivery.address.is_(None),
        sa.or_(
            Delivery.order_id == sa.bindparam("order_id"),
            sa.and_(
                Delivery.kind == NOTICE,
                Delivery.edition_id.in_(sa.bindparam("editions", expanding=True)),
                Delivery.created_at >= sa.bindparam("placed_at", type_=UtcDateTime()),
            ),
        ),
    )
    .limit(1)
)


def has_come_back(order: Order, editions: Iterable[Edition | ReleasedEdition]) -> bool:
    """Whether a letter that this order is owed came back, or was refused for good, and nothing was
    done about it: one of its own, or the notice of one of the `editions` that its rights open.
    Other letters of the customer are none of the business of who holds the order's link."""
    which = {
        "customer_id": order.customer_id,
        "order_id": order.id,
        "placed_at": order.placed_at,
        "editions": [edition.id for edition in editions],
    }
    return db.session.execute(_CAME_BACK, which).first() is not None


def is_elsewhere(right: Any, publication_id: int | None = None) -> sa.ColumnElement[bool]:
    """Whether a right stands for a copy from before an import: with an edition, or with one that
    was out by then. With the publication's id the database looks up once when its first came out."""
    edition = _out
    of_which = right.publication_id if publication_id is None else publication_id
    first_out_at = (
        sa.select(sa.func.min(edition.released_at))
        .where(edition.publication_id == of_which, edition.status == EditionStatus.RELEASED)
        .correlate_except(edition)
        .scalar_subquery()
    )
    is_imported = right.order_line_id.is_(None)
    was_out = first_out_at < right.granted_at
    return sa.and_(is_imported, sa.or_(right.from_edition_id.is_not(None), was_out))


def has_withdrawn(customer_id: Any, publication_id: Any) -> sa.ColumnElement[bool]:
    """Whether the newest edition that was handed over to a customer has been withdrawn since, as
    part of another query: what comes next puts that right."""
    gone, sound, had, since = _gone, _sound, _had, _after
    put_right = (
        sa.exists()
        .correlate_except(sound, since)
        .where(
            sound.publication_id == publication_id,
            sound.status == EditionStatus.RELEASED,
            sound.number > gone.number,
            since.edition_id == sound.id,
            since.customer_id == customer_id,
            since.status.in_(_HANDED_OVER),
        )
    )
    return (
        sa.exists()
        .correlate_except(gone, had)
        .where(
            gone.publication_id == publication_id,
            gone.status == EditionStatus.WITHDRAWN,
            had.edition_id == gone.id,
            had.customer_id == customer_id,
            had.created_at >= held_since(customer_id, publication_id),
            had.status.in_(_HANDED_OVER),
            ~put_right,
        )
    )


def held_since(customer_id: Any, publication_id: Any) -> sa.ScalarSelect[datetime]:
    """Since when a customer has had a right to a publication that was not taken back, as part of
    another query: what came before does not count."""
    right = _since
    return (
        sa.select(sa.func.min(right.granted_at))
        .where(
            right.customer_id == customer_id,
            right.publication_id == publication_id,
            right.revoked_at.is_(None),
        )
        .correlate_except(right)
        .scalar_subquery()
    )


def handed_over(publication_id: int) -> sa.Select[Any]:
    """What `has_copy` and `has_withdrawn` ask, for all customers of a publication at once, one row
    each: `sound_at`, when a letter with an edition that stands was last owed that has come or comes;
    the numbers of the newest edition handed over that stands and that was withdrawn, and when."""
    is_sound = Edition.status == EditionStatus.RELEASED
    is_gone = Edition.status == EditionStatus.WITHDRAWN
    has_come = Delivery.status.in_(_HANDED_OVER)
    comes = sa.and_(Delivery.kind == CONFIRMATION, Delivery.status == DeliveryStatus.QUEUED)

    def newest(value: Any, *when: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
        return sa.func.max(sa.case((sa.and_(*when), value)))

    return (
        sa.select(
            Delivery.customer_id,
            newest(Delivery.created_at, is_sound).label("sound_at"),
            newest(Edition.number, is_sound, has_come).label("sound_number"),
            newest(Edition.number, is_gone, has_come).label("gone_number"),
            newest(Delivery.created_at, is_gone, has_come).label("gone_at"),
        )
        .join(Edition, Edition.id == Delivery.edition_id)
        .where(
            Edition.publication_id == publication_id,
            Delivery.customer_id.is_not(None),
            sa.or_(has_come, comes),
        )
        .group_by(Delivery.customer_id)
    )


def record_download(
    grant_token: str,
    customer_id: int,
    asset_id: int,
    *,
    order_id: int | None = None,
    network: str = "",
    user_agent: str = "",
) -> bool:
    """Count a granted transfer once, however many ranges and tries it takes; True if it is new.
    `order_id` is that of the order link it was fetched behind; `network` and `user_agent` of the
    first are kept, should the payment be disputed. Durable once it returns, in a transaction of its
    own, which on SQLite is shared with the other downloads that wait for one at this moment."""
    row: dict[str, Any] = {
        "grant_digest": grant_digest(grant_token),
        "customer_id": customer_id,
        "asset_id": asset_id,
        "order_id": order_id,
        "started_at": clock.now(),
        "network": network[:45],
        "user_agent": clean_line(user_agent)[:300],
    }
    if db.engine.dialect.name != "sqlite":
        with one_write() as connection:
            return insert_once_by(connection, Download, row) is not None
    give_connection_back()
    row["started_at"] = in_sqlite(clock.now())
    return shared_commit().write(lambda driver: bool(driver.execute(_RECORD, row).rowcount))


# Said to the driver itself, as SQLAlchemy costs a statement many times what the database does.
_RECORD = (
    "INSERT INTO downloads"
    " (grant_digest, customer_id, asset_id, order_id, started_at, network, user_agent) VALUES"
    " (:grant_digest, :customer_id, :asset_id, :order_id, :started_at, :network, :user_agent)"
    " ON CONFLICT DO NOTHING"
)

_RECORDED = sa.select(Download.id).where(
    Download.grant_digest == sa.bindparam("digest"), Download.asset_id == sa.bindparam("asset_id")
)


def is_recorded(grant_token: str, asset_id: int) -> bool:
    """Whether this transfer was counted already, so that a resumed one need not write."""
    which = {"digest": grant_digest(grant_token), "asset_id": asset_id}
    return db.session.connection().execute(_RECORDED, which).first() is not None


def downloads_of(customer_id: int) -> Page[Download]:
    """What a customer fetched, newest first."""
    query = (
        sa.select(Download)
        .where(Download.customer_id == customer_id)
        .options(joinedload(Download.asset))
    )
    return paginate(query, BEGINNING, Download.id.desc(), size=SHORT_PAGE)


def fetched_of(customer_id: int) -> set[int]:
    """The editions of which a customer has fetched a file."""
    query = sa.select(Asset.edition_id).join(Download, Download.asset_id == Asset.id)
    return set(db.session.scalars(query.where(Download.customer_id == customer_id)))


def grant_digest(token: str) -> str:
    """What stands for a download's token in the table: it must not be usable from there."""
    return hashlib.sha256(token.encode()).hexdigest()
