"""Tables of rights: entitlements, links, second addresses, downloads, who stopped which notices."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from store.catalog.models import Asset, Edition, Publication
from store.kit.database import Base
from store.orders.models import Customer, OrderLine

# Why money took a right back; what money took, money brings back.
REFUNDED = "refunded"
DISPUTE_LOST = "dispute lost"
GIFT_TAKEN_BACK = "gift taken back"
# Why a right that was not taken back opens nothing now.
SUSPENDED = "suspended"
HELD = "held, as somebody objected to the order’s move"


class Entitlement(Base):
    """The right of one customer to the editions of one publication; times are facts, no status."""

    __tablename__ = "entitlements"
    __table_args__ = (
        sa.UniqueConstraint("order_line_id", "seat"),
        # A customer who was imported has one right per publication, however often it is repeated.
        sa.Index(
            "uq_entitlements_imported",
            "customer_id",
            "publication_id",
            unique=True,
            sqlite_where=sa.text("order_line_id IS NULL"),
            postgresql_where=sa.text("order_line_id IS NULL"),
        ),
        sa.Index("ix_entitlements_publication_id_customer_id", "publication_id", "customer_id"),
        sa.Index("ix_entitlements_customer_id", "customer_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    publication_id: Mapped[int] = mapped_column(sa.ForeignKey("publications.id"))
    order_line_id: Mapped[int | None] = mapped_column(sa.ForeignKey("order_lines.id"))
    seat: Mapped[int] = mapped_column(default=1)
    granted_at: Mapped[datetime]
    available_at: Mapped[datetime]  # no copy before; later than granted_at without the waiver
    # What the confirmation carried; null: a pre-order, so every edition is still owed.
    from_edition_id: Mapped[int | None] = mapped_column(sa.ForeignKey("editions.id"))
    updates_months: Mapped[int | None]
    updates_until: Mapped[datetime | None]  # null: without end, or a pre-order before edition 1
    suspended_at: Mapped[datetime | None]
    held_at: Mapped[datetime | None]  # as its order is
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str] = mapped_column(sa.String(100), default="")

    customer: Mapped[Customer] = relationship()
    publication: Mapped[Publication] = relationship()
    order_line: Mapped[OrderLine | None] = relationship()
    from_edition: Mapped[Edition | None] = relationship()


class Link(Base):
    """The row behind a signed address; revoking it kills every spelling of the address."""

    __tablename__ = "links"
    __table_args__ = (
        sa.Index("ix_links_customer_id_purpose", "customer_id", "purpose"),
        sa.Index("ix_links_order_id", "order_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(sa.String(22), unique=True)
    purpose: Mapped[str] = mapped_column(sa.String(20))  # one of `links.PATHS`
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    order_id: Mapped[int | None] = mapped_column(sa.ForeignKey("orders.id"))
    publication_id: Mapped[int | None] = mapped_column(sa.ForeignKey("publications.id"))
    # The address that the link proves, or that its undoing restores.
    new_email: Mapped[str | None] = mapped_column(sa.String(320))
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    # What ended it, for the page that says so: one of `links.Ended`, or empty.
    revoked_reason: Mapped[str] = mapped_column(sa.String(40), default="", server_default="")

    customer: Mapped[Customer] = relationship()


class OrderMove(Base):
    """An order went to another address; times are facts. An order moves once."""

    __tablename__ = "order_moves"
    __table_args__ = (sa.UniqueConstraint("order_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"))
    from_customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    to_customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    moved_at: Mapped[datetime]
    held_at: Mapped[datetime | None]  # the old address objected
    settled_at: Mapped[datetime | None]  # a person decided
    is_given_back: Mapped[bool] = mapped_column(default=False)
    settled_by: Mapped[str] = mapped_column(sa.String(200), default="")

    from_customer: Mapped[Customer] = relationship(foreign_keys=[from_customer_id])
    to_customer: Mapped[Customer] = relationship(foreign_keys=[to_customer_id])


class SecondAddress(Base):
    """Another mailbox of a customer, proved by a press in a letter to it; on file from `on_file_at`
    on. Once it is refused or taken out its row is gone."""

    __tablename__ = "second_addresses"
    # One for each customer, and each the second of one customer alone. It may be another's first:
    # anybody may type any address in an order, which is to bar the way to nobody.
    __table_args__ = (sa.UniqueConstraint("customer_id"), sa.UniqueConstraint("email_key"))

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    email: Mapped[str] = mapped_column(sa.String(320))
    email_key: Mapped[str] = mapped_column(sa.String(320))
    proved_at: Mapped[datetime]
    on_file_at: Mapped[datetime]


class CustomerMerge(Base):
    """Staff made one customer of two. For 14 days it holds what parts them."""

    __tablename__ = "customer_merges"
    __table_args__ = (sa.Index("ix_customer_merges_kept_id", "kept_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kept_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    # No key, as rows that name a customer follow them, and this one is to stay.
    gone_id: Mapped[int]
    who: Mapped[str] = mapped_column(sa.String(200))
    merged_at: Mapped[datetime]
    parted_at: Mapped[datetime | None]
    parted_by: Mapped[str] = mapped_column(sa.String(200), default="")
    # Their address and name, and which rows were whose; null once they can be parted no more.
    before: Mapped[dict[str, Any] | None]


class News(StrEnum):
    """What a customer hears of new editions of a publication, from more to fewer."""

    EVERY = "every"
    MATTERS = "matters"
    NOTHING = "nothing"

    def is_more_than(self, other: "News") -> bool:
        """Whether who hears this hears of editions that the other leaves out."""
        return list(News).index(self) < list(News).index(other)


class NoticeStop(Base):
    """A customer asked to hear of no new editions of a publication, or of what matters alone; undone,
    it has no time."""

    __tablename__ = "notice_stops"
    __table_args__ = (sa.UniqueConstraint("customer_id", "publication_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    publication_id: Mapped[int] = mapped_column(sa.ForeignKey("publications.id"))
    stopped_at: Mapped[datetime | None]
    # Editions that matter come all the same.
    matters_pass: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    # It was not asked for: the reader told the mailbox that the letter was unwanted.
    complained_at: Mapped[datetime | None]

    @property
    def news(self) -> News:
        """What the customer hears."""
        return news_by(*self.columns)

    @property
    def columns(self) -> tuple[datetime | None, bool]:
        """The choice as it is kept."""
        return self.stopped_at, self.matters_pass


def fewer_news(
    one: tuple[datetime | None, bool], other: tuple[datetime | None, bool]
) -> tuple[datetime | None, bool]:
    """Of two choices, as columns of a stop, that of fewer news; the first where both are alike."""
    return other if news_by(*one).is_more_than(news_by(*other)) else one


def news_by(stopped_at: datetime | None, matters_pass: bool | None) -> News:
    """What these columns of a stop say; of a customer without one as well."""
    if stopped_at is None:
        return News.EVERY
    return News.MATTERS if matters_pass else News.NOTHING


class Download(Base):
    """One granted transfer of one asset, counted once however many ranges it took."""

    __tablename__ = "downloads"
    __table_args__ = (
        sa.UniqueConstraint("grant_digest", "asset_id"),
        sa.Index("ix_downloads_customer_id", "customer_id"),
        sa.Index("ix_downloads_asset_id", "asset_id"),
        sa.Index("ix_downloads_order_id", "order_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    grant_digest: Mapped[str] = mapped_column(sa.String(64))  # SHA-256 of the token
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    asset_id: Mapped[int] = mapped_column(sa.ForeignKey("assets.id"))
    # Fetched behind the link of this order; null: behind a library link.
    order_id: Mapped[int | None] = mapped_column(sa.ForeignKey("orders.id"))
    started_at: Mapped[datetime]
    # Evidence, should the payment be disputed: from where.
    network: Mapped[str] = mapped_column(sa.String(45), default="", server_default="")
    user_agent: Mapped[str] = mapped_column(sa.String(300), default="", server_default="")

    asset: Mapped[Asset] = relationship()


class Erasure(Base):
    """A customer, or staff for them, asked that all that is known of them goes; times are facts. It
    waits from `due_at` on for what has to be settled first."""

    __tablename__ = "erasures"
    __table_args__ = (
        sa.Index("ix_erasures_customer_id", "customer_id"),
        sa.Index(
            "uq_erasures_open",
            "customer_id",
            unique=True,
            sqlite_where=sa.text("stopped_at IS NULL AND done_at IS NULL"),
            postgresql_where=sa.text("stopped_at IS NULL AND done_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    asked_at: Mapped[datetime]
    due_at: Mapped[datetime]
    who: Mapped[str] = mapped_column(sa.String(200))
    stopped_at: Mapped[datetime | None]
    stopped_by: Mapped[str] = mapped_column(sa.String(200), default="")
    done_at: Mapped[datetime | None]


class Journal(Base):
    """Which file keeps, outside the database, what a backup must not undo: one row."""

    __tablename__ = "journals"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(22))  # as the file's own head says
