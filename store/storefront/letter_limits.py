"""How many letters a form sends to an address that somebody typed: no mailbox is to be flooded."""

from store.kit.limits import TooOften, count_try
from store.orders.customers import address_key

# Whoever mistypes their own address tries two or three times.
_FOR_ASKER = "10 per day"
_TO_ADDRESS = "5 per day"


class TooManyLetters(TooOften):
    """An address has had its letters of the day, whoever asked for them."""

    heading = "Too many letters went to this address"
    of_what = "Too many letters went to this address today."


def count_letter(asker: str, email: str) -> None:
    """Count a letter that `asker` (an order or a customer) has sent to a parsed address, known or
    not. Refuses (`TooOften`, `TooManyLetters`). Called outside any transaction."""
    count_try("letter", {asker: _FOR_ASKER})
    try:
        count_try("letter", {f"to {address_key(email)}": _TO_ADDRESS})
    except TooOften as refusal:
        raise TooManyLetters(refusal.retry_after or 1) from None
