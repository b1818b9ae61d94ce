"""Which gateways this shop may use."""

from store.kit.config import config
from store.kit.errors import NotFound, Refusal
from store.payments.gateways.base import Gateway
from store.payments.gateways.demo import DemoGateway


class NoGateway(Refusal):
    """A shop in production without any way of being paid."""

    status = 503
    heading = "We cannot take payments yet"
    sentence = (
        "This shop has no way to take payments at the moment. You have not been charged. "
        "Please try again later, or write to us."
    )
    way_out = ("/", "Go to the front page")


class GatewayUnknown(NotFound):
    """No gateway of this name may speak to this shop."""


def default_gateway() -> Gateway:
    """The gateway that new checkouts use. Refuses (`NoGateway`) where there is none: the
    demonstration is never one in production."""
    for gateway in gateways().values():
        return gateway
    raise NoGateway


def gateway_named(name: str) -> Gateway:
    """The gateway that a stored row belongs to. Refuses (`GatewayUnknown`)."""
    try:
        return gateways()[name]
    except KeyError:
        raise GatewayUnknown from None


def gateways() -> dict[str, Gateway]:
    """All that may be used, the one for new checkouts first."""
    if config().env == "production":
        return {}
    demo = DemoGateway()
    return {demo.name: demo}
