"""The steps of an order: from the details to the review, and on to the payment. One form key, one
order."""

from dataclasses import replace

from flask import Blueprint, Response, render_template, request

from store.entitlements.links import order_url
from store.kit import tokens
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.limits import TooOften, limiter
from store.kit.money import format_money
from store.kit.web import private_page, same_site, see_other
from store.orders import customers, offers, placing
from store.orders.discounts import CodeByLetter, CodeRefused
from store.orders.models import Order, OrderStatus
from store.orders.prices import TooLittleToCharge
from store.payments import charge, checkout, order_forms
from store.payments.gateways.base import MANUAL
from store.payments.inbox import fulfil_order
from store.storefront import form_limits, order_form
from store.storefront.order_form import Form
from store.storefront.publication import Shown, on_sale, show

bp = Blueprint("order", __name__)

CLOSED = "The order that you began here is closed. To order again, check it and press the button."
NOT_MADE = "The payment was not made"
UNSURE = "Tick the box to order."


@bp.get("/publications/<slug>/order")
def form(slug: str) -> Response:
    """The empty form; with `resume`, an order that was not paid, back on its review page."""
    token = request.args.get("resume")
    shown = show(on_sale(slug))
    if not token:
        return order_form.details_page(
            shown, Form(placing.Details(email=""), tokens.new_reference())
        )
    order_id = order_form.order_to_resume(token, shown.publication).id
    # The buyer is back before the gateway's news of why.
    may_ask = request.method == "GET" and form_limits.may_ask_gateway(order_id)
    is_heard = may_ask and fulfil_order(order_id)
    shown = show(on_sale(slug))
    order = order_form.order_to_resume(token, shown.publication)
    return private_page(resume_order(shown, order, is_heard=is_heard, resume=token))


@bp.post("/publications/<slug>/order")
@limiter.limit("120 per hour")
def step(slug: str) -> Response:
    """One step on: to the review, back to the details, or to the payment."""
    same_site(request)
    shown = show(on_sale(slug))
    given = order_form.read_form(shown.publication)
    if given.resume:
        order = order_form.order_to_resume(given.resume, shown.publication)
        if order.paid_at is not None or charge.is_money_under_way(order):
            return see_other(order_url(order.id))
        given = replace(given, held_id=order.id)
    # An order that came by a mailed link keeps what it earned, while its address is on the form.
    offer = offers.offer_of_form(given.form_key, given.details.email)
    return next_step(shown, order_form.behind_offer(given, offer) if offer else given)


def next_step(shown: Shown, given: Form) -> Response:
    """What follows the form of a page, at this door or behind the link of an offer."""
    if given.step == "change":
        return order_form.details_page(shown, given)
    if given.asks_by_letter and given.details.code.strip():
        return _ask_for_code(shown, given)
    try:
        given = replace(
            given, details=placing.check_details(given.details, placing.country_codes())
        )
        quoted = order_form.quote_form(shown, given)
    except InvalidFields as refusal:
        return order_form.details_page(shown, given, errors=refusal.faults)
    except CodeRefused as refusal:
        return order_form.code_refused_page(shown, given, refusal)
    if given.step == "place":
        # What a robot opens and sends on, as it stands, orders nothing.
        if (given.token or order_form.awaits_transfer(given, shown)) and not given.is_sure:
            return order_form.review_page(shown, given, quoted, unsure=UNSURE)
        return _place(shown.slug, given)
    meant = None if given.proven else customers.suggest_correction(given.details.email)
    if meant and given.shown.email and given.confirmed_email != given.details.email:
        return order_form.details_page(shown, given, meant=meant)
    return order_form.review_page(shown, given, quoted)


def _ask_for_code(shown: Shown, given: Form) -> Response:
    """Mail a link with a code that is limited for each person; the same page for everybody."""
    try:
        masked = "" if given.shown.email else customers.mask(given.details.email)
        return answer_asking(shown, given.details.email, given.details.code, shown_as=masked)
    except customers.InvalidAddress as refusal:
        return order_form.details_page(shown, given, errors={"email": refusal.sentence})
    except CodeRefused as refusal:
        return order_form.details_page(shown, given, errors={"code": refusal.sentence})
    except TooOften as refusal:
        errors = {"form": refusal.sentence}
        return order_form.details_page(
            shown, given, errors=errors, status=refusal.status, by_letter=True
        )


