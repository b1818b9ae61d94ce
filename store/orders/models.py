"""Tables of orders: customers, orders with their lines, and what was consented to."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from store.catalog.models import Publication, Seller
from store.kit.database import Base, status_type
from store.kit.searched import searched
from store.kit.status import Status
from store.kit.text import LONGEST_NOTE


class OrderStatus(Status):
    """Money that arrived wins: an expired or cancelled order can still become paid."""

    PENDING = "pending"
    PAID = "paid"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @classmethod
    def moves(cls) -> dict["OrderStatus", set["OrderStatus"]]:
        return {
            cls.PENDING: {cls.PAID, cls.EXPIRED, cls.CANCELLED},
            cls.EXPIRED: {cls.PAID},
            cls.CANCELLED: {cls.PAID},
        }


class Customer(Base):
    """A person known by an e-mail address, kept as typed and compared without regard to case."""

    __tablename__ = "customers"
    __table_args__ = (
        sa.Index(
            "ix_customers_merged_into_id",
            "merged_into_id",
            sqlite_where=sa.text("merged_into_id IS NOT NULL"),
            postgresql_where=sa.text("merged_into_id IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(320))
    email_key: Mapped[str] = mapped_column(sa.String(320), unique=True)
    name: Mapped[str] = mapped_column(sa.String(200), default="")
    search_key: Mapped[str] = searched("name", "email")
    created_at: Mapped[datetime]
    # The customer this one was merged with, who has all that was theirs; no address then.
    merged_into_id: Mapped[int | None] = mapped_column(sa.ForeignKey("customers.id"))
    # All that was known of the person is gone; the number stays, as accounts are counted by it.
    erased_at: Mapped[datetime | None]


class CustomerNote(Base):
    """What staff note of a customer."""

    __tablename__ = "customer_notes"
    __table_args__ = (sa.Index("ix_customer_notes_customer_id", "customer_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    text: Mapped[str] = mapped_column(sa.String(1000))
    who: Mapped[str] = mapped_column(sa.String(200))
    written_at: Mapped[datetime]


class Order(Base):
    """A purchase as it was agreed; later edits of anything never rewrite it."""

    __tablename__ = "orders"
    __table_args__ = (
        sa.Index("ix_orders_customer_id", "customer_id"),
        sa.Index("ix_orders_status_placed_at", "status", "placed_at"),
        sa.Index("ix_orders_status_id", "status", "id"),
        sa.Index(
            "ix_orders_held",
            "id",
            sqlite_where=sa.text("held_at IS NOT NULL"),
            postgresql_where=sa.text("held_at IS NOT NULL"),
        ),
        sa.Index(
            "ix_orders_paid_at",
            "paid_at",
            sqlite_where=sa.text("paid_at IS NOT NULL"),
            postgresql_where=sa.text("paid_at IS NOT NULL"),
        ),
        sa.Index("ix_orders_discount_id_customer_id", "discount_id", "customer_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(sa.String(12), unique=True)
    form_key: Mapped[str] = mapped_column(sa.String(40), unique=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    seller_id: Mapped[int] = mapped_column(sa.ForeignKey("sellers.id"))
    status: Mapped[OrderStatus] = mapped_column(status_type(OrderStatus))
    email: Mapped[str] = mapped_column(sa.String(320))
    name: Mapped[str] = mapped_column(sa.String(200), default="")
    organisation: Mapped[str] = mapped_column(sa.String(200), default="")
    purchase_order_number: Mapped[str] = mapped_column(sa.String(60), default="")
    search_key: Mapped[str] = searched("name", "organisation", "purchase_order_number")
    # As the buyer says where the receipt goes; money and rights do not follow from it.
    billing_address: Mapped[str] = mapped_column(sa.Text, default="", server_default="")
    vat_number: Mapped[str] = mapped_column(sa.String(40), default="", server_default="")
    country: Mapped[str] = mapped_column(sa.String(2), default="GB", server_default="GB")
    # Of the lines' prices: taken off, under this name, by this discount or by a person's gift.
    discount_amount: Mapped[int] = mapped_column(default=0, server_default="0")
    discount_label: Mapped[str] = mapped_column(sa.String(100), default="", server_default="")
    discount_id: Mapped[int | None] = mapped_column(sa.ForeignKey("discounts.id"))
    given_reason: Mapped[str] = mapped_column(
        sa.String(LONGEST_NOTE), default="", server_default=""
    )
    total_amount: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    # Where it was placed from: evidence, should the payment be disputed.
    network: Mapped[str] = mapped_column(sa.String(45), default="", server_default="")
    user_agent: Mapped[str] = mapped_column(sa.String(300), default="", server_default="")
    placed_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]
    # Until when it keeps a place of a limited discount unpaid; null: for as long as it is pending.
    place_until: Mapped[datetime | None]
    # Its move to another address was objected to, and a person decides.
    held_at: Mapped[datetime | None]
    # Its customer came to its address then, where a stranger may have placed it unpaid.
    came_at: Mapped[datetime | None]

    customer: Mapped[Customer] = relationship()
    seller: Mapped[Seller] = relationship()
    discount: Mapped["Discount | None"] = relationship()
    lines: Mapped[list["OrderLine"]] = relationship(back_populates="order", order_by="OrderLine.id")


class OrderLine(Base):
    """One publication of an order, with title, price and promises as they were."""

    __tablename__ = "order_lines"
    __table_args__ = (
        sa.Index("ix_order_lines_order_id", "order_id"),
        sa.Index("ix_order_lines_publication_id", "publication_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"))
    publication_id: Mapped[int] = mapped_column(sa.ForeignKey("publications.id"))
    title: Mapped[str] = mapped_column(sa.String(200))
    price_amount: Mapped[int]
    quantity: Mapped[int] = mapped_column(default=1)  # one; more with seats, when they come
    # What the line's share of the total holds of VAT, never computed again; rate in hundredths
    # of a percent.
    vat_treatment: Mapped[str] = mapped_column(
        sa.String(20), default="zero_rated", server_default="zero_rated"
    )
    vat_rate: Mapped[int] = mapped_column(default=0, server_default="0")
    vat_amount: Mapped[int] = mapped_column(default=0, server_default="0")
    is_preorder: Mapped[bool]
    expected_on: Mapped[date | None]
    updates_months: Mapped[int | None]

    order: Mapped[Order] = relationship(back_populates="lines")
    publication: Mapped[Publication] = relationship()


class Consent(Base):
    """What was agreed to, in which wording, when, for which order."""

    __tablename__ = "consents"
    __table_args__ = (sa.UniqueConstraint("order_id", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"))
    kind: Mapped[str] = mapped_column(sa.String(40))  # immediate_supply, terms
    wording_version: Mapped[str] = mapped_column(sa.String(20))
    given_at: Mapped[datetime]


class Discount(Base):
    """Less to pay: for who types a code, or for members, known by their address (no code)."""

    __tablename__ = "discounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100))  # as the buyer reads it
    code: Mapped[str | None] = mapped_column(sa.String(40))
    code_key: Mapped[str | None] = mapped_column(sa.String(40), unique=True)
    percent: Mapped[int | None]
    amount: Mapped[int | None]  # minor units, of `currency`
    currency: Mapped[str | None] = mapped_column(sa.String(3))
    publication_id: Mapped[int | None] = mapped_column(sa.ForeignKey("publications.id"))
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    max_orders: Mapped[int | None]
    max_orders_each: Mapped[int | None]  # per customer
    domains: Mapped[str] = mapped_column(sa.Text, default="")  # commas between
    ended_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    publication: Mapped[Publication | None] = relationship()


class DiscountMember(Base):
    """An address on the list of a members' price."""

    __tablename__ = "discount_members"
    __table_args__ = (sa.UniqueConstraint("discount_id", "email_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    discount_id: Mapped[int] = mapped_column(sa.ForeignKey("discounts.id"))
    email_key: Mapped[str] = mapped_column(sa.String(320))


class Offer(Base):
    """A price that an address asked for, to be ordered at by one order behind a mailed link."""

    __tablename__ = "offers"
    __table_args__ = (sa.Index("ix_offers_email_key_created_at", "email_key", "created_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(sa.String(22), unique=True)
    # One letter for several presses within minutes: a digest of address, publication and time.
    asked_key: Mapped[str] = mapped_column(sa.String(90), unique=True)
    email: Mapped[str] = mapped_column(sa.String(320))
    email_key: Mapped[str] = mapped_column(sa.String(320))
    publication_id: Mapped[int] = mapped_column(sa.ForeignKey("publications.id"))
    # The code that was asked about; null: the members' price.
    discount_id: Mapped[int | None] = mapped_column(sa.ForeignKey("discounts.id"))
    order_id: Mapped[int | None] = mapped_column(sa.ForeignKey("orders.id"), unique=True)
    created_at: Mapped[datetime]
    # Its address changed hands, or asked that all links end.
    ended_at: Mapped[datetime | None]

    publication: Mapped[Publication] = relationship()
    discount: Mapped[Discount | None] = relationship()
    order: Mapped[Order | None] = relationship()
