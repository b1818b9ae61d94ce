"""Tables of orders: customers, orders with their lines, and what was consented to."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from store.catalog.models import Publication, Seller
from store.kit.columns import status_type
from store.kit.database import Base
from store.kit.status import Status


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

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(320))
    email_key: Mapped[str] = mapped_column(sa.String(320), unique=True)
    name: Mapped[str] = mapped_column(sa.String(200), default="")
    name_key: Mapped[str] = mapped_column(sa.String(200), default="", index=True)
    created_at: Mapped[datetime]


class Order(Base):
    """A purchase as it was agreed; later edits of anything never rewrite it."""

    __tablename__ = "orders"
    __table_args__ = (
        sa.Index("ix_orders_customer_id", "customer_id"),
        sa.Index("ix_orders_status_placed_at", "status", "placed_at"),
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
    total_amount: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    placed_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]

    customer: Mapped[Customer] = relationship()
    seller: Mapped[Seller] = relationship()
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
    quantity: Mapped[int] = mapped_column(default=1)
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
