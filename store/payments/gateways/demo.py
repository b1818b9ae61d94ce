"""The demonstration gateway: everything a real one does, but no money moves.

It keeps its own tables in the shop's database and is asked like a gateway on somebody else's
machine: outside transactions, its news signed, its answers plain values.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from store.kit import clock
from store.kit.config import config
from store.kit.database import Base, db, end_read, insert_once, transaction
from store.payments.gateways import signatures
from store.payments.gateways.base import (
    BadSignature,
    CheckoutRequest,
    GatewayRefund,
    GatewayRefused,
    GatewayState,
    News,
    QuietGateway,
    RefundStanding,
    Standing,
    StartedCheckout,
)

NAME = "demo"
HEADER = "Demo-Signature"
STANDINGS = {
    "open": Standing.OPEN,
    "paid": Standing.PAID,
    "declined": Standing.FAILED,
    "abandoned": Standing.EXPIRED,
    "expired": Standing.EXPIRED,
}
REASONS = {
    "declined": "Your bank declined the card.",
    "abandoned": "You left the payment page.",
    "expired": "The time for this payment ran out.",
}


class DemoRow(Base):
    """What a real gateway would keep on its own machines: tables of its own, made only where a
    demonstration may run (`make_tables`), and no part of the shop's schema."""

    __abstract__ = True
    metadata = sa.MetaData(naming_convention=Base.metadata.naming_convention)


class DemoPayment(DemoRow):
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