def answer_asking(shown: Shown, typed: str, code: str = "", shown_as: str = "") -> Response:
    """Owe the letter to the address that was typed, and say so in the same words to everybody;
    `shown_as` stands for an address that this page may not print.

    Refuses (`customers.InvalidAddress`, `CodeRefused`, `TooOften`). Opens its own transaction.
    """
    address = customers.parse_address(typed[:400])
    form_limits.count_offer_letter(address)
    with transaction():
        offers.ask_for_offer(on_sale(shown.slug), address, code[:100])
    page = render_template(
        "storefront/offer_asked.html", shown=shown, address=shown_as or address, code=code
    )
    return private_page(page)


def _place(slug: str, given: Form) -> Response:
    is_heard = order_forms.ask_about_form(given.form_key)
    try:
        form_limits.count_checkout(given.form_key, given.details.email, given.details.network)
        placed = order_forms.place_from_form(
            lambda: on_sale(slug),
            given.details,
            form_key=given.form_key,
            seen_amount=given.seen_amount,
            seen_currency=given.seen_currency,
            is_heard=is_heard,
            offer_id=given.offer_id,
            held_id=given.held_id,
        )
    except CodeRefused as refusal:
        return order_form.code_refused_page(show(on_sale(slug)), given, refusal)
    except (placing.PriceChanged, TooLittleToCharge, TooOften) as refusal:
        charged = charge.charge_of_form(given.form_key, is_heard=is_heard).sentence
        status = refusal.status if isinstance(refusal, TooOften) else 422
        return _review_again(slug, given, f"{refusal.sentence} {charged}", status)
    except checkout.PaymentsUnavailable as refusal:
        return _review_again(slug, given, refusal.sentence, refusal.status)
    if placed.page:
        return see_other(placed.page)
    if placed.status is not OrderStatus.PENDING:
        fresh = replace(given, form_key=tokens.new_reference(), proven="", token="", offer_id=None)
        return _review_again(slug, fresh, CLOSED)
    try:
        way = MANUAL if given.pays_by_bank else None
        next_url = checkout.begin_checkout(placed.order_id, way)
    except checkout.PaymentsUnavailable as refusal:
        return _review_again(slug, given, refusal.sentence, refusal.status)
    return see_other(next_url)


def _review_again(slug: str, given: Form, error: str, status: int = 422) -> Response:
    shown = show(on_sale(slug))
    try:
        return order_form.review_page(
            shown, given, order_form.quote_form(shown, given), error=error, status=status
        )
    except CodeRefused as refusal:
        return order_form.code_refused_page(shown, given, refusal)


def resume_order(
    shown: Shown, order: Order, *, is_heard: bool, resume: str = "", token: str = ""
) -> Response:
    """The review page of an order that was not paid, with what it costs now, behind its own link
    (`resume`) or behind that of its offer (`token`). `is_heard` as with `charge_of`. Refuses
    (`FormSent`) where the offer leads to it no more."""
    if not resume:
        order_forms.check_form(order, None)
    if order.paid_at is not None or charge.is_money_under_way(order):
        return see_other(order_url(order.id))
    given = order_form.form_of_order(order, resume)
    notice = _notice_of(order, charge.charge_of(order, is_heard=is_heard))
    offer = offers.offer_of_form(given.form_key, given.details.email)
    if offer is not None:
        given = order_form.behind_offer(given, offer, token)
    try:
        quoted, change = order_form.quote_form(shown, given), ""
    except CodeByLetter as refusal:
        return order_form.code_refused_page(shown, given, refusal)
    except CodeRefused as refusal:
        details = replace(given.details, code="")
        given = replace(given, details=details, typed=given.typed | {"code"})
        quoted, change = order_form.quote_form(shown, given), f"{refusal.sentence} "
    if (quoted.total_amount, quoted.currency) != (order.total_amount, order.currency):
        before = format_money(order.total_amount, order.currency)
        change += f"When you ordered the total was {before}. It is now {quoted.total}."
    return order_form.review_page(
        shown, given, quoted, error=change.strip(), status=200, notice=notice
    )


def _notice_of(order: Order, charged: charge.Charge) -> tuple[str, str]:
    """Heading and sentences about the order that the buyer comes back to."""
    if charged.is_asking:
        return "We do not know yet whether you have paid", charged.sentence
    last = charge.last_try(order.id)
    why = last.sentence if last and last.sentence != charged.sentence else ""
    said = f"{why} {charged.sentence}".strip()
    if order.status is OrderStatus.PENDING:
        return NOT_MADE, f"{said} Your order is kept, and you can try again."
    return NOT_MADE, f"{said} That order is closed; here you can order again."
