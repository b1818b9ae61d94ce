"""The gateways whose side is ours: bank transfers, and orders that cost nothing.

They are asked like any other. Of a transfer a person says that it has arrived, and a person sends it
back: two tables, `transfers` and `transfers_back`.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db, end_read, insert_once, transaction
from store.kit.money import format_money
from store.mail.outbox import alert_staff
from store.payments.gateways.base import (
    FREE,
    MANUAL,
    CheckoutRequest,
    GatewayRefund,
    GatewayRefused,
    GatewayState,
    QuietGateway,
    RefundStanding,
    Standing,
    StartedCheckout,
)
from store.payments.models import Checkout, TransferBack
from store.payments.sums import received_amount, transfers_of

METHOD = "bank transfer"
OUT_OF_TIME = "The time for your bank transfer ran out, or you chose another way to pay."


class ManualGateway(QuietGateway):
    """Takes bank transfers; the order's own page says where the money goes."""

    name = MANUAL
    is_binding_here = True

    def start(self, request: CheckoutRequest) -> StartedCheckout:
        """Nothing to press elsewhere: the order's own page has the bank details."""
        reference = payment_name(request.checkout_id)
        return StartedCheckout(reference, request.success_url, request.expires_at)

    def fetch(self, subject: str) -> GatewayState | None:
        """How much has arrived by now; part of it keeps the try open past its time."""
        checkout = _checkout(subject)
        state = None if checkout is None else _state(checkout)
        end_read()
        return state

    def close(self, reference: str) -> None:
        """End the time to pay now; one of which part has arrived stays open, for a person."""
        with transaction():
            checkout = _checkout(reference)
            if checkout is not None:
                checkout.expires_at = min(checkout.expires_at, clock.now())
        end_read()

    def refund(self, payment_id: str, amount: int, key: str) -> GatewayRefund:
        """Ask staff to send money back, once per key. Refuses more than has arrived."""
        with transaction():
            checkout = _checkout(payment_id)
            if checkout is None:
                raise GatewayRefused("no such payment")
            answer = _refund_state(_ask_once(checkout, payment_id, amount, key))
        end_read()
        return answer


def payment_name(checkout_id: int) -> str:
    """What a try and the payment that comes of it are called: there is at most one."""
    return f"transfer-{checkout_id}"


def _checkout(reference: str) -> Checkout | None:
    query = sa.select(Checkout).filter_by(gateway=MANUAL, gateway_reference=reference)
    return db.session.scalars(query.execution_options(populate_existing=True)).first()


def _state(checkout: Checkout) -> GatewayState:
    received = received_amount(checkout.id)
    is_paid = received >= checkout.amount
    is_over = received == 0 and checkout.expires_at <= clock.now()
    standing = Standing.PAID if is_paid else Standing.EXPIRED if is_over else Standing.OPEN
    return GatewayState(
        reference=str(checkout.gateway_reference),
        standing=standing,
        amount=received if is_paid else checkout.amount,
        currency=checkout.currency,
        order_reference=checkout.order.reference,
        checkout_id=checkout.id,
        payment_id=payment_name(checkout.id) if is_paid else None,
        paid_at=transfers_of(checkout.id)[-1].recorded_at if is_paid else None,
        reason=OUT_OF_TIME if standing is Standing.EXPIRED else "",
        refunds=tuple(_refund_state(one) for one in _backs(payment_name(checkout.id))),
        method=METHOD,
        received=received,
    )


def _backs(payment_id: str) -> Sequence[TransferBack]:
    query = sa.select(TransferBack).where(TransferBack.payment_id == payment_id)
    return db.session.scalars(query.order_by(TransferBack.id)).all()


def _refund_state(back: TransferBack) -> GatewayRefund:
    standing = RefundStanding.SUCCEEDED if back.sent_at else RefundStanding.PENDING
    return GatewayRefund(f"back-{back.id}", standing, back.amount, back.currency, back.key)


def _ask_once(checkout: Checkout, payment_id: str, amount: int, key: str) -> TransferBack:
    known = db.session.scalars(sa.select(TransferBack).filter_by(key=key)).first()
    if known is not None:
        return known
    asked = sum(one.amount for one in _backs(payment_id))
    if amount < 1 or asked + amount > received_amount(checkout.id):
        raise GatewayRefused("more than has arrived and not yet gone back")
    insert_once(
        TransferBack,
        payment_id=payment_id,
        key=key,
        amount=amount,
        currency=checkout.currency,
        asked_at=clock.now(),
        sent_by="",
    )
    back = db.session.scalars(sa.select(TransferBack).filter_by(key=key)).one()
    money = format_money(back.amount, back.currency)
    alert_staff(
        f"Send {money} back for order {checkout.order.reference}",
        f"The order was paid by bank transfer, so a person has to send {money} back, to the "
        "account that it came from. Then mark it as sent: the customer is told only then.",
        f"transfer_back:{back.id}",
    )
    return back


class FreeGateway(QuietGateway):
    """What a full discount or a gift is paid through: no money, the same fulfilment."""

    name = FREE
    is_binding_here = True

    def start(self, request: CheckoutRequest) -> StartedCheckout:
        """There is no page to pay on: on to the order's own."""
        reference = f"{FREE}-{request.checkout_id}"
        return StartedCheckout(reference, request.success_url, request.expires_at)

    def fetch(self, subject: str) -> GatewayState | None:
        """Paid with nothing: of an order that costs something, that does not fit and is held."""
        query = sa.select(Checkout).filter_by(gateway=FREE, gateway_reference=subject)
        checkout = db.session.scalars(query).first()
        state = None
        if checkout is not None:
            state = GatewayState(
                reference=str(checkout.gateway_reference),
                standing=Standing.PAID,
                amount=0,
                currency=checkout.currency,
                order_reference=checkout.order.reference,
                checkout_id=checkout.id,
                payment_id=f"{FREE}-{checkout.id}",
                method="nothing to pay",
            )
        end_read()
        return state

    def close(self, reference: str) -> None:
        """Nothing to end: such a try is paid the moment it begins."""

    def refund(self, payment_id: str, amount: int, key: str) -> GatewayRefund:
        """Nothing came in, so nothing goes back."""
        raise GatewayRefused("nothing was paid")
