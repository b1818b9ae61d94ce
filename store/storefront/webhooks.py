"""Where gateways and mail providers tell the shop what happened. No page, no form, no cookie: messages
that prove whose they are."""

import logging

from flask import Blueprint, Response, request

from store.kit import limits
from store.mail.providers import registry as providers
from store.mail.providers.base import NotReadable, NotTheirs
from store.payments.gateways.base import BadSignature
from store.payments.inbox import receive_event

log = logging.getLogger(__name__)

bp = Blueprint("webhooks", __name__)

# Stripe's longest events, with a dispute's evidence in them, stay below.
LARGEST_MESSAGE = 1024 * 1024
UNPROVED = "30 per minute"


@bp.post("/webhooks/stripe")
def stripe() -> Response:
    """News of Stripe; nobody listens here (404) while no key is set."""
    request.max_content_length = LARGEST_MESSAGE
    return _receive("stripe")


@bp.post("/webhooks/demo")
def demo() -> Response:
    """News of the demonstration gateway; in production nobody listens here (404)."""
    return _receive("demo")


@bp.post("/webhooks/mail/<provider>")
def mail(provider: str) -> Response:
    """What came back, as a mail provider posts it; nobody listens here (404) where none is set."""
    request.max_content_length = LARGEST_MESSAGE
    try:
        providers.receive(provider, dict(request.headers), request.get_data())
    except NotTheirs as fault:
        return _unproved(provider, fault)
    except NotReadable as fault:
        log.warning("a message of %s cannot be read: %s", provider, fault)
        return _say("That cannot be read.", 400)
    return _say("Received.", 200)


def _unproved(provider: str, fault: NotTheirs) -> Response:
    """Counted by network once it is refused: what is proved must come through, though a stranger may
    post by way of the same provider. Beyond the limit the log is spared."""
    try:
        limits.count_try("unproved mail", {limits.asking_network(): UNPROVED})
    except limits.TooOften:
        return _say("That was asked for too often.", 429)
    log.warning("a message in the name of %s was refused: %s", provider, fault)
    return _say("That is not proved.", 403)


def _receive(gateway: str) -> Response:
    try:
        receive_event(gateway, dict(request.headers), request.get_data())
    except BadSignature as fault:
        log.warning("a message in the name of %s was refused: %s", gateway, fault)
        return _say("The signature does not hold.", 400)
    return _say("Received.", 200)


def _say(text: str, status: int) -> Response:
    return Response(f"{text}\n", status, content_type="text/plain; charset=utf-8")
