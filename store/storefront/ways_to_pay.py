"""How an order may be paid for, and whether its total is one that can be."""

from store.catalog.sellers import current_seller
from store.orders.prices import Quote, TooLittleToCharge, check_chargeable
from store.payments.gateways.registry import NoGateway, default_gateway


def why_not_chargeable(quoted: Quote) -> str:
    """The sentence for a total that no gateway takes; "" where it can be charged."""
    try:
        check_chargeable(quoted)
    except TooLittleToCharge as refusal:
        return refusal.sentence
    return ""


def ways_to_pay(quoted: Quote) -> list[str]:
    """`free`, or `online` and `transfer`; `elsewhere` in place of `online` where the order binds
    on the gateway's page and not by our button (Consumer Contracts Regulations, 14)."""
    if quoted.total_amount == 0:
        return ["free"]
    try:
        online = ["online" if default_gateway().is_binding_here else "elsewhere"]
    except NoGateway:
        online = []
    return online + (["transfer"] if current_seller().bank_details else [])
