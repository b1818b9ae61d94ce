"""Bank transfers: a person sees the money arrive and says so, a person sends it back.

The gateway's own side is two tables, `transfers` and `transfers_back`; it is asked like any other.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db, end_read, insert_once, transaction
from store.kit.money import format_money
from store.mail.outbox import alert_staff
from store.payments.gateways.base import (
    CheckoutRequest,
    GatewayRefund,
    GatewayRefused,
    GatewayState,
    QuietGateway,
    RefundStanding,
    Standing,
    StartedCheckout,
)
from store.payments.models import Checkout, Transfer, TransferBack

NAME = "manual"
METHOD = "bank transfer"
OUT_OF_TIME = "The time for your bank transfer ran out, or you chose another way to pay."


class ManualGateway(QuietGateway):
    """Takes bank transfers; the order's own page says where the money goes."""

    name = NAME
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


def transfers_of(checkout_id: int) -> Sequence[Transfer]:
    """What has arrived for a try, in the order in which it was recorded."""
    query = sa.select(Transfer).where(Transfer.checkout_id == checkout_id)
    return db.session.scalars(query.order_by(Transfer.id)).all()


def received_amount(checkout_id: int) -> int:
    """How much has arrived for a try, in minor units."""
    return sum(one.amount for one in transfers_of(checkout_id))


def _checkout(reference: str) -> Checkout | None:
    query = sa.select(Checkout).filter_by(gateway=NAME, gateway_reference=reference)
    return db.session.scalars(query.execution_options(populate_existing=True)).first()


def _state(checkout: Checkout) -> GatewayState:
    arrived = transfers_of(checkout.id)
    received = sum(one.amount for one in arrived)
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
        paid_at=arrived[-1].recorded_at if is_paid else None,
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
