"""How many letters a form sends to an address that somebody typed: no mailbox is to be flooded.

An address counts as one however it was spelt, whether we know it or not.
"""

from store.kit.limits import asking_network, count_try
from store.orders.customers import address_key

# Whoever mistypes their own address tries two or three times.
_FOR_ASKER = "10 per day"
_TO_ADDRESS = "5 per day"
_TOO_MANY = "Too many letters went to this address today. Wait {span}, then try again."
_OFFERS_FROM_NETWORK = "20 per hour"
_OFFERS_TO_ADDRESS = "5 per hour"
_TOO_OFTEN = (
    "That was asked for too often within an hour. Look in the mailbox first, and in its spam "
    "folder. Then wait {span} and ask again."
)


def count_letter(asker: str, email: str) -> None:
    """Count a letter that `asker` (an order or a customer) has sent to a parsed address. Refuses
    (`TooOften`). Called outside any transaction."""
    count_try("letter", {asker: _FOR_ASKER})
    count_try("letter", {_to(email): _TO_ADDRESS}, _TOO_MANY)


def count_offer_letter(email: str) -> None:
    """Count a letter about a price, or a code, that somebody on this network asks for, to a parsed
    address. Refuses (`TooOften`). Called outside any transaction."""
    allowed = {f"from {asking_network()}": _OFFERS_FROM_NETWORK, _to(email): _OFFERS_TO_ADDRESS}
    count_try("offers", allowed, _TOO_OFTEN)


def _to(email: str) -> str:
    return f"to {address_key(email)}"
