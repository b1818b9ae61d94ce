"""Tables of money: checkouts, payments, refunds, and the inbox of gateway events."""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from store.kit.database import Base, status_type
from store.kit.status import Status
from store.kit.text import LONGEST_NOTE
from store.orders.models import Order

FRAUD_WARNING = "radar.early_fraud_warning.created"


class CheckoutStatus(Status):
    """One try to pay. A try that failed may still be found completed: the money wins."""

    OPEN = "open"
    COMPLETED = "completed"
    EXPIRED = "expired"
    FAILED = "failed"

    @classmethod
    def moves(cls) -> dict["CheckoutStatus", set["CheckoutStatus"]]:
        return {
            cls.OPEN: {cls.COMPLETED, cls.EXPIRED, cls.FAILED},
            cls.EXPIRED: {cls.COMPLETED},
            cls.FAILED: {cls.COMPLETED},
        }


class RefundStatus(Status):
    """Money on its way back."""

    REQUESTED = "requested"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @classmethod
    def moves(cls) -> dict["RefundStatus", set["RefundStatus"]]:
        return {cls.REQUESTED: {cls.SUCCEEDED, cls.FAILED}, cls.SUCCEEDED: {cls.FAILED}}

    @classmethod
    def counted(cls) -> set["RefundStatus"]:
        """Those whose money is on its way back or there."""
        return {cls.REQUESTED, cls.SUCCEEDED}


class EventStatus(Status):
    """What became of something that a gateway told us."""

    RECEIVED = "received"
    APPLIED = "applied"
    IGNORED = "ignored"

    @classmethod
    def moves(cls) -> dict["EventStatus", set["EventStatus"]]:
        return {cls.RECEIVED: {cls.APPLIED, cls.IGNORED}}


class Checkout(Base):
    """One try to pay one order through a gateway; at most one is open per order."""

    __tablename__ = "checkouts"
    __table_args__ = (
        sa.Index(
            "uq_checkouts_open",
            "order_id",
            unique=True,
            sqlite_where=sa.text("status = 'open'"),
            postgresql_where=sa.text("status = 'open'"),
        ),
        sa.UniqueConstraint("gateway", "gateway_reference"),
        sa.Index("ix_checkouts_order_id", "order_id"),
        sa.Index(
            "ix_checkouts_awaited",
            "expires_at",
            "id",
            sqlite_where=sa.text("status = 'open' AND gateway = 'manual'"),
            postgresql_where=sa.text("status = 'open' AND gateway = 'manual'"),
        ),
        sa.Index("ix_checkouts_status_ask_at", "status", "ask_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"))
    gateway: Mapped[str] = mapped_column(sa.String(20))
    gateway_reference: Mapped[str | None] = mapped_column(sa.String(120))
    status: Mapped[CheckoutStatus] = mapped_column(status_type(CheckoutStatus))
    amount: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    pay_url: Mapped[str] = mapped_column(sa.Text, default="")
    failure: Mapped[str] = mapped_column(sa.String(300), default="")  # the gateway's plain reason
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    # The buyer has done their part, and a slow method takes its days.
    processing_at: Mapped[datetime | None]
    # Since when money is here that does not fit the order; null again once it has gone back.
    held_at: Mapped[datetime | None]
    # When the sweep asks the gateway next; null: no more, a person looks at it or it has ended.
    ask_at: Mapped[datetime | None]

    order: Mapped[Order] = relationship()


