"""The demonstration gateway's own side: what a real gateway would keep on its machines."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from store.kit.database import Base


class DemoPayment(Base):
    """One try to pay: open, then paid, declined, abandoned or expired."""

    __tablename__ = "demo_payments"

    id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(sa.String(40), unique=True)
    idempotency_key: Mapped[str] = mapped_column(sa.String(80), unique=True)
    order_reference: Mapped[str] = mapped_column(sa.String(12))
    checkout_id: Mapped[int]
    title: Mapped[str] = mapped_column(sa.String(200))
    amount: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    state: Mapped[str] = mapped_column(sa.String(20), default="open")
    payment_id: Mapped[str | None] = mapped_column(sa.String(40), unique=True)
    success_url: Mapped[str] = mapped_column(sa.Text)
    cancel_url: Mapped[str] = mapped_column(sa.Text)
    expires_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]

    refunds: Mapped[list["DemoRefund"]] = relationship(order_by="DemoRefund.id")


class DemoRefund(Base):
    """Money that the demonstration gave back; its key keeps one press to one refund."""

    __tablename__ = "demo_refunds"
    __table_args__ = (sa.Index("ix_demo_refunds_demo_payment_id", "demo_payment_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    demo_payment_id: Mapped[int] = mapped_column(sa.ForeignKey("demo_payments.id"))
    refund_id: Mapped[str] = mapped_column(sa.String(40), unique=True)
    key: Mapped[str | None] = mapped_column(sa.String(80), unique=True)
    amount: Mapped[int]
    standing: Mapped[str] = mapped_column(sa.String(20), default="succeeded")


class DemoEvent(Base):
    """News of one payment; it waits here until it is delivered."""

    __tablename__ = "demo_events"
    __table_args__ = (sa.Index("ix_demo_events_reference", "reference"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(sa.String(40), unique=True)
    reference: Mapped[str] = mapped_column(sa.String(40))
    kind: Mapped[str] = mapped_column(sa.String(40))
    happened_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None]
