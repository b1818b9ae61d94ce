"""Which gateways this shop may use."""

from store.kit.config import config
from store.kit.errors import NotFound, Refusal
from store.payments.gateways.base import OUR_OWN, Gateway
from store.payments.gateways.demo import DemoGateway
from store.payments.gateways.inhouse import FreeGateway, ManualGateway


class NoGateway(Refusal):
    """A shop in production without any way of being paid."""

    status = 503
    heading = "We cannot take payments yet"
    sentence = (
        "This shop has no way to take payments at the moment. Your order is kept. "
        "Please try again later, or write to us."
    )
    way_out = ("/", "Go to the front page")


class GatewayUnknown(NotFound):
    """No gateway of this name may speak to this shop."""


def default_gateway() -> Gateway:
    """The gateway that a buyer pays online through. Refuses (`NoGateway`) where there is none: the
    demonstration is never one in production."""
    for gateway in gateways().values():
        if gateway.name not in OUR_OWN:
            return gateway
    raise NoGateway


def takes_payments_online() -> bool:
    """Whether there is a gateway for a buyer who pays online."""
    return bool(set(gateways()) - OUR_OWN)


def gateway_named(name: str) -> Gateway:
    """The gateway that a stored row belongs to. Refuses (`GatewayUnknown`)."""
    try:
        return gateways()[name]
    except KeyError:
        raise GatewayUnknown from None


def gateways() -> dict[str, Gateway]:
    """All that may be used, the one for paying online first."""
    usable: list[Gateway] = [ManualGateway(), FreeGateway()]
    if config().env != "production":
        # Beside Stripe too: what was paid here before keys were set can still be given back.
        usable.insert(0, DemoGateway())
    if config().stripe_secret_key is not None:
        # Its library is large, and many a shop has no key.
        from store.payments.gateways.stripe import StripeGateway  # noqa: PLC0415

        usable.insert(0, StripeGateway())
    return {gateway.name: gateway for gateway in usable}