class Payment(Base):
    """Money received, as the gateway confirms it."""

    __tablename__ = "payments"
    __table_args__ = (
        sa.UniqueConstraint("gateway", "gateway_payment_id"),
        sa.Index("ix_payments_order_id", "order_id"),
        sa.Index(
            "ix_payments_card_last4",
            "card_last4",
            "order_id",
            sqlite_where=sa.text("card_last4 <> ''"),
            postgresql_where=sa.text("card_last4 <> ''"),
        ),
        sa.Index("ix_payments_received_at", "received_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"))
    checkout_id: Mapped[int | None] = mapped_column(sa.ForeignKey("checkouts.id"))
    gateway: Mapped[str] = mapped_column(sa.String(20))
    gateway_payment_id: Mapped[str] = mapped_column(sa.String(120))
    amount: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    method: Mapped[str] = mapped_column(sa.String(40), default="", server_default="")
    # Evidence of the buyer's country, as the gateway knows it.
    billing_country: Mapped[str] = mapped_column(sa.String(2), default="", server_default="")
    card_country: Mapped[str] = mapped_column(sa.String(2), default="", server_default="")
    # What a buyer reads out from their statement; more of a card never comes here.
    card_last4: Mapped[str] = mapped_column(sa.String(4), default="", server_default="")
    received_at: Mapped[datetime]

    order: Mapped[Order] = relationship()


