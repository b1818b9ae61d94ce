"""The order form, what it carries from step to step, and its two pages: the details and the review.

It comes as it was typed, or filled in from an order that was not paid and is taken up again behind
its own link. What was typed for that order stays with it and is not shown: the link may have come
into other hands than those that typed.
"""

from dataclasses import dataclass, replace

from flask import Response, make_response, render_template, request

from store.catalog.models import Publication
from store.catalog.sellers import StatedSeller, countries_sold_to, country_name, current_seller
from store.entitlements.links import open_order
from store.kit import clock, tokens
from store.kit.errors import NotFound
from store.kit.forms import sent
from store.kit.text import listed
from store.orders import consents
from store.orders.customers import mask
from store.orders.discounts import CodeByLetter, CodeRefused
from store.orders.models import Offer, Order, OrderStatus
from store.orders.orders import FORM_KEY
from store.orders.placing import Details, country_codes
from store.orders.prices import Quote, TooLittleToCharge, check_chargeable, quote
from store.payments.gateways.registry import NoGateway, default_gateway
from store.payments.transfers import awaited_transfer
from store.storefront.publication import Shown

# The ways to pay, as a buyer reads them.
_IN_WORDS = {
    "online": "by card",
    "elsewhere": "by card",
    "transfer": "by bank transfer",
}
_LINES = ("email", "name", "organisation", "purchase_order_number", "code", "country")


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
    seen_currency: str = ""
    # What was pressed: on to which step, a code to be mailed, the way to pay, the box.
    step: str = ""
    asks_by_letter: bool = False
    pays_by_bank: bool = False
    is_sure: bool = False

    @property
    def shown(self) -> Details:
        """What the pages may print."""
        if not self.resume:
            return self.details
        return Details(**{"email": ""} | {name: getattr(self.details, name) for name in self.typed})


def read_form(publication: Publication | None = None) -> Form:
    """What was typed, as it came; filled in from the order whose link the form carries, where it
    is one of this publication."""
    fields = sent()
    resume = fields["resume"] if publication else ""
    lines = {name: fields[name] for name in _LINES}
    # The suggested address, unless another was typed where it was asked about.
    if fields["meant"] and lines["email"].strip() in {"", fields["confirmed_email"]}:
        lines["email"] = fields["meant"]
    # An empty field keeps the code of the order; taking it out is a choice of its own.
    drops = fields.is_ticked("drop_code")
    if drops:
        lines["code"] = ""
    details = Details(
        **lines,
        wants_now=fields.is_ticked("wants_now"),
        network=request.remote_addr or "",
        user_agent=request.headers.get("User-Agent", ""),
    )
    typed = {name for name in _LINES if lines[name].strip()}
    if drops:
        typed.add("code")
    if resume and publication:
        kept = kept_details(order_to_resume(resume, publication))
        filled_in = {name: getattr(kept, name) for name in _LINES if name not in typed}
        details = replace(details, **filled_in)
    return Form(
        details=details,
        resume=resume,
        typed=frozenset(typed),
        form_key=fields.matching("form_key", FORM_KEY) or tokens.new_reference(),
        seen_amount=int(fields.matching("seen_amount", r"\d{1,9}") or -1),
        seen_currency=fields["seen_currency"],
        confirmed_email=fields["confirmed_email"],
        step=fields["step"],
        asks_by_letter=bool(fields["by_letter"]),
        pays_by_bank=fields["pay_by"] == "transfer",
        is_sure=fields.is_ticked(),
    )


def form_of_order(order: Order, token: str) -> Form:
    """The form that an order came from; where the order is closed, a form with a new key."""
    is_pending = order.status is OrderStatus.PENDING
    return Form(
        details=kept_details(order),
        form_key=order.form_key if is_pending else tokens.new_reference(),
        resume=token,
    )


def behind_offer(given: Form, offer: Offer, token: str = "") -> Form:
    """The form with the address that the link of an offer has proved, whatever was typed."""
    details = replace(given.details, email=offer.email)
    return replace(given, details=details, proven=offer.email, token=token, offer_id=offer.id)


