"""The order form: details, review, and on to the payment. One form key, one order."""

import re
from dataclasses import dataclass, replace

from flask import Blueprint, Response, make_response, render_template, request

from store.catalog.countries import countries_sold_to, country_name
from store.catalog.models import Publication
from store.catalog.sellers import current_seller
from store.entitlements.links import order_url
from store.kit import clock, tokens
from store.kit.errors import InvalidFields
from store.kit.limits import TooOften, limiter
from store.kit.money import format_money
from store.kit.refusal_pages import private_page
from store.kit.web import same_site
from store.orders.consents import CONSENT_WORDINGS, CURRENT_WORDING, supply_starts_at, waiver_needed
from store.orders.customers import InvalidAddress, mask, suggest_correction
from store.orders.discount_places import CodeByLetter, CodeRefused
from store.orders.models import Offer, Order, OrderStatus
from store.orders.offers import offer_of_form
from store.orders.orders import FORM_KEY
from store.orders.placing import Details, PriceChanged, check_details
from store.orders.prices import Quote, TooLittleToCharge, quote
from store.payments import checkout
from store.payments.charge import charge_of, charge_of_form, is_money_under_way
from store.payments.checkout import PaymentsUnavailable
from store.payments.inbox import fulfil_order
from store.payments.order_forms import ask_about_form, check_form, place_from_form
from store.payments.transfers import awaited_transfer
from store.storefront.asking import answer_asking
from store.storefront.form_limits import count_checkout
from store.storefront.publication import on_sale
from store.storefront.publication_view import Shown, show
from store.storefront.resuming import filled_in, kept_details, notice_of, order_to_resume
from store.storefront.sure import is_sure
from store.storefront.ways_to_pay import ways_to_pay, why_not_chargeable

bp = Blueprint("order", __name__)

_LINES = ("email", "name", "organisation", "purchase_order_number", "code", "country")
CLOSED = "The order that you began here is closed. To order again, check it and press the button."


UNSURE = "Tick the box to order."


@dataclass(frozen=True)
class Form:
    """What the pages of one order carry from step to step. With `resume`, the token of an order's
    link, `details` are filled in from that order, and only what was `typed` since is shown."""

    details: Details
    form_key: str
    seen_amount: int = -1
    confirmed_email: str = ""
    resume: str = ""
    typed: frozenset[str] = frozenset()
    # The address that a mailed link has proved, and that link, where the pages were reached by it.
    proven: str = ""
    token: str = ""
    offer_id: int | None = None
    # The order whose own link the form came with.
    held_id: int | None = None

    @property
    def shown(self) -> Details:
        """What the pages may print."""
        if not self.resume:
            return self.details
        return Details(**{"email": ""} | {name: getattr(self.details, name) for name in self.typed})


@bp.get("/publications/<slug>/order")
def form(slug: str) -> Response:
    """The empty form; with `resume`, an order that was not paid, back on its review page."""
    token = request.args.get("resume")
    if token:
        return private_page(_resume(slug, token))
    return details_page(show(on_sale(slug)), Form(Details(email=""), tokens.new_reference()))


@bp.post("/publications/<slug>/order")
@limiter.limit("120 per hour")
def step(slug: str) -> Response:
    """One step on: to the review, back to the details, or to the payment."""
    same_site(request)
    shown = show(on_sale(slug))
    given = read_form(shown.publication)
    if given.resume:
        order = order_to_resume(given.resume, shown.publication)
        if order.paid_at is not None or is_money_under_way(order):
            return _to(order_url(order.id))
        given = replace(given, held_id=order.id)
    # An order that came by a mailed link keeps what it earned, while its address is on the form.
    offer = offer_of_form(given.form_key, given.details.email)
    return next_step(shown, behind_offer(given, offer) if offer else given)


def next_step(shown: Shown, given: Form) -> Response:
    """What follows the form of a page, at this door or behind the link of an offer."""
    step = request.form.get("step")
    if step == "change":
        return details_page(shown, given)
    if request.form.get("by_letter") and given.details.code.strip():
        return _ask_for_code(shown, given)
    try:
        given = replace(given, details=check_details(given.details, _country_codes()))
        quoted = _quote(shown, given)
    except InvalidFields as refusal:
        return details_page(shown, given, errors=refusal.faults)
    except CodeRefused as refusal:
        return _code_refused(shown, given, refusal)
    if step == "place":
        # What a robot opens and sends on, as it stands, orders nothing.
        if (given.token or _awaits_transfer(given, shown)) and not is_sure():
            return _review_page(shown, given, quoted, unsure=UNSURE)
        return _place(shown.slug, given)
    meant = None if given.proven else suggest_correction(given.details.email)
    if meant and given.shown.email and given.confirmed_email != given.details.email:
        return details_page(shown, given, meant=meant)
    return _review_page(shown, given, quoted)


