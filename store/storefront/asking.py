"""Asking for a price that depends on who one is: the same answer for everybody, and a letter."""

from flask import Response, render_template, request
from limits import RateLimitItemPerHour

from store.kit.database import transaction
from store.kit.errors import Refusal
from store.kit.formatting import format_span
from store.kit.limits import Counted, limiter, mark, network_of, seconds_left
from store.kit.refusal_pages import private_page
from store.orders.customers import address_key
from store.orders.offers import ask_for_offer
from store.storefront.publication import on_sale
from store.storefront.showing import Shown

PER_NETWORK = RateLimitItemPerHour(20, namespace="offers")
PER_ADDRESS = RateLimitItemPerHour(5, namespace="offers")


class TooOftenAsked(Refusal):
    """More letters were asked for, from one network or for one address, than people ever ask for."""

    status = 429
    heading = "Asked for too often"

    def __init__(self, counted: Counted) -> None:
        self.retry_after = seconds_left([counted])
        super().__init__(
            "That was asked for too often within an hour. Look in the mailbox first, and in its "
            f"spam folder. Then wait {format_span(self.retry_after)} and ask again."
        )


def answer_asking(shown: Shown, typed: str, code: str = "", shown_as: str = "") -> Response:
    """Owe the letter to the address that was typed, and say so in the same words to everybody;
    `shown_as` stands for an address that this page may not print.

    Refuses (`InvalidAddress`, `CodeRefused`, `TooOftenAsked`). Opens its own transaction.
    """
    typed = typed[:400]
    count_asking(typed)
    with transaction():
        address = ask_for_offer(on_sale(shown.slug), typed, code[:100])
    page = render_template(
        "storefront/offer_asked.html", shown=shown, address=shown_as or address, code=code
    )
    return private_page(page)


def count_asking(typed: str) -> None:
    """Count a letter before it is owed, for the network and for the address, known or not. Refuses
    (`TooOftenAsked`)."""
    if not limiter.enabled:
        return
    counts: list[Counted] = [
        (PER_NETWORK, ("network", network_of(request.remote_addr or ""))),
        (PER_ADDRESS, ("address", mark(address_key(typed.strip())))),
    ]
    for limit, names in counts:
        if not limiter.limiter.hit(limit, *names):
            raise TooOftenAsked((limit, names))