def order_to_resume(token: str, publication: Publication) -> Order:
    """The order behind a link, where it is one of this publication; refuses `NotFound`, and as
    `open_link`."""
    order = open_order(token)
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
        wants_now=consents.has_waiver(order.id),
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
    quoted = _quote_so_far(shown, given)
    seller = current_seller()
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
        quoted=quoted,
        facts=what_it_is(shown),
        is_offered=bool(given.proven),
        ways=[_IN_WORDS[way] for way in _ways_to_pay(quoted, seller) if way in _IN_WORDS],
        countries=countries_sold_to(seller),
    )
    return _kept_for_going_back(page, status if errors else 200)


def _quote_so_far(shown: Shown, given: Form) -> Quote:
    """What a mailed link has earned, to stand on the form; the price where nothing was proved. A
    code that was typed counts from the review on."""
    if not given.proven:
        return quote(shown.publication)
    try:
        return quote_form(shown, given)
    except CodeRefused:
        return quote(shown.publication, proven=given.proven, form_key=given.form_key)


def what_it_is(shown: Shown) -> str:
    """Edition, files and what comes later, in one line beside the title."""
    months = shown.publication.updates_months
    later = "Later editions included" + (f" {consents.term_in_words(months)}." if months else ".")
    if shown.edition is None:
        return f"Pre-order. {shown.when}. {later}"
    files = shown.edition.assets
    parts = [shown.when, listed([one.format.upper() for one in files])]
    pages = next((one.facts["pages"] for one in files if one.facts.get("pages")), None)
    if pages:
        parts.append("1 page" if pages == 1 else f"{pages} pages")
    return f"{', '.join(part for part in parts if part)}. {later}"


def code_refused_page(shown: Shown, given: Form, refusal: CodeRefused) -> Response:
    by_letter = isinstance(refusal, CodeByLetter)
    return details_page(shown, given, errors={"code": refusal.sentence}, by_letter=by_letter)


def review_page(
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
    unfit = _why_not_chargeable(quoted)
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
        asks_country=len(country_codes()) > 1,
        is_chargeable=not unfit,
        facts=what_it_is(shown),
        ways=_ways_to_pay(quoted, current_seller()),
        beside_transfer=awaits_transfer(given, shown),
        asks_consent=quoted.total_amount > 0 and consents.waiver_needed(shown.publication, now),
        wording=consents.CONSENT_WORDINGS[consents.CURRENT_WORDING],
        supply_day=consents.supply_starts_at(now),
        notice=notice,
    )
    return _kept_for_going_back(page, status if error or unsure else 200)


def _why_not_chargeable(quoted: Quote) -> str:
    """The sentence for a total that no gateway takes; "" where it can be charged."""
    try:
        check_chargeable(quoted)
    except TooLittleToCharge as refusal:
        return refusal.sentence
    return ""


def _ways_to_pay(quoted: Quote, seller: StatedSeller) -> list[str]:
    """`free`, or `online` and `transfer`; `elsewhere` in place of `online` where the order binds
    on the gateway's page and not by our button (Consumer Contracts Regulations, 14)."""
    if quoted.total_amount == 0:
        return ["free"]
    try:
        online = ["online" if default_gateway().is_binding_here else "elsewhere"]
    except NoGateway:
        online = []
    return online + (["transfer"] if seller.bank_details else [])


def awaits_transfer(given: Form, shown: Shown) -> bool:
    """Whether the order that is taken up again waits for a bank transfer: another way to pay
    would end that, and the letter with the account has gone."""
    order = order_to_resume(given.resume, shown.publication) if given.resume else None
    transfer = awaited_transfer(order) if order else None
    return transfer is not None and transfer.is_open


def _action(shown: Shown, given: Form) -> str:
    return f"/offer/{given.token}" if given.token else f"{shown.path}/order"


def quote_form(shown: Shown, given: Form) -> Quote:
    return quote(
        shown.publication,
        proven=given.proven,
        code=given.details.code,
        form_key=given.form_key,
    )


def _kept_for_going_back(page: str, status: int) -> Response:
    # Not `no-store`: going back would then ask to send the form again, or begin one with another
    # form key, and a second order with it. The visitor's own browser keeps the page, nobody else does.
    answer = make_response(page, status)
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer
