"""What Stripe is asked, as plain dicts, and the units that it counts in. Imports no `stripe`."""

from decimal import Decimal
from typing import Any

from store.kit.money import to_decimal
from store.payments.gateways.base import CheckoutRequest

# https://docs.stripe.com/currencies: what Stripe counts in whole units, and in thousandths.
WITHOUT_PLACES = {
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF",
    "XOF", "XPF",
}  # fmt: skip
WITH_THREE_PLACES = {"BHD", "JOD", "KWD", "OMR", "TND"}


def session_params(request: CheckoutRequest) -> dict[str, Any]:
    """What a new Checkout Session is asked to be. Raises `ValueError` for an amount that Stripe
    cannot charge."""
    ours = {"order_reference": request.order_reference, "checkout_id": str(request.checkout_id)}
    mark = "&" if "?" in request.success_url else "?"
    price = {
        "currency": request.currency.lower(),
        "unit_amount": to_stripe(request.amount, request.currency),
        "tax_behavior": "inclusive",
        "product_data": {"name": request.title},
    }
    return {
        "mode": "payment",
        "ui_mode": "hosted_page",
        "line_items": [{"price_data": price, "quantity": 1}],
        "client_reference_id": request.order_reference,
        "metadata": ours,
        # Stripe does not copy a session's metadata to its payment.
        "payment_intent_data": {"metadata": ours},
        "customer_email": request.email,
        "allow_promotion_codes": False,
        "billing_address_collection": "auto",
        "success_url": f"{request.success_url}{mark}session_id={{CHECKOUT_SESSION_ID}}",
        "cancel_url": request.cancel_url,
        "expires_at": int(request.expires_at.timestamp()),
    }


def to_stripe(amount: int, currency: str) -> int:
    """Our minor units in the units that Stripe counts in. Raises `ValueError` where it has none
    so small: the last of three places is always 0 there."""
    places = _places(currency)
    exact = to_decimal(amount, currency).scaleb(places)
    if exact != int(exact) or (places == 3 and int(exact) % 10):
        raise ValueError(f"{exact} {currency} is too fine an amount for Stripe")
    return int(exact)


def from_stripe(amount: int, currency: str) -> int:
    """Stripe's units in our minor units; cut, where ours are coarser."""
    one = to_decimal(1, currency)
    return int(Decimal(amount).scaleb(-_places(currency)) / one)


def _places(currency: str) -> int:
    if currency in WITHOUT_PLACES:
        return 0
    return 3 if currency in WITH_THREE_PLACES else 2
