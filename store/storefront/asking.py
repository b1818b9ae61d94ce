"""Asking for a price that depends on who one is: the same answer for everybody, and a letter."""

from flask import Response, render_template

from store.kit.database import transaction
from store.kit.limits import asking_network, count_try
from store.kit.refusal_pages import private_page
from store.orders.customers import address_key, parse_address
from store.orders.offers import ask_for_offer
from store.storefront.publication import on_sale
from store.storefront.showing import Shown

_FROM_NETWORK = "20 per hour"
_TO_ADDRESS = "5 per hour"
_TOO_OFTEN = (
    "That was asked for too often within an hour. Look in the mailbox first, and in its spam "
    "folder. Then wait {span} and ask again."
)


def answer_asking(shown: Shown, typed: str, code: str = "", shown_as: str = "") -> Response:
    """Owe the letter to the address that was typed, and say so in the same words to everybody;
    `shown_as` stands for an address that this page may not print.

    Refuses (`InvalidAddress`, `CodeRefused`, `TooOften`). Opens its own transaction.
    """
    address = parse_address(typed[:400])
    _count_asking(address)
    with transaction():
        ask_for_offer(on_sale(shown.slug), address, code[:100])
    page = render_template(
        "storefront/offer_asked.html", shown=shown, address=shown_as or address, code=code
    )
    return private_page(page)


def _count_asking(address: str) -> None:
    """Count a letter before it is owed, for the network and for the address, known or not, however
    it was spelt."""
    to_address = f"to {address_key(address)}"
    allowed = {asking_network(): _FROM_NETWORK, to_address: _TO_ADDRESS}
    count_try("offers", allowed, _TOO_OFTEN)
