"""Stripe's objects as plain dicts: what it is asked, the units it counts in, and its answers read into
our own terms. Asks nobody and imports no `stripe`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from store.kit.money import to_decimal
from store.payments.gateways.base import (
    CheckoutRequest,
    DisputeOutcome,
    GatewayDispute,
    GatewayRefund,
    GatewayState,
    News,
    RefundStanding,
    Standing,
)
from store.payments.models import FRAUD_WARNING

Said = Mapping[str, Any]

# https://docs.stripe.com/currencies: what Stripe counts in whole units, and in thousandths.
WITHOUT_PLACES = {
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF",
    "XOF", "XPF",
}  # fmt: skip
WITH_THREE_PLACES = {"BHD", "JOD", "KWD", "OMR", "TND"}

# What the webhook endpoint subscribes to. Saved cards come with charging at release, and their
# events (setup intents, cards renewed by the bank) with them.
EVENT_KINDS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "charge.refunded",
    "charge.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    FRAUD_WARNING,
)
# Of these what happens to a payment long after its session.
CHANGED_LATER = tuple(
    kind
    for kind in EVENT_KINDS
    if kind.startswith(("refund.", "charge.refunded", "charge.dispute.", "checkout.session.async_"))
)
SUBJECT = re.compile(r"(cs|pi)_\w{1,100}", re.ASCII)
REFUND_STANDINGS = {
    "succeeded": RefundStanding.SUCCEEDED,
    "failed": RefundStanding.FAILED,
    "canceled": RefundStanding.FAILED,
}
OUTCOMES = {
    "won": DisputeOutcome.WON,
    "lost": DisputeOutcome.LOST,
    "warning_closed": DisputeOutcome.CLOSED,
    "prevented": DisputeOutcome.CLOSED,
}
REASONS = {
    Standing.FAILED: "Your bank did not make the payment.",
    Standing.EXPIRED: "The time for this payment ran out.",
}


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


def read_state(
    session: Said, refunds: Sequence[Said], disputes: Sequence[Said], *, is_live: bool
) -> GatewayState | None:
    """A Checkout Session, its `payment_intent.latest_charge` expanded, with the refunds and
    disputes of the intent; None for one that is no checkout of ours."""
    ours = _part(session, "metadata")
    if session.get("mode") != "payment" or "order_reference" not in ours:
        return None
    intent = _part(session, "payment_intent")
    charge = _part(intent, "latest_charge")
    method = _part(charge, "payment_method_details")
    currency = str(session["currency"]).upper()
    standing = standing_of(session)
    paid = intent if standing is Standing.PAID else {}
    return GatewayState(
        reference=str(session["id"]),
        standing=standing,
        amount=from_stripe(paid.get("amount_received", session["amount_total"]), currency),
        currency=currency,
        order_reference=str(ours["order_reference"]),
        checkout_id=_whole(ours.get("checkout_id")),
        payment_id=paid.get("id"),
        paid_at=_moment(_part(paid, "latest_charge").get("created")),
        reason=REASONS.get(standing, ""),
        refunds=tuple(read_refund(refund) for refund in refunds),
        disputes=tuple(read_dispute(dispute) for dispute in disputes),
        fault=_fault(session, intent, is_live=is_live),
        method=str(method.get("type") or ""),
        billing_country=_country(_part(_part(session, "customer_details"), "address")),
        card_country=_country(_part(method, "card")),
        card_last4=str(_part(method, "card").get("last4") or "")[:4],
    )


def standing_of(session: Said) -> Standing:
    """How a session stands; a declined card inside an open one leaves it open."""
    match session["status"], session["payment_status"]:
        case "complete", "paid" | "no_payment_required":
            return Standing.PAID
        case "complete", _:
            intent = _part(session, "payment_intent")
            has_failed = intent.get("status") in {"requires_payment_method", "canceled"}
            return Standing.FAILED if has_failed else Standing.PROCESSING
        case "expired", _:
            return Standing.EXPIRED
    return Standing.OPEN


def read_refund(refund: Said) -> GatewayRefund:
    """One refund; its key is in its metadata, where the refund was ours."""
    currency = str(refund["currency"]).upper()
    return GatewayRefund(
        refund_id=str(refund["id"]),
        standing=REFUND_STANDINGS.get(str(refund.get("status")), RefundStanding.PENDING),
        amount=from_stripe(refund["amount"], currency),
        currency=currency,
        key=_part(refund, "metadata").get("refund_key"),
        reason=str(refund.get("failure_reason") or "").replace("_", " "),
    )


def read_dispute(dispute: Said) -> GatewayDispute:
    """One dispute, or an inquiry that may become one."""
    currency = str(dispute["currency"]).upper()
    status = str(dispute["status"])
    details = _part(dispute, "evidence_details")
    opened_at = _moment(dispute["created"])
    if opened_at is None:
        raise ValueError("a dispute without a beginning")
    return GatewayDispute(
        dispute_id=str(dispute["id"]),
        reason=str(dispute.get("reason") or ""),
        amount=from_stripe(dispute["amount"], currency),
        currency=currency,
        is_inquiry=status.startswith("warning_"),
        opened_at=opened_at,
        due_at=_moment(details.get("due_by")),
        outcome=OUTCOMES.get(status),
        is_submitted=bool(details.get("submission_count")),
    )


def read_news(event: Said, *, is_live: bool) -> News:
    """An event; its subject is the session, or the payment intent behind whatever it is about.
    Raises `KeyError`, `TypeError` or `AttributeError` for what is no event."""
    kind, about = str(event["type"]), event["data"]["object"]
    subject = str(_subject(about))
    return News(
        event_id=str(event["id"])[:120],
        kind=kind[:80],
        subject=subject[:120],
        payload={"id": str(event["id"]), "type": kind, "subject": subject},
        is_decline=kind == "payment_intent.payment_failed",
        warning=_warning(kind, about, subject),
        fault="" if bool(event["livemode"]) == is_live else _other_mode(is_live),
    )


def endpoint_fault(endpoint: Said, version: str) -> str:
    """What is wrong with a webhook endpoint of ours; empty where nothing is."""
    heard = set(endpoint["enabled_events"])
    missing = [] if "*" in heard else [kind for kind in EVENT_KINDS if kind not in heard]
    faults = []
    if endpoint["status"] != "enabled":
        faults.append("is switched off")
    if endpoint.get("api_version") != version:
        faults.append(f"speaks version {endpoint.get('api_version') or 'unset'}, not {version}")
    if missing:
        faults.append(f"does not hear {', '.join(missing)}")
    return f"endpoint {endpoint['id']} {' and '.join(faults)}" if faults else ""


def _subject(about: Said) -> object:
    if about.get("object") in {"checkout.session", "payment_intent"}:
        return about["id"]
    intent = about.get("payment_intent") or about.get("id") or ""
    return intent["id"] if isinstance(intent, Mapping) else intent


def _warning(kind: str, about: Said, subject: str) -> str:
    if kind != FRAUD_WARNING:
        return ""
    why = str(about.get("fraud_type") or "no reason given").replace("_", " ")
    return (
        f"The card's bank suspects fraud ({why}) in the payment {subject}. It often becomes a "
        "dispute, which costs a fee too. Look at the order: refunding now avoids that."
    )


def _fault(session: Said, intent: Said, *, is_live: bool) -> str:
    if bool(session["livemode"]) != is_live:
        return _other_mode(is_live)
    named = _part(intent, "metadata").get("order_reference")
    if intent and named != session["metadata"]["order_reference"]:
        return f"the payment names the order “{named}”, its checkout another one"
    return ""


def _other_mode(is_live: bool) -> str:
    return "it is from Stripe's test mode" if is_live else "it is from Stripe's live mode"


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _whole(text: object) -> int | None:
    # A number of ours is short; a longer one would not fit the column.
    return int(str(text)) if re.fullmatch(r"\d{1,9}", str(text), re.ASCII) else None


def _part(said: Said, name: str) -> Said:
    """A part of an answer; empty where it is missing or null."""
    return said.get(name) or {}


def _country(place: Said) -> str:
    return str(place.get("country") or "")[:2]
