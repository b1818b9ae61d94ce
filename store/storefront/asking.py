"""Asking for a price that depends on who one is: the same answer for everybody, and a letter."""

from flask import Response, render_template

from store.kit.database import transaction
from store.kit.refusal_pages import private_page
from store.orders.customers import parse_address
from store.orders.offers import ask_for_offer
from store.storefront.form_limits import count_offer_letter
from store.storefront.publication import on_sale
from store.storefront.publication_view import Shown


def answer_asking(shown: Shown, typed: str, code: str = "", shown_as: str = "") -> Response:
    """Owe the letter to the address that was typed, and say so in the same words to everybody;
    `shown_as` stands for an address that this page may not print.

    Refuses (`InvalidAddress`, `CodeRefused`, `TooOften`). Opens its own transaction.
    """
    address = parse_address(typed[:400])
    count_offer_letter(address)
    with transaction():
        ask_for_offer(on_sale(shown.slug), address, code[:100])
    page = render_template(
        "storefront/offer_asked.html", shown=shown, address=shown_as or address, code=code
    )
    return private_page(page)