class Refund(Base):
    """Money returned, from the moment it is asked for."""

    __tablename__ = "refunds"
    __table_args__ = (
        sa.UniqueConstraint("payment_id", "request_key"),
        sa.UniqueConstraint("gateway_refund_id"),
        sa.Index("ix_refunds_payment_id", "payment_id"),
        sa.Index("ix_refunds_status", "status"),
        sa.Index("ix_refunds_requested_at", "requested_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    payment_id: Mapped[int] = mapped_column(sa.ForeignKey("payments.id"))
    # One press is one refund: what the press was for, such as "cancel" or a form's random key.
    request_key: Mapped[str] = mapped_column(sa.String(60))
    gateway_refund_id: Mapped[str | None] = mapped_column(sa.String(120))
    status: Mapped[RefundStatus] = mapped_column(status_type(RefundStatus))
    amount: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    why: Mapped[str] = mapped_column(sa.String(300), default="")
    who: Mapped[str] = mapped_column(sa.String(200), default="")
    failure: Mapped[str] = mapped_column(sa.String(300), default="")  # for staff
    requested_at: Mapped[datetime]
    # When the timetable last asked the gateway, so that no stuck one keeps others waiting.
    asked_at: Mapped[datetime | None]

    payment: Mapped[Payment] = relationship()


class Dispute(Base):
    """A payment that the buyer's bank contests; times are facts, no status."""

    __tablename__ = "disputes"
    __table_args__ = (
        sa.UniqueConstraint("gateway", "gateway_dispute_id"),
        sa.Index("ix_disputes_payment_id", "payment_id"),
        sa.Index(
            "ix_disputes_lost_at",
            "lost_at",
            sqlite_where=sa.text("lost_at IS NOT NULL"),
            postgresql_where=sa.text("lost_at IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    payment_id: Mapped[int] = mapped_column(sa.ForeignKey("payments.id"))
    gateway: Mapped[str] = mapped_column(sa.String(20))
    gateway_dispute_id: Mapped[str] = mapped_column(sa.String(120))
    reason: Mapped[str] = mapped_column(sa.String(60))
    amount: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    is_inquiry: Mapped[bool]  # a question of the bank: no money was taken yet
    opened_at: Mapped[datetime]
    due_at: Mapped[datetime | None]  # evidence is taken until then
    won_at: Mapped[datetime | None]
    lost_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]  # an inquiry that ended without a dispute
    evidence: Mapped[dict[str, Any] | None]  # as a person edited it
    submitted_at: Mapped[datetime | None]
    submitted_by: Mapped[str] = mapped_column(sa.String(200), default="")

    payment: Mapped[Payment] = relationship()

    @property
    def is_open(self) -> bool:
        """Whether nothing is decided yet."""
        return self.won_at is None and self.lost_at is None and self.closed_at is None

    @property
    def suspends_access(self) -> bool:
        """Whether access rests because of it: the money was taken, and nothing is decided."""
        return self.is_open and not self.is_inquiry

    @hybrid_property
    def forbids_refund(self) -> bool:
        """Whether the payment cannot be given back: the bank holds the money, or has taken it."""
        return self.suspends_access or self.lost_at is not None

    @forbids_refund.inplace.expression
    @classmethod
    def _forbids_refund(cls) -> sa.ColumnElement[bool]:
        is_open = sa.and_(cls.won_at.is_(None), cls.closed_at.is_(None), ~cls.is_inquiry)
        return sa.or_(cls.lost_at.is_not(None), is_open)

    @property
    def reason_in_words(self) -> str:
        """The bank's reason as people read it, such as "product not received"."""
        return self.reason.replace("_", " ") or "no reason given"


class Transfer(Base):
    """Money that staff saw arrive by bank for a checkout of the manual gateway."""

    __tablename__ = "transfers"
    __table_args__ = (
        sa.Index("ix_transfers_checkout_id", "checkout_id"),
        sa.Index("ix_transfers_recorded_at", "recorded_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    checkout_id: Mapped[int] = mapped_column(sa.ForeignKey("checkouts.id"))
    form_key: Mapped[str] = mapped_column(sa.String(60), unique=True)  # one press, one row
    amount: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    received_on: Mapped[date]
    note: Mapped[str] = mapped_column(sa.String(LONGEST_NOTE), default="")
    who: Mapped[str] = mapped_column(sa.String(200))
    recorded_at: Mapped[datetime]


class TransferBack(Base):
    """Money that a person has to send back by bank: asked for, then sent."""

    __tablename__ = "transfers_back"
    __table_args__ = (
        sa.Index("ix_transfers_back_payment_id", "payment_id"),
        sa.Index(
            "ix_transfers_back_unsent",
            "id",
            sqlite_where=sa.text("sent_at IS NULL"),
            postgresql_where=sa.text("sent_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    payment_id: Mapped[str] = mapped_column(sa.String(120))  # the manual gateway's own
    key: Mapped[str] = mapped_column(sa.String(80), unique=True)
    amount: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    asked_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    sent_by: Mapped[str] = mapped_column(sa.String(200), default="")


class GatewayEvent(Base):
    """Something that a gateway told us, stored once by its id before anything is done about it."""

    __tablename__ = "gateway_events"
    __table_args__ = (
        sa.UniqueConstraint("gateway", "event_id"),
        sa.Index("ix_gateway_events_status_received_at", "status", "received_at"),
        sa.Index(
            "ix_gateway_events_declines",
            "received_at",
            sqlite_where=sa.text("is_decline"),
            postgresql_where=sa.text("is_decline"),
        ),
        sa.Index(
            "ix_gateway_events_warnings",
            "subject",
            sqlite_where=sa.text(f"kind = '{FRAUD_WARNING}'"),
            postgresql_where=sa.text(f"kind = '{FRAUD_WARNING}'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    gateway: Mapped[str] = mapped_column(sa.String(20))
    event_id: Mapped[str] = mapped_column(sa.String(120))
    kind: Mapped[str] = mapped_column(sa.String(80))
    subject: Mapped[str] = mapped_column(sa.String(120))  # the gateway object to ask about
    payload: Mapped[dict[str, Any]]
    is_decline: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    status: Mapped[EventStatus] = mapped_column(status_type(EventStatus))
    note: Mapped[str] = mapped_column(sa.String(300), default="")
    received_at: Mapped[datetime]
    asked_at: Mapped[datetime | None]  # when the timetable last tried, as with refunds
    handled_at: Mapped[datetime | None]


class StrayPayment(Base):
    """Money at a gateway for an order that this shop does not have: it was placed after the backup
    that the database comes from. A person gives it back there, or makes the order by hand."""

    __tablename__ = "stray_payments"
    __table_args__ = (sa.UniqueConstraint("gateway", "gateway_reference"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    gateway: Mapped[str] = mapped_column(sa.String(20))
    gateway_reference: Mapped[str] = mapped_column(sa.String(120))  # of the try to pay
    payment_id: Mapped[str] = mapped_column(sa.String(120))  # what a person looks for there
    order_reference: Mapped[str] = mapped_column(sa.String(40))
    amount: Mapped[int]
    returned: Mapped[int]  # of it, given back there since
    currency: Mapped[str] = mapped_column(sa.String(3))
    paid_at: Mapped[datetime]
    found_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    settled_by: Mapped[str] = mapped_column(sa.String(200), default="")
