"""Stripe Checkout, hosted. The only module that imports `stripe`; asked outside transactions."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, cast
from urllib.parse import urlsplit

import stripe
from urllib3.util import Timeout

from store.kit import clock, patience
from store.kit.config import config
from store.payments.gateways import signatures
from store.payments.gateways.base import (
    BadSignature,
    CheckoutRequest,
    GatewayRefund,
    GatewayRefused,
    GatewayState,
    GatewayUnreachable,
    News,
    StartedCheckout,
)
from store.payments.gateways.stripe_objects import (
    CHANGED_LATER,
    EVENT_KINDS,
    SUBJECT,
    Said,
    read_news,
    read_refund,
    read_state,
    session_params,
    to_stripe,
)

log = logging.getLogger(__name__)

NAME = "stripe"
HEADER = "Stripe-Signature"
API_VERSION = stripe.api_version
TIMEOUT_SECONDS = 15
RETRIES = 2
PAGE = 100
# Stripe tries for three days to deliver an event.
MISSED_SINCE = timedelta(days=3)
EXPANDED = "payment_intent.latest_charge"
# Final answers to a refund, in words for staff.
REFUND_REFUSALS = {
    "charge_disputed": (
        "This payment is disputed: it cannot be refunded until the bank has decided."
    ),
    "charge_already_refunded": "This payment was refunded already.",
}


class StripeGateway:
    """Payments by Stripe; keys and addresses come from the settings."""

    name = NAME
    is_binding_here = False

    def start(self, request: CheckoutRequest) -> StartedCheckout:
        """Start a Checkout Session; repeated with the same key it answers the same."""
        try:
            params = session_params(request)
        except ValueError as fault:
            raise GatewayRefused(str(fault)) from None
        with _in_our_words(is_start=True):
            session = _client().v1.checkout.sessions.create(
                cast(Any, params), {"idempotency_key": request.idempotency_key}
            )
        url = session.url or ""
        if origin_of(url) != config().payment_origin:
            raise GatewayRefused("Stripe names a payment page that is not Stripe's")
        return StartedCheckout(session.id, url, datetime.fromtimestamp(session.expires_at, UTC))

    def fetch(self, subject: str) -> GatewayState | None:
        """The present state of the session that `subject` names or that its payment belongs to;
        None for what is no checkout of this shop, a session that only saves a card among them."""
        if not SUBJECT.fullmatch(subject):
            return None
        with _in_our_words():
            session = _session_of(subject)
            if session is None:
                return None
            refunds, disputes = _money_back(session)
        return read_state(session, refunds, disputes, is_live=is_live())

    def close(self, reference: str) -> None:
        """Let nobody pay this session any more. One that has ended already is news, no failure."""
        try:
            with _in_our_words():
                _client().v1.checkout.sessions.expire(reference)
        except GatewayRefused:
            session = _session_of(reference)
            if session is not None and session["status"] == "open":
                raise

    def refund(self, payment_id: str, amount: int, key: str) -> GatewayRefund:
        """Give money back, once per key. Raises `GatewayRefused` where Stripe says no for good."""
        try:
            with _in_our_words():
                return read_refund(_ask_refund(payment_id, amount, key))
        except GatewayUnreachable:
            # Perhaps only the answer was lost; Stripe may repeat an error for a day.
            with _in_our_words():
                for refund in _refunds(payment_id):
                    if read_refund(refund).key == key:
                        return read_refund(refund)
            raise

    def missed_news(self) -> list[News]:
        """Events of the last three days that no endpoint has taken in."""
        since = int((clock.now() - MISSED_SINCE).timestamp())
        with _in_our_words():
            found = _client().v1.events.list(
                {
                    "delivery_success": False,
                    "created": {"gte": since},
                    "types": list(EVENT_KINDS),
                    "limit": PAGE,
                }
            )
            return [
                read_news(event.to_dict(), is_live=is_live()) for event in found.auto_paging_iter()
            ]

    def known_since(self, moment: datetime) -> list[str]:
        """Sessions that were completed, and payments given back or contested, since then. Of what
        was older and changed since, Stripe tells for thirty days."""
        since, found = int(moment.timestamp()), set[str]()
        with _in_our_words():
            v1 = _client().v1
            sessions = v1.checkout.sessions.list(
                {"created": {"gte": since}, "status": "complete", "limit": PAGE}
            )
            found.update(session.id for session in sessions.auto_paging_iter())
            for listed in (v1.refunds, v1.disputes):
                rows = listed.list({"created": {"gte": since}, "limit": PAGE})
                found.update(str(row["payment_intent"]) for row in rows.auto_paging_iter())
            events = v1.events.list(
                {"created": {"gte": since}, "types": list(CHANGED_LATER), "limit": PAGE}
            )
            for event in events.auto_paging_iter():
                found.add(read_news(event.to_dict(), is_live=is_live()).subject)
        return sorted(subject for subject in found if SUBJECT.fullmatch(subject))

    def send_evidence(self, dispute_id: str, evidence: dict[str, str], *, submit: bool) -> None:
        """Lay down evidence; with `submit` for good. Raises `GatewayRefused`."""
        with _in_our_words():
            _client().v1.disputes.update(
                dispute_id, {"evidence": cast(Any, evidence), "submit": submit}
            )

    def read_event(self, headers: Mapping[str, str], body: bytes) -> News:
        """The message in a request, if one of the endpoint's secrets signed it within five
        minutes. Raises `BadSignature`."""
        header = {name.lower(): value for name, value in headers.items()}.get(HEADER.lower(), "")
        secrets = [key.get_secret_value().encode() for key in config().stripe_webhook_secrets]
        signatures.verify(header, body, secrets)
        try:
            return read_news(signatures.read_json(body), is_live=is_live())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadSignature("signed, but no event") from None


def is_live() -> bool:
    """Whether our key moves real money."""
    return _key().split("_")[1] == "live"


def origin_of(url: str) -> str:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def endpoints() -> list[dict[str, Any]]:
    """The account's webhook endpoints, for `store check`. Raises as the gateway does."""
    with _in_our_words():
        found = _client().v1.webhook_endpoints.list({"limit": PAGE})
        return [endpoint.to_dict() for endpoint in found.auto_paging_iter()]


