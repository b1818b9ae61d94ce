"""How many letters a form sends to an address that somebody typed: no mailbox is to be flooded."""

from store.kit.limits import count_try
from store.orders.customers import address_key

# Whoever mistypes their own address tries two or three times.
_FOR_ASKER = "10 per day"
_TO_ADDRESS = "5 per day"
_TOO_MANY = "Too many letters went to this address today. Wait {span}, then try again."


def count_letter(asker: str, email: str) -> None:
    """Count a letter that `asker` (an order or a customer) has sent to a parsed address, known or
    not. Refuses (`TooOften`). Called outside any transaction."""
    count_try("letter", {asker: _FOR_ASKER})
    count_try("letter", {f"to {address_key(email)}": _TO_ADDRESS}, _TOO_MANY)
