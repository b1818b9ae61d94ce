"""What the shop needs of any gateway: Stripe Checkout's shape, in our own words.

A gateway is asked outside transactions only; its answers are plain values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class GatewayUnreachable(Exception):
    """No answer, or none that says anything: nothing is known, so ask again later."""


class GatewayRefused(Exception):
    """The gateway says no for good; the reason is for staff."""


class BadSignature(Exception):
    """Something came in a gateway's name that it did not sign, or signed too long ago."""


class Standing(StrEnum):
    """How a try to pay stands at the gateway."""

    OPEN = "open"
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"


class RefundStanding(StrEnum):
    """How a refund stands at the gateway."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class CheckoutRequest:
    """What a gateway is told to start a try to pay. The same key and values start it once."""

    idempotency_key: str
    checkout_id: int
    order_reference: str
    title: str
    email: str
    amount: int  # minor units
    currency: str
    expires_at: datetime
    success_url: str
    cancel_url: str


@dataclass(frozen=True)
class StartedCheckout:
    """Where the buyer pays, until when, and the gateway's name for the try."""

    reference: str
    url: str
    expires_at: datetime


@dataclass(frozen=True)
class GatewayRefund:
    """One refund as it stands at the gateway; `key` is ours, where the refund was ours."""

    refund_id: str
    standing: RefundStanding
    amount: int
    currency: str
    key: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class GatewayState:
    """One try to pay as it stands at the gateway at this moment."""

    reference: str
    standing: Standing
    amount: int
    currency: str
    order_reference: str | None  # ours, as we gave it
    checkout_id: int | None  # ours, as we gave it
    payment_id: str | None = None
    paid_at: datetime | None = None
    reason: str = ""  # why it failed, in words that a buyer may read
    refunds: tuple[GatewayRefund, ...] = ()


@dataclass(frozen=True)
class News:
    """A signed message: something happened to `subject`, so ask how it stands."""

    event_id: str
    kind: str
    subject: str
    payload: dict[str, Any]  # the least that helps a person; no personal data


class Gateway(Protocol):
    """One way of paying. All but `read_event` may raise `GatewayUnreachable`."""

    @property
    def name(self) -> str:
        """What checkouts, payments and events are stored under."""
        ...

    def start(self, request: CheckoutRequest) -> StartedCheckout:
        """Start a try to pay; repeated with the same key it answers the same."""
        ...

    def fetch(self, subject: str) -> GatewayState | None:
        """The present state of the try that `subject` (its reference, or whatever an event
        names) belongs to; None for what is no checkout of this shop."""
        ...

    def close(self, reference: str) -> None:
        """Let nobody pay this try any more. One that was paid already stays paid."""
        ...

    def refund(self, payment_id: str, amount: int, key: str) -> GatewayRefund:
        """Give `amount` back, once per key. Raises `GatewayRefused` where it says no for good."""
        ...

    def read_event(self, headers: Mapping[str, str], body: bytes) -> News:
        """The message in a request, its signature checked first. Raises `BadSignature`."""
        ...