def time_there() -> str | None:
    """The Date header of an answer of Stripe's, for `store check`. Raises as the gateway does."""
    with _in_our_words():
        found = _client().v1.webhook_endpoints.list({"limit": 1})
    answer = found.last_response
    return answer.headers.get("Date") if answer is not None else None


def _key() -> str:
    secret = config().stripe_secret_key
    if secret is None:
        raise GatewayRefused("STORE_STRIPE_SECRET_KEY is not set")
    return secret.get_secret_value()


def _client() -> stripe.StripeClient:
    return _client_for(_key(), config().stripe_api_base, patience.is_page())


@lru_cache(maxsize=4)
def _client_for(key: str, base: str, is_page: bool) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        base_addresses={"api": base} if base else {},
        http_client=_InTime(),
        # A page does not try again by itself: its reader may, and the timetable does.
        max_network_retries=0 if is_page else RETRIES,
    )


class _InTime(stripe.RequestsClient):
    """Asks Stripe for as long as the caller has time: all calls of a page together a few seconds."""

    def request(self, *asked: Any, **given: Any) -> Any:
        """One call over the network, as the library makes it."""
        try:
            with patience.waiting(TIMEOUT_SECONDS) as seconds:
                self._thread_local.timeout = Timeout(total=seconds)
                return super().request(*asked, **given)
        except patience.OutOfPatience:
            fault: Any = stripe.APIConnectionError
            raise fault("the page has waited long enough", should_retry=False) from None

    @property  # type: ignore[override]
    def _timeout(self) -> Timeout:
        """What the library hands to each call: connecting and reading together."""
        return cast(Timeout, self._thread_local.timeout)

    @_timeout.setter
    def _timeout(self, _given: object) -> None:
        """Not fixed when the client is made."""


def _session_of(subject: str) -> dict[str, Any] | None:
    sessions = _client().v1.checkout.sessions
    if subject.startswith("pi_"):
        found = sessions.list(
            {"payment_intent": subject, "limit": 1, "expand": [f"data.{EXPANDED}"]}
        )
        return found.data[0].to_dict() if found.data else None
    try:
        return sessions.retrieve(subject, {"expand": [EXPANDED]}).to_dict()
    except stripe.InvalidRequestError as error:
        if error.http_status == 404:
            return None
        raise


def _money_back(session: Said) -> tuple[list[Said], list[Said]]:
    """The refunds and disputes of a session's payment, all of them."""
    intent: Said = session.get("payment_intent") or {}
    charge: Said = intent.get("latest_charge") or {}
    if not charge.get("paid"):
        return [], []
    return _refunds(intent["id"]), _disputes(intent["id"]) if charge.get("disputed") else []


def _refunds(payment_id: str) -> list[Said]:
    found = _client().v1.refunds.list({"payment_intent": payment_id, "limit": PAGE})
    return [refund.to_dict() for refund in found.auto_paging_iter()]


def _disputes(payment_id: str) -> list[Said]:
    found = _client().v1.disputes.list({"payment_intent": payment_id, "limit": PAGE})
    return [dispute.to_dict() for dispute in found.auto_paging_iter()]


def _ask_refund(payment_id: str, amount: int, key: str) -> Said:
    intent = _client().v1.payment_intents.retrieve(payment_id)
    asked = _client().v1.refunds.create(
        {
            "payment_intent": payment_id,
            "amount": to_stripe(amount, intent.currency.upper()),
            "metadata": {"refund_key": key},
        },
        # Our key counts refunds; the payment makes it one of this shop's alone.
        {"idempotency_key": f"{payment_id}-{key}"},
    )
    return asked.to_dict()


@contextmanager
def _in_our_words(*, is_start: bool = False) -> Iterator[None]:
    """Stripe's faults as ours. The text holds codes and names of parameters, never a key or what
    somebody typed; the fault itself holds both and is not told along."""
    try:
        yield
    except stripe.StripeError as error:
        raise _fault_of(error, is_start=is_start) from None


def _fault_of(error: stripe.StripeError, *, is_start: bool) -> Exception:
    status, said = error.http_status or 0, _said(error)
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        # A key that was revoked or may too little says nothing about the payment.
        log.error("the key for Stripe is refused or may not do this: %s", said)
        return GatewayUnreachable(said)
    if is_start and _repeats_itself(error):
        return GatewayRefused(f"{said}: it repeats this answer for the same try")
    if status in {0, 409, 429} or status >= 500:
        return GatewayUnreachable(said)
    return GatewayRefused(REFUND_REFUSALS.get(error.code or "", said))


def _said(error: stripe.StripeError) -> str:
    """Status, code, name of the parameter and number of the request."""
    answer = f"Stripe answered {error.http_status or 'nothing'}"
    parts = (answer, error.code, getattr(error, "param", None), error.request_id)
    return " ".join(part for part in parts if part)


def _repeats_itself(error: stripe.StripeError) -> bool:
    """Whether the same idempotency key would bring the same error for a day."""
    headers = {name.lower(): value for name, value in dict(error.headers or {}).items()}
    is_kept = headers.get("idempotent-replayed") == "true"
    return is_kept or headers.get("stripe-should-retry") == "false"
