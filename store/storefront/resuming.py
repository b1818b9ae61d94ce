"""An order that was not paid, taken up again behind its own link. What was typed for it stays with
the order and is not shown: the link may have come into other hands than those that typed."""

from collections.abc import Collection
from dataclasses import replace

from store.catalog.models import Publication
from store.entitlements.links import open_link, order_behind
from store.kit.errors import NotFound
from store.orders.consents import has_waiver
from store.orders.models import Order, OrderStatus
from store.orders.placing import Details
from store.payments.charge import Charge
from store.payments.checkout import last_try

NOT_MADE = "The payment was not made"


def order_to_resume(token: str, publication: Publication) -> Order:
    """The order behind a link, where it is one of this publication; refuses `NotFound`, and as
    `open_link`."""
    order = order_behind(open_link(token, "order"))
    if publication.id not in {line.publication_id for line in order.lines}:
        raise NotFound
    return order


def kept_details(order: Order) -> Details:
    """What was typed for an order, with the address that its customer has today."""
    return Details(
        email=order.customer.email,
        name=order.name,
        organisation=order.organisation,
        purchase_order_number=order.purchase_order_number,
        code=order.discount.code or "" if order.discount else "",
        country=order.country,
        wants_now=has_waiver(order.id),
    )


def filled_in(details: Details, order: Order, typed: Collection[str]) -> Details:
    """The details with what the order has for every line that was not typed."""
    kept = kept_details(order)
    lines = ("email", "name", "organisation", "purchase_order_number", "code", "country")
    return replace(details, **{name: getattr(kept, name) for name in lines if name not in typed})


def notice_of(order: Order, charge: Charge) -> tuple[str, str]:
    """Heading and sentences about the order that the buyer comes back to."""
    if charge.is_asking:
        return "We do not know yet whether you have paid", charge.sentence
    last = last_try(order.id)
    why = last.sentence if last and last.sentence != charge.sentence else ""
    said = f"{why} {charge.sentence}".strip()
    if order.status is OrderStatus.PENDING:
        return NOT_MADE, f"{said} Your order is kept, and you can try again."
    return NOT_MADE, f"{said} That order is closed; here you can order again."