def _quote(shown: Shown, given: Form) -> Quote:
    return quote(
        shown.publication,
        proven=given.proven,
        code=given.details.code,
        form_key=given.form_key,
    )


def behind_offer(given: Form, offer: Offer, token: str = "") -> Form:
    """The form with the address that the link of an offer has proved, whatever was typed."""
    details = replace(given.details, email=offer.email)
    return replace(given, details=details, proven=offer.email, token=token, offer_id=offer.id)


def _ask_for_code(shown: Shown, given: Form) -> Response:
    """Mail a link with a code that is limited for each person; the same page for everybody."""
    try:
        masked = "" if given.shown.email else mask(given.details.email)
        return answer_asking(shown, given.details.email, given.details.code, shown_as=masked)
    except InvalidAddress as refusal:
        return details_page(shown, given, errors={"email": refusal.sentence})
    except CodeRefused as refusal:
        return details_page(shown, given, errors={"code": refusal.sentence})
    except TooOften as refusal:
        errors = {"form": refusal.sentence}
        return details_page(shown, given, errors=errors, status=refusal.status, by_letter=True)


def _code_refused(shown: Shown, given: Form, refusal: CodeRefused) -> Response:
    by_letter = isinstance(refusal, CodeByLetter)
    return details_page(shown, given, errors={"code": refusal.sentence}, by_letter=by_letter)


def _country_codes() -> list[str]:
    return [code for code, _ in countries_sold_to(current_seller())]


def read_form(publication: Publication | None = None) -> Form:
    """What was typed, as it came; filled in from the order whose link the form carries, where it
    is one of this publication."""
    fields = request.form
    key = fields.get("form_key", "")
    amount = fields.get("seen_amount", "")
    resume = fields.get("resume", "") if publication else ""
    lines = {name: fields.get(name, "") for name in _LINES}
    lines["email"] = fields.get("meant") or lines["email"]
    # An empty field keeps the code of the order; taking it out is a choice of its own.
    drops = fields.get("drop_code") == "yes"
    if drops:
        lines["code"] = ""
    details = Details(
        **lines,
        wants_now=fields.get("wants_now") == "yes",
        network=request.remote_addr or "",
        user_agent=request.headers.get("User-Agent", ""),
    )
    typed = {name for name in _LINES if lines[name].strip()}
    if drops:
        typed.add("code")
    if resume and publication:
        details = filled_in(details, order_to_resume(resume, publication), typed)
    return Form(
        details=details,
        resume=resume,
        typed=frozenset(typed),
        form_key=key if re.fullmatch(FORM_KEY, key, re.ASCII) else tokens.new_reference(),
        seen_amount=int(amount) if re.fullmatch(r"\d{1,9}", amount, re.ASCII) else -1,
        confirmed_email=fields.get("confirmed_email", ""),
    )


def _place(slug: str, given: Form) -> Response:
    is_heard = ask_about_form(given.form_key)
    try:
        count_checkout(given.form_key, given.details.email, given.details.network)
        placed = place_from_form(
            lambda: on_sale(slug),
            given.details,
            form_key=given.form_key,
            seen_amount=given.seen_amount,
            seen_currency=request.form.get("seen_currency"),
            is_heard=is_heard,
            offer_id=given.offer_id,
            held_id=given.held_id,
        )
    except CodeRefused as refusal:
        return _code_refused(show(on_sale(slug)), given, refusal)
    except (PriceChanged, TooLittleToCharge, TooOften) as refusal:
        charge = charge_of_form(given.form_key, is_heard=is_heard)
        status = refusal.status if isinstance(refusal, TooOften) else 422
        return _review_again(slug, given, f"{refusal.sentence} {charge.sentence}", status)
    except PaymentsUnavailable as refusal:
        return _review_again(slug, given, refusal.sentence, refusal.status)
    if placed.page:
        return _to(placed.page)
    if placed.status is not OrderStatus.PENDING:
        anew = replace(given, form_key=tokens.new_reference(), proven="", token="", offer_id=None)
        return _review_again(slug, anew, CLOSED)
    try:
        by_bank = request.form.get("pay_by") == "transfer"
        next_url = checkout.begin_checkout(placed.order_id, "manual" if by_bank else None)
    except PaymentsUnavailable as refusal:
        return _review_again(slug, given, refusal.sentence, refusal.status)
    return _to(next_url)


def _review_again(slug: str, given: Form, error: str, status: int = 422) -> Response:
    shown = show(on_sale(slug))
    try:
        return _review_page(shown, given, _quote(shown, given), error=error, status=status)
    except CodeRefused as refusal:
        return _code_refused(shown, given, refusal)


def _to(url: str) -> Response:
    answer = make_response("", 303)
    answer.headers["Location"] = url
    return private_page(answer)


