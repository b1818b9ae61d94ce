"""Where gateways tell the shop what happened. No page, no form, no cookie: signed messages."""

import logging

from flask import Blueprint, Response, request

from store.payments.gateways.base import BadSignature
from store.payments.inbox import receive_event

log = logging.getLogger(__name__)

bp = Blueprint("webhooks", __name__)

# Stripe's longest events, with a dispute's evidence in them, stay below.
LARGEST_MESSAGE = 1024 * 1024


@bp.post("/webhooks/stripe")
def stripe() -> Response:
    """News of Stripe; nobody listens here (404) while no key is set."""
    request.max_content_length = LARGEST_MESSAGE
    return _receive("stripe")


@bp.post("/webhooks/demo")
def demo() -> Response:
    """News of the demonstration gateway; in production nobody listens here (404)."""
    return _receive("demo")


def _receive(gateway: str) -> Response:
    try:
        receive_event(gateway, dict(request.headers), request.get_data())
    except BadSignature as fault:
        log.warning("a message in the name of %s was refused: %s", gateway, fault)
        return _say("The signature does not hold.", 400)
    return _say("Received.", 200)


def _say(text: str, status: int) -> Response:
    return Response(f"{text}\n", status, content_type="text/plain; charset=utf-8")
