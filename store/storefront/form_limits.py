"""How often a form may be sent: payments started (card testers try cards by the hundred, buyers do
not), and letters sent to an address that somebody typed (no mailbox is to be flooded).

An address counts as one however it was spelt, whether we know it or not.
"""

from store.kit.limits import asking_network, count_try, is_within, network_of, was_tried
from store.kit.mailboxes import address_key
from store.orders.customers import key_of_typed

# A nursery whose staff all buy in one afternoon comes from one network.
_CHECKOUTS_FROM_NETWORK = "30 per hour"
# Who orders for somebody else's address has letters sent there.
_CHECKOUTS_TO_ADDRESS = "10 per hour"
# One form is one order: pressing again goes on with the same payment, and counts once above.
_CHECKOUTS_FOR_FORM = "20 per hour"
# People who mistype their own address try two or three times.
_LETTERS_FOR_ASKER = "10 per day"
_LETTERS_TO_ADDRESS = "5 per day"
_TOO_MANY_LETTERS = "Too many letters went to this address today. Wait {span}, then try again."
# Who waits for their payment loads the page again, at most every few seconds.
_ASKED_OF_GATEWAY = "20 per minute"
_OFFERS_FROM_NETWORK = "20 per hour"
_OFFERS_TO_ADDRESS = "5 per hour"
_ASKED_TOO_OFTEN = (
    "That was asked for too often within an hour. Look in the mailbox first, and in its spam "
    "folder. Then wait {span} and ask again."
)


def count_checkout(form_key: str, email: str, network: str) -> None:
    """Count a payment that is about to be started, once for each form and address. Refuses
    (`TooOften`). Writes in a transaction of its own, so it is called outside any."""
    address = key_of_typed(email)
    form = {f"form {form_key} {address}": _CHECKOUTS_FOR_FORM}
    if not was_tried("checkout", form):
        from_network = {f"from {network_of(network)}": _CHECKOUTS_FROM_NETWORK}
        count_try("checkout", from_network, _too_many_payments("from your network"))
        count_try(
            "checkout",
            {f"to {address}": _CHECKOUTS_TO_ADDRESS},
            _too_many_payments("for this e-mail address"),
        )
    count_try("checkout", form, _too_many_payments("for this order"))


def _too_many_payments(whose: str) -> str:
    return (
        f"More payments were started {whose} within an hour than we take. What you typed is kept "
        "on this page. Please wait {span} and press again, or write to us: our address is at the "
        "foot of the page."
    )


def count_letter(asker: str, email: str) -> None:
    """Count a letter that `asker` (an order or a customer) has sent to a parsed address. Refuses
    (`TooOften`). Called outside any transaction."""
    count_try("letter", {asker: _LETTERS_FOR_ASKER})
    count_try("letter", {_to(email): _LETTERS_TO_ADDRESS}, _TOO_MANY_LETTERS)


def count_offer_letter(email: str) -> None:
    """Count a letter about a price, or a code, that somebody on this network asks for, to a parsed
    address. Refuses (`TooOften`). Called outside any transaction."""
    allowed = {f"from {asking_network()}": _OFFERS_FROM_NETWORK, _to(email): _OFFERS_TO_ADDRESS}
    count_try("offers", allowed, _ASKED_TOO_OFTEN)


def may_ask_gateway(order_id: int) -> bool:
    """Whether a page of this order may have the gateway asked once more: it answers so many questions a
    second for the whole shop. Beyond that the page says that we are asking."""
    return is_within("gateway asked", {f"order {order_id}": _ASKED_OF_GATEWAY})


def _to(email: str) -> str:
    return f"to {address_key(email)}"
