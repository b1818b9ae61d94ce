"""Which way of paying an order goes: online, by bank transfer, or none where nothing is to pay."""

from store.kit.errors import Refusal
from store.orders.models import Order
from store.payments.gateways import free
from store.payments.gateways.base import Gateway
from store.payments.gateways.registry import NoGateway, default_gateway, gateway_named
from store.payments.transfers import takes_transfers


class NoTransfers(Refusal):
    """A seller who has not said where money can be transferred to."""

    heading = "We cannot take bank transfers"
    sentence = (
        "We cannot take bank transfers at the moment. Your order is kept. Please choose another way "
        "to pay, or write to us."
    )


class PartlyReceived(Refusal):
    """Part of the price has come by bank: it is not paid in another way as well."""

    heading = "Part of your payment has arrived"
    sentence = (
        "Part of the money for this order has arrived by bank transfer. Please transfer the rest, "
        "or write to us."
    )


def choose_gateway(order: Order, gateway_name: str | None) -> Gateway:
    """The way in which an order is paid: none where nothing is to pay, else the one that was
    named, else the one online. Refuses (`NoGateway`, `NoTransfers`)."""
    if order.total_amount == 0:
        return gateway_named(free.NAME)
    if gateway_name is None:
        return _online()
    if not takes_transfers():
        raise NoTransfers
    return gateway_named(gateway_name)


def _online() -> Gateway:
    try:
        return default_gateway()
    except NoGateway:
        if takes_transfers():
            raise NoGateway(
                "We cannot take cards at the moment. Your order is kept. Go back and choose "
                "“Order and pay by bank transfer”."
            ) from None
        raise
