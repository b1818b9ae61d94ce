"""What the shop needs of any gateway: Stripe Checkout's shape, in our own words.

A gateway is asked outside transactions only; its answers are plain values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

# The names of those whose side is ours (`inhouse`), so that they are never silent.
MANUAL = "manual"
FREE = "free"
OUR_OWN = frozenset({MANUAL, FREE})


class GatewayUnreachable(Exception):
    """No answer, or none that says anything: nothing is known, so ask again later."""


class GatewayRefused(Exception):
    """The gateway says no for good; the reason is for staff."""


class BadSignature(Exception):
    """Something came in a gateway's name that it did not sign, or signed too long ago."""


class Standing(StrEnum):
    """How a try to pay stands at the gateway."""

    OPEN = "open"
    PROCESSING = "processing"  # the buyer has done their part, and the bank takes its days
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


class DisputeOutcome(StrEnum):
    """How a dispute ended; an inquiry that ends without one is closed."""

    WON = "won"
    LOST = "lost"
    CLOSED = "closed"


@dataclass(frozen=True)
class GatewayDispute:
    """One dispute as it stands at the gateway; `outcome` None while it runs."""

    dispute_id: str
    reason: str
    amount: int
    currency: str
    is_inquiry: bool
    opened_at: datetime
    due_at: datetime | None = None
    outcome: DisputeOutcome | None = None
    is_submitted: bool = False


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
    disputes: tuple[GatewayDispute, ...] = ()
    fault: str = ""  # why this money cannot be taken for the order, such as a test payment
    method: str = ""  # card, bacs_debit, bank transfer
    billing_country: str = ""  # ISO 3166, with `card_country` the evidence of the buyer's country
    card_country: str = ""
    card_last4: str = ""  # the last four digits of its number
    received: int = 0  # of an open try: what has arrived so far, minor units


@dataclass(frozen=True)
class News:
    """A signed message: something happened to `subject`, so ask how it stands."""

    event_id: str
    kind: str
    subject: str
    payload: dict[str, Any]  # the least that helps a person; no personal data
    is_decline: bool = False  # somebody's payment was refused
    warning: str = ""  # what staff have to hear of at once, such as an early fraud warning
    fault: str = ""  # why it is ignored, such as a message of the other mode


class Gateway(Protocol):
    """One way of paying. All but `read_event` may raise `GatewayUnreachable`."""

    @property
    def name(self) -> str:
        """What checkouts, payments and events are stored under."""
        ...

    @property
    def is_binding_here(self) -> bool:
        """Whether our own button is the order; else the gateway's page has the last one."""
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

    def missed_news(self) -> list[News]:
        """What the gateway told us and nobody here took in; [] where none can be."""
        ...

    def known_since(self, moment: datetime) -> list[str]:
        """What tries were paid, given back or contested since a moment (UTC), as subjects for
        `fetch`; [] where nothing is known that our own rows do not say."""
        ...

    def send_evidence(self, dispute_id: str, evidence: dict[str, str], *, submit: bool) -> None:
        """Lay down what speaks for us in a dispute; with `submit` for good, once. Raises
        `GatewayRefused` where none is taken."""
        ...

    def read_event(self, headers: Mapping[str, str], body: bytes) -> News:
        """The message in a request, its signature checked first. Raises `BadSignature`."""
        ...


class QuietGateway:
    """What `manual` and `free` share: no service behind them sends news or disputes a payment."""

    def missed_news(self) -> list[News]:
        return []

    def known_since(self, moment: datetime) -> list[str]:
        return []

    def send_evidence(self, dispute_id: str, evidence: dict[str, str], *, submit: bool) -> None:
        raise GatewayRefused("there are no disputes of such payments")

    def read_event(self, headers: Mapping[str, str], body: bytes) -> News:
        raise BadSignature("nobody sends news of such payments")
