"""The demonstration's payment page: pay, be declined or leave, and how the news of it arrives."""

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as Answer

from store.demo.buyer import (
    Arrival,
    Decision,
    decide,
    deliver_held,
    held_news,
    payment_by_reference,
)
from store.kit.config import config
from store.kit.limits import limiter
from store.kit.web import private_page, same_site
from store.payments.gateways.demo import DemoPayment, present_state

bp = Blueprint("demo_pay", __name__)

DECISIONS = {"pay": Decision.PAY, "decline": Decision.DECLINE, "abandon": Decision.ABANDON}
ARRIVALS = [
    (Arrival.ONCE.value, "Once, at once"),
    (Arrival.TWICE.value, "Twice"),
    (Arrival.LATE.value, "Late", "Held until you deliver it here, or the shop asks by itself."),
    (Arrival.OUT_OF_ORDER.value, "Out of order", "Older news of the same payment comes last."),
]


@bp.get("/demo/pay/<token>")
def page(token: str) -> Response:
    """What is to be paid, or what became of it."""
    payment = payment_by_reference(token)
    return private_page(
        render_template(
            "demo/pay.html",
            payment=payment,
            state=present_state(payment),
            way_on=_way_on(payment),
            held=len(held_news(token)),
            arrivals=ARRIVALS,
        )
    )


@bp.post("/demo/pay/<token>")
@limiter.limit("60 per minute")
def answer(token: str) -> Answer:
    """The buyer's decision; then back to the shop, as from any gateway."""
    same_site(request)
    try:
        decision = DECISIONS[request.form.get("decision", "")]
        arrival = Arrival(request.form.get("news", Arrival.ONCE.value))
    except (KeyError, ValueError):
        raise BadRequest from None
    decide(token, decision, arrival)
    return redirect(_way_on(payment_by_reference(token)), 303)


@bp.post("/demo/pay/<token>/news")
@limiter.limit("60 per minute")
def news(token: str) -> Answer:
    """Deliver the news that was held."""
    same_site(request)
    payment_by_reference(token)
    deliver_held(token)
    return redirect(url_for(".page", token=token), 303)


def _way_on(payment: DemoPayment) -> str:
    """Back to the shop: to the order's page where it is paid, else to the review page."""
    url = payment.success_url if present_state(payment) == "paid" else payment.cancel_url
    # The shop's own pages by path, so that another name of this machine leads there too.
    return url.removeprefix(config().base_url)
