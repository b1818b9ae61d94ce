"""How many payments may be started an hour: card testers try cards by the hundred, buyers do not."""

from limits import RateLimitItemPerHour

from store.kit.errors import Refusal
from store.kit.formatting import format_span
from store.kit.limits import Counted, limiter, mark, network_of, seconds_left
from store.orders.addresses import key_of_typed

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

    def __init__(self, whose: str, counted: Counted) -> None:
        self.retry_after = seconds_left([counted])
        super().__init__(
            f"More payments were started {whose} within an hour than we take. What you typed is "
            f"kept on this page. Please wait {format_span(self.retry_after)} and press again, or "
            "write to us: our address is at the foot of the page."
        )


def count_checkout(form_key: str, email: str, network: str) -> None:
    """Count a payment that is about to be started, once for each form and address. Refuses
    (`TooManyCheckouts`). Writes in a transaction of its own, so it is called outside any."""
    if not limiter.enabled:
        return
    address = mark(key_of_typed(email))
    of_network = (PER_NETWORK, ("network", network_of(network)))
    of_address = (PER_ADDRESS, ("address", address))
    of_form = (PER_FORM, ("form", mark(f"{form_key} {address}")))
    if _is_first(of_form):
        _hit(of_network, "from your network")
        _hit(of_address, "for this e-mail address")
    _hit(of_form, "for this order")


def _is_first(counted: Counted) -> bool:
    limit, names = counted
    return limiter.limiter.get_window_stats(limit, *names).remaining == limit.amount


def _hit(counted: Counted, whose: str) -> None:
    limit, names = counted
    if not limiter.limiter.hit(limit, *names):
        raise TooManyCheckouts(whose, counted)