class DemoRefund(DemoRow):
    """Money that the demonstration gave back; its key keeps one press to one refund."""

    __tablename__ = "demo_refunds"
    __table_args__ = (sa.Index("ix_demo_refunds_demo_payment_id", "demo_payment_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    demo_payment_id: Mapped[int] = mapped_column(sa.ForeignKey("demo_payments.id"))
    refund_id: Mapped[str] = mapped_column(sa.String(40), unique=True)
    key: Mapped[str | None] = mapped_column(sa.String(80), unique=True)
    amount: Mapped[int]
    standing: Mapped[str] = mapped_column(sa.String(20), default="succeeded")


class DemoEvent(DemoRow):
    """News of one payment; it waits here until it is delivered."""

    __tablename__ = "demo_events"
    __table_args__ = (sa.Index("ix_demo_events_reference", "reference"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(sa.String(40), unique=True)
    reference: Mapped[str] = mapped_column(sa.String(40))
    kind: Mapped[str] = mapped_column(sa.String(40))
    happened_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None]


class DemoGateway(QuietGateway):
    """Stands where Stripe will stand; `create_app` never offers it in production."""

    name = NAME
    is_binding_here = True

    def start(self, request: CheckoutRequest) -> StartedCheckout:
        """Start a try to pay at a page of ours, once per key."""
        with transaction():
            insert_once(
                DemoPayment,
                reference=new_name("demo"),
                idempotency_key=request.idempotency_key,
                order_reference=request.order_reference,
                checkout_id=request.checkout_id,
                title=request.title,
                amount=request.amount,
                currency=request.currency,
                state="open",
                success_url=request.success_url,
                cancel_url=request.cancel_url,
                expires_at=request.expires_at,
            )
            payment = db.session.scalars(
                sa.select(DemoPayment).filter_by(idempotency_key=request.idempotency_key)
            ).one()
            url = f"{config().base_url}/demo/pay/{payment.reference}"
            started = StartedCheckout(payment.reference, url, payment.expires_at)
        end_read()
        return started

    def fetch(self, subject: str) -> GatewayState | None:
        """The present state; None for a reference that is not ours."""
        if db.session().info.get("writing"):
            raise RuntimeError("a gateway is asked outside transactions")
        payment = db.session.scalars(sa.select(DemoPayment).filter_by(reference=subject)).first()
        state = None if payment is None else _state_of(payment)
        end_read()
        return state

    def close(self, reference: str) -> None:
        """Let nobody pay this try any more, unless it was paid."""
        with transaction() as session:
            session.execute(
                sa.update(DemoPayment)
                .where(DemoPayment.reference == reference, DemoPayment.state == "open")
                .values(state="expired")
            )
        end_read()

    def refund(self, payment_id: str, amount: int, key: str) -> GatewayRefund:
        """Give money back at once, once per key; never more than was paid."""
        with transaction():
            payment = db.session.scalars(
                sa.select(DemoPayment).filter_by(payment_id=payment_id).with_for_update()
            ).first()
            if payment is None:
                raise GatewayRefused("no such payment")
            refund = _refund_once(payment, amount, key)
            answer = _refund_state(refund, payment.currency)
        end_read()
        return answer

    def read_event(self, headers: Mapping[str, str], body: bytes) -> News:
        """The message in a request, if one of the shop's keys signed it within five minutes."""
        header = {name.lower(): value for name, value in headers.items()}.get(HEADER.lower(), "")
        signatures.verify(header, body, [_event_key(key) for key in config().signing_keys])
        try:
            said: dict[str, Any] = signatures.read_json(body)
            kind = str(said["kind"])
            is_decline = kind == "checkout.declined"
            return News(str(said["id"]), kind, str(said["subject"]), said, is_decline=is_decline)
        except (ValueError, KeyError, TypeError):
            raise BadSignature("signed, but no message of ours") from None


def make_tables(connection: sa.Connection) -> None:
    """Make the demonstration's tables where they are missing: at each upgrade of the database,
    except in production."""
    DemoRow.metadata.create_all(connection)


def signed_event(
    event_id: str, kind: str, reference: str, happened_at: int
) -> tuple[dict[str, str], bytes]:
    """Headers and body of a message as the gateway sends it now."""
    said = {"id": event_id, "kind": kind, "subject": reference, "happened_at": happened_at}
    body = json.dumps(said, sort_keys=True).encode()
    key = _event_key(config().signing_keys[0])
    return {HEADER: signatures.signature(body, key, int(clock.now().timestamp()))}, body


def new_name(prefix: str) -> str:
    """A name that nobody can guess, such as `evt_…`."""
    return f"{prefix}_{secrets.token_urlsafe(18)}"


def _event_key(key: str) -> bytes:
    return hmac.new(key.encode(), b"demo gateway events/1", hashlib.sha256).digest()


def present_state(payment: DemoPayment) -> str:
    """What became of a try; an open one whose time is up has expired."""
    is_over = payment.state == "open" and clock.now() >= payment.expires_at
    return "expired" if is_over else payment.state


def _state_of(payment: DemoPayment) -> GatewayState:
    state = present_state(payment)
    return GatewayState(
        reference=payment.reference,
        standing=STANDINGS[state],
        amount=payment.amount,
        currency=payment.currency,
        order_reference=payment.order_reference,
        checkout_id=payment.checkout_id,
        payment_id=payment.payment_id,
        paid_at=payment.paid_at,
        reason=REASONS.get(state, ""),
        refunds=tuple(_refund_state(refund, payment.currency) for refund in payment.refunds),
    )


def _refund_state(refund: DemoRefund, currency: str) -> GatewayRefund:
    standing = RefundStanding(refund.standing)
    return GatewayRefund(refund.refund_id, standing, refund.amount, currency, refund.key)


def _refund_once(payment: DemoPayment, amount: int, key: str) -> DemoRefund:
    known = next((refund for refund in payment.refunds if refund.key == key), None)
    if known is not None:
        return known
    given_back = sum(r.amount for r in payment.refunds if r.standing != RefundStanding.FAILED)
    if amount < 1 or given_back + amount > payment.amount:
        raise GatewayRefused("more than was paid and not yet given back")
    refund = DemoRefund(
        demo_payment_id=payment.id,
        refund_id=new_name("re"),
        key=key,
        amount=amount,
        standing=RefundStanding.SUCCEEDED,
    )
    payment.refunds.append(refund)
    db.session.flush()
    return refund
