"""How many payments may be started an hour: card testers try cards by the hundred, buyers do not."""

import hashlib
import ipaddress

from limits import RateLimitItemPerHour

from store.kit.errors import Refusal
from store.kit.limits import limiter
from store.orders.customers import address_key

# A nursery whose staff all buy in one afternoon comes from one network.
PER_NETWORK = RateLimitItemPerHour(30, namespace="checkouts")
# Whoever orders for somebody else's address has letters sent there.
PER_ADDRESS = RateLimitItemPerHour(10, namespace="checkouts")
# One form is one order: pressing again goes on with the same payment, and counts once above.
PER_FORM = RateLimitItemPerHour(20, namespace="checkouts")


class TooManyCheckouts(Refusal):
    """More payments were started from one network, or for one address, than buyers ever start."""

    status = 429
    heading = "Too many payments were started"

    def __init__(self, whose: str) -> None:
        super().__init__(
            f"More payments were started {whose} within an hour than we take. You have not been "
            "charged, and what you typed is kept on this page. Please wait an hour and press "
            "again, or write to us: our address is at the foot of the page."
        )


def count_checkout(form_key: str, email: str, network: str) -> None:
    """Count a payment that is about to be started, once for each form and address. Refuses
    (`TooManyCheckouts`). Writes in a transaction of its own, so it is called outside any."""
    if not limiter.enabled:
        return
    address = _mark(address_key(email))
    form = ("form", _mark(f"{form_key} {address}"))
    is_new = limiter.limiter.get_window_stats(PER_FORM, *form).remaining == PER_FORM.amount
    if is_new and not limiter.limiter.hit(PER_NETWORK, "network", _network(network)):
        raise TooManyCheckouts("from your network")
    if is_new and not limiter.limiter.hit(PER_ADDRESS, "address", address):
        raise TooManyCheckouts("for this e-mail address")
    if not limiter.limiter.hit(PER_FORM, *form):
        raise TooManyCheckouts("for this order")


def _network(address: str) -> str:
    """The address itself; of IPv6 the /64 that one household or office has (RFC 6177)."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:45]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, 64), strict=False))


def _mark(text: str) -> str:
    """The counts name nobody."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