def _resume(slug: str, token: str) -> Response:
    shown = show(on_sale(slug))
    order_id = order_to_resume(token, shown.publication).id
    # The buyer is back before the gateway's news of why.
    is_heard = request.method == "GET" and fulfil_order(order_id)
    shown = show(on_sale(slug))
    order = order_to_resume(token, shown.publication)
    return resume_order(shown, order, is_heard=is_heard, resume=token)


def resume_order(
    shown: Shown, order: Order, *, is_heard: bool, resume: str = "", token: str = ""
) -> Response:
    """The review page of an order that was not paid, with what it costs now, behind its own link
    (`resume`) or behind that of its offer (`token`). `is_heard` as with `charge_of`. Refuses
    (`FormSent`) where the offer leads to it no more."""
    if not resume:
        check_form(order, None)
    if order.paid_at is not None or is_money_under_way(order):
        return _to(order_url(order.id))
    given, notice = _as_placed(order, resume), notice_of(order, charge_of(order, is_heard=is_heard))
    offer = offer_of_form(given.form_key, given.details.email)
    if offer is not None:
        given = behind_offer(given, offer, token)
    try:
        quoted, change = _quote(shown, given), ""
    except CodeByLetter as refusal:
        return _code_refused(shown, given, refusal)
    except CodeRefused as refusal:
        details = replace(given.details, code="")
        given = replace(given, details=details, typed=given.typed | {"code"})
        quoted, change = _quote(shown, given), f"{refusal.sentence} "
    if (quoted.total_amount, quoted.currency) != (order.total_amount, order.currency):
        before = format_money(order.total_amount, order.currency)
        change += f"When you ordered the total was {before}. It is now {quoted.total}."
    return _review_page(shown, given, quoted, error=change.strip(), status=200, notice=notice)


def _as_placed(order: Order, token: str) -> Form:
    """The form that an order came from; one that is closed is begun anew."""
    is_pending = order.status is OrderStatus.PENDING
    return Form(
        details=kept_details(order),
        form_key=order.form_key if is_pending else tokens.new_reference(),
        resume=token,
    )


def details_page(
    shown: Shown,
    given: Form,
    *,
    errors: dict[str, str] | None = None,
    meant: str = "",
    by_letter: bool = False,
    status: int = 422,
) -> Response:
    """The form of the details. `by_letter` offers to mail a link with the code that was typed."""
    page = render_template(
        "storefront/order_form.html",
        shown=shown,
        given=given,
        details=given.shown,
        masked=mask(given.details.email) if given.resume else "",
        errors=errors or {},
        meant=meant,
        by_letter=by_letter,
        action=_action(shown, given),
        offered=_offered(shown, given),
        vat=quote(shown.publication).note,
        countries=countries_sold_to(current_seller()),
    )
    return _kept_for_going_back(page, status if errors else 200)


def _action(shown: Shown, given: Form) -> str:
    return f"/offer/{given.token}" if given.token else f"{shown.path}/order"


def _offered(shown: Shown, given: Form) -> Quote | None:
    """What a mailed link has earned, to stand on the form; None where nothing was proved."""
    if not given.proven:
        return None
    try:
        return _quote(shown, given)
    except CodeRefused:
        return quote(shown.publication, proven=given.proven, form_key=given.form_key)


def _review_page(
    shown: Shown,
    given: Form,
    quoted: Quote,
    *,
    error: str = "",
    status: int = 422,
    notice: tuple[str, str] | None = None,
    unsure: str = "",
) -> Response:
    now = clock.now()
    unfit = why_not_chargeable(quoted)
    error = unfit or error
    page = render_template(
        "storefront/order_review.html",
        shown=shown,
        given=given,
        details=given.shown,
        wants_now=given.details.wants_now,
        masked=mask(given.details.email),
        errors=({"form": error} if error else {}) | ({"sure": unsure} if unsure else {}),
        action=_action(shown, given),
        quoted=quoted,
        country=country_name(given.details.country),
        asks_country=len(_country_codes()) > 1,
        is_chargeable=not unfit,
        ways=ways_to_pay(quoted),
        beside_transfer=_awaits_transfer(given, shown),
        asks_consent=quoted.total_amount > 0 and waiver_needed(shown.publication, now),
        wording=CONSENT_WORDINGS[CURRENT_WORDING],
        supply_day=supply_starts_at(now),
        notice=notice,
    )
    return _kept_for_going_back(page, status if error or unsure else 200)


def _awaits_transfer(given: Form, shown: Shown) -> bool:
    """Whether the order that is taken up again waits for a bank transfer: another way to pay
    would end that, and the letter with the account has gone."""
    order = order_to_resume(given.resume, shown.publication) if given.resume else None
    transfer = awaited_transfer(order) if order else None
    return transfer is not None and transfer.is_open


def _kept_for_going_back(page: str, status: int) -> Response:
    # Not `no-store`: going back then asks to send the form anew, or begins one with another form
    # key, and a second order with it. The visitor's own browser keeps the page, nobody else does.
    answer = make_response(page, status)
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer
