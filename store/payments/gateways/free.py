"""Nothing to pay: an order at no price is paid the moment it is placed, and nobody is asked."""

import sqlalchemy as sa

from store.kit.database import db, end_read
from store.payments.gateways.base import (
    CheckoutRequest,
    GatewayRefund,
    GatewayRefused,
    GatewayState,
    QuietGateway,
    Standing,
    StartedCheckout,
)
from store.payments.models import Checkout

NAME = "free"


class FreeGateway(QuietGateway):
    """What a full discount or a gift is paid through: no money, the same fulfilment."""

    name = NAME
    is_binding_here = True

    def start(self, request: CheckoutRequest) -> StartedCheckout:
        """There is no page to pay on: on to the order's own."""
        reference = f"{NAME}-{request.checkout_id}"
        return StartedCheckout(reference, request.success_url, request.expires_at)

    def fetch(self, subject: str) -> GatewayState | None:
        """Paid with nothing: of an order that costs something, that does not fit and is held."""
        query = sa.select(Checkout).filter_by(gateway=NAME, gateway_reference=subject)
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
                payment_id=f"{NAME}-{checkout.id}",
                method="nothing to pay",
            )
        end_read()
        return state

    def close(self, reference: str) -> None:
        """Nothing to end: such a try is paid the moment it begins."""

    def refund(self, payment_id: str, amount: int, key: str) -> GatewayRefund:
        """Nothing came in, so nothing goes back."""
        raise GatewayRefused("nothing was paid")
