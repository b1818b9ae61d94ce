"""How many payments may be started an hour: card testers try cards by the hundred, buyers do not."""

from store.kit.limits import count_try, network_of, was_tried
from store.orders.customers import key_of_typed

# A nursery whose staff all buy in one afternoon comes from one network.
_FROM_NETWORK = "30 per hour"
# Whoever orders for somebody else's address has letters sent there.
_TO_ADDRESS = "10 per hour"
# One form is one order: pressing again goes on with the same payment, and counts once above.
_FOR_FORM = "20 per hour"


def count_checkout(form_key: str, email: str, network: str) -> None:
    """Count a payment that is about to be started, once for each form and address. Refuses
    (`TooOften`). Writes in a transaction of its own, so it is called outside any."""
    address = key_of_typed(email)
    form = {f"form {form_key} {address}": _FOR_FORM}
    if not was_tried("checkout", form):
        from_network = {f"from {network_of(network)}": _FROM_NETWORK}
        count_try("checkout", from_network, _words("from your network"))
        count_try("checkout", {f"to {address}": _TO_ADDRESS}, _words("for this e-mail address"))
    count_try("checkout", form, _words("for this order"))


def _words(whose: str) -> str:
    return (
        f"More payments were started {whose} within an hour than we take. What you typed is kept "
        "on this page. Please wait {span} and press again, or write to us: our address is at the "
        "foot of the page."
    )
