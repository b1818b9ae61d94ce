"""How an order stands, as its page says it."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import url_for

from store.catalog.models import DateMove, Edition
from store.catalog.publications import is_preorder, moves_of, promised_date
from store.entitlements import access, fresh_links, received
from store.entitlements.models import DISPUTE_LOST, Link
from store.entitlements.order_moves import why_unmovable
from store.kit import clock
from store.kit.config import config
from store.kit.formatting import format_day, format_moment, format_time
from store.kit.money import format_money
from store.mail.models import Delivery, DeliveryStatus
from store.orders import consents
from store.orders.customers import mask
from store.orders.models import Order, OrderStatus
from store.orders.prices import order_vat_note
from store.payments import sums
from store.payments.cancellation import can_cancel
from store.payments.charge import Charge, is_bank_at_work, last_try
from store.payments.gateways.registry import takes_payments_online
from store.payments.transfers import AwaitedTransfer, awaited_transfer
from store.storefront.library import show_copies

Moment = tuple[str, str, bool]

# What the page still says of a letter that was asked for so long ago.
_TOLD_FOR = timedelta(hours=24)


@dataclass(frozen=True)
class LinkLetter:
    """What became of the letter that was asked for on this page; `may_ask` again now or not."""

    sentence: str
    is_trouble: bool
    may_ask: bool


@dataclass(frozen=True)
class OrderView:
    """One order as its page shows it. Amounts are in minor units of its currency."""

    order: Order
    masked: str  # the address that its letters go to
    editions: list[Edition]  # what its own rights open now, newest first
    refunded: int
    is_refunded: bool  # all of it, or every right taken back
    is_money_back: bool  # the gateway has confirmed all of it
    is_lost: bool  # the buyer's bank gave them the money back
    is_suspended: bool  # the buyer's bank contests the payment, and nothing is decided
    is_ready: bool
    is_preorder: bool
    is_waiting: bool
    can_cancel: bool
    promised: str
    moves: list[DateMove]  # of the promised date since the order, while it is not out
    available_at: datetime | None
    last_day: str
    terms: consents.AcceptedTerms | None
    consent: consents.GivenConsent | None
    is_bank_at_work: bool  # the buyer has paid by a way that takes days
    transfer: AwaitedTransfer | None  # while one is awaited, or only part of one has come
    can_move: bool  # to another address
    has_come_back: bool  # a letter of this order, and nobody has mended it

    @property
    def line(self) -> Any:
        """The one line that an order has."""
        return self.order.lines[0]

    @property
    def state(self) -> str:
        """transfer, processing, pending, closed, refunded, lost, held, suspended, ready, preorder,
        waiting or withdrawn."""
        if self.is_refunded:
            return "lost" if self.is_lost else "refunded"
        if self.order.held_at is not None:
            return "held"
        if self.is_suspended:
            return "suspended"
        if self.transfer is not None:
            return "transfer"
        if self.is_bank_at_work:
            return "processing"
        if self.order.status is not OrderStatus.PAID:
            return "pending" if self.order.status is OrderStatus.PENDING else "closed"
        if self.is_ready:
            return "ready"
        if self.is_preorder:
            return "preorder"
        return "waiting" if self.is_waiting else "withdrawn"

    @property
    def price(self) -> str:
        """The total as people read it."""
        return format_money(self.order.total_amount, self.order.currency)

    @property
    def vat(self) -> str:
        """What the total holds of VAT, to stand behind it."""
        note = order_vat_note(self.order)
        return note[:1].lower() + note[1:]

    @property
    def is_free(self) -> bool:
        """Whether there was nothing to pay."""
        return self.order.total_amount == 0

    @property
    def is_gift(self) -> bool:
        """Whether we gave it."""
        return bool(self.order.given_reason)


def page_values(order: Order, charge: Charge, link: Link) -> dict[str, Any]:
    """Everything that the page shows to the holder of the order's link, under the names that its
    template knows."""
    view = view_order(order)
    return {
        "view": view,
        "heading": _heading(view, charge),
        "rows": _what_was_ordered(view),
        "copies": show_copies(view.editions, link),
        "order": order,
        "timeline": _what_happens_next(view),
        "dates": dates_so_far(view),
        "charge": charge,
        "last_try": last_try(order.id),
        "link_letter": _letter_asked_for(order),
        "takes_cards": takes_payments_online(),
    }


def way_to_order(token: str) -> tuple[str, str]:
    """The way out of what the order's page led to."""
    return url_for("order_page.show", token=token), "Go to the order"


def view_order(order: Order) -> OrderView:
    """Everything that the page says, asked now."""
    line = order.lines[0]
    rights, editions = access.rights_of_order(order.id), access.editions_of_order(order.id)
    refunded = sums.refunded_amount(order.id)
    is_taken_back = bool(rights) and all(right.revoked_at for right in rights)
    available_at = min((right.available_at for right in rights), default=None)
    last_day = consents.last_day_to_cancel(order)
    is_unpublished = is_preorder(line.publication)
    promised = promised_date(line.publication) if is_unpublished else None
    return OrderView(
        order=order,
        masked=mask(order.customer.email),
        editions=editions,
        refunded=refunded,
        is_refunded=is_taken_back or 0 < sums.paid_amount(order.id) <= refunded,
        is_money_back=sums.is_wholly_refunded(order.id),
        is_lost=any(right.revoked_reason == DISPUTE_LOST for right in rights),
        is_suspended=any(right.suspended_at and not right.revoked_at for right in rights),
        is_ready=bool(editions),
        is_preorder=is_unpublished,
        is_waiting=access.is_waiting(order.id) and access.copy_waits(available_at, promised),
        can_cancel=can_cancel(order),
        promised=consents.promise_in_words(promised) if promised else "",
        moves=moves_of(line.publication_id, order.placed_at) if is_unpublished else [],
        available_at=available_at,
        last_day=format_day(last_day) if last_day >= clock.today(config().zone) else "",
        terms=consents.accepted_terms(order),
        consent=consents.given_consent(order.id),
        is_bank_at_work=is_bank_at_work(order),
        transfer=_transfer(order),
        can_move=not why_unmovable(order),
        has_come_back=received.has_come_back(order, editions),
    )


HEADINGS = {
    "closed": "This order is closed",
    "processing": "Your payment is on its way",
    "refunded": "This order is cancelled and refunded",
    "held": "This order is held",
    "suspended": "Your payment is disputed",
    "lost": "Your bank took the payment back",
    "preorder": "Thank you for your pre-order",
}
HEADINGS_OF_GIFTS = HEADINGS | {
    "preorder": "A copy for you",
    "ready": "A copy for you",
    "waiting": "A copy for you",
    "refunded": "This copy was taken back",
}
HEADINGS_UNPAID = {
    "asking": "We are asking whether you have paid",
    "under way": "We are looking into your payment",
}


def _heading(view: OrderView, charge: Charge) -> str:
    """What the page is called: how the order stands, in one line."""
    if view.state == "pending":
        return HEADINGS_UNPAID.get(charge.state, "Your order is not paid yet")
    if view.transfer is not None and view.state == "transfer":
        is_part = view.transfer.part
        return (
            "Part of your payment has arrived" if is_part else f"Pay {view.price} by bank transfer"
        )
    headings = HEADINGS_OF_GIFTS if view.is_gift else HEADINGS
    return headings.get(view.state, "Thank you for your order")


def _what_was_ordered(view: OrderView) -> list[dict[str, str]]:
    """The rows under "Your order"; those without a value are left out."""
    order = view.order
    total = "Nothing to pay" if view.is_free else f"{view.price}, {view.vat}"
    less = format_money(order.discount_amount, order.currency) if order.discount_amount else ""
    rows = [
        ("Reference", order.reference),
        ("Given on" if view.is_gift else "Ordered on", format_day(order.placed_at)),
        ("Publication", view.line.title),
        ("E-mail", view.masked),
        ("Name", order.name),
        ("Organisation", order.organisation),
        ("Purchase order", order.purchase_order_number),
        (order.discount_label or "Discount", f"−{less}" if less and not view.is_free else ""),
        ("Total", total),
        ("Paid on", format_day(order.paid_at) if order.paid_at and not view.is_free else ""),
        ("Paid back", format_money(view.refunded, order.currency) if view.refunded else ""),
    ]
    shown = [{"key": key, "value": value} for key, value in rows if value]
    if view.terms:
        accepted = f"Version {view.terms.version}, accepted on {format_day(view.terms.accepted_at)}"
        shown.append({"key": "Terms", "value": accepted, "url": view.terms.path, "act": "Read"})
    if view.consent:
        agreed = f"“{view.consent.wording}” On {format_moment(view.consent.given_at)}."
        shown.append({"key": "You agreed", "value": agreed})
    return shown


def _what_happens_next(view: OrderView) -> list[Moment]:
    """The timeline of an order, paid or to be paid by bank: when, what, whether it is now."""
    order = view.order
    if view.transfer is not None:
        return _after_transfer(view, order.reference)
    paid = (format_day(order.paid_at or order.placed_at), _how_paid(view), False)
    term = consents.term_in_words(view.line.updates_months)
    later = ("Later", f"You get each new edition, free, {term}.", False)
    return [paid, _next(view), later]


def dates_so_far(view: OrderView) -> list[Moment]:
    """What was promised with the order, and how that was moved since; nothing where it stands."""
    if not view.moves or view.state in {"closed", "refunded", "lost"}:
        return []
    agreed = view.line.expected_on
    said = f"We promised it {consents.promise_in_words(agreed)}." if agreed else "It had no date."
    told = [(format_day(view.order.placed_at), f"You ordered. {said}", False)]
    for move in view.moves:
        to = consents.promise_in_words(move.new_on) if move.new_on else "to a day not known yet"
        told.append((format_day(move.moved_at), f"We moved it: {to}. {move.reason}".strip(), False))
    return told


def _transfer(order: Order) -> AwaitedTransfer | None:
    if order.status is OrderStatus.PAID:
        return None
    transfer = awaited_transfer(order)
    is_awaited = transfer is not None and transfer.is_open and order.status is OrderStatus.PENDING
    return transfer if is_awaited or (transfer is not None and transfer.part) else None


def _after_transfer(view: OrderView, reference: str) -> list[Moment]:
    due = format_money(view.transfer.due, view.order.currency) if view.transfer else ""
    if not view.is_preorder:
        copy = ("Then", "Your copy is ready, or we say from when it is.")
    else:
        copy = (view.promised or "On the day it is published", _on_release(view))
    return [
        ("Now", f"You transfer {due} and quote {reference}.", True),
        ("1 to 3 working days later", "We see the money and mail you the confirmation.", False),
        (copy[0][:1].upper() + copy[0][1:], copy[1], False),
    ]


def _how_paid(view: OrderView) -> str:
    if view.is_gift:
        return f"{view.order.seller.trading_name} gave you a copy. There is nothing to pay."
    return "You ordered. There was nothing to pay." if view.is_free else f"You paid {view.price}."


def _next(view: OrderView) -> Moment:
    if view.state == "ready":
        mailed = "" if view.has_come_back else " We have mailed you the link too."
        return ("Now", f"Your copy is ready.{mailed}", True)
    if view.state == "withdrawn":
        return ("Now", "This edition was withdrawn. We mail you the corrected one.", True)
    if view.state == "waiting" and view.available_at:
        return (format_day(view.available_at), "We mail you the link to your copy.", True)
    when = view.promised[:1].upper() + view.promised[1:] or "On the day it is published"
    return (when, _on_release(view), True)


def _on_release(view: OrderView) -> str:
    if view.is_waiting and view.available_at:
        day = format_day(view.available_at)
        return f"It is published. We mail you the link to your copy, but not before {day}."
    return "It is published, and we mail you the link to your copy."


_TROUBLE = {DeliveryStatus.FAILED, DeliveryStatus.BOUNCED, DeliveryStatus.HELD}


def _letter_asked_for(order: Order) -> LinkLetter | None:
    """What the page of `order` says of the newest letter asked for on it; None for none lately."""
    delivery = fresh_links.asked_from_order(order.id)
    if delivery is None or delivery.created_at < clock.now() - _TOLD_FOR:
        return None
    asked = fresh_links.asked_at(delivery)
    is_trouble = delivery.status in _TROUBLE
    may_ask = clock.now() >= asked.again_at
    sentence = f"Asked for {_when(asked.at)}. {_letter_in_words(delivery, order)}"
    if not is_trouble and not may_ask:
        sentence += f" Look there, or ask again after {format_time(asked.again_at)}."
    return LinkLetter(sentence, is_trouble, may_ask)


def _letter_in_words(delivery: Delivery, order: Order) -> str:
    """In the same words, and with no other time, where the letter was left out as one that was
    asked for at another door had gone: who holds an order link is told nothing of that door."""
    masked = mask(order.customer.email)
    if delivery.status in {DeliveryStatus.SENT, DeliveryStatus.SKIPPED}:
        return f"The letter has gone to {masked}."
    if delivery.status is DeliveryStatus.FAILED:
        words = _masked(delivery.reason, order.customer.email)
        return f"We could not deliver it to {masked}: {words}"
    if delivery.status is DeliveryStatus.BOUNCED:
        # A server that the letter was passed on to may have named another mailbox of theirs.
        return f"It came back from {masked}."
    if delivery.status is DeliveryStatus.HELD:
        return f"We could not deliver it to {masked} yet: a person here looks at it."
    if delivery.due_at > clock.now():
        again = _when(delivery.due_at)
        return f"We could not deliver it to {masked} yet, and try again {again}."
    return f"The letter to {masked} is on its way."


def _when(moment: datetime) -> str:
    zone = config().zone
    is_today = moment.astimezone(zone).date() == clock.today(zone)
    return f"at {format_time(moment)}" if is_today else f"on {format_moment(moment)}"


def _masked(words: str, email: str) -> str:
    """What the mail server said, without the address: who holds an order link may not know it."""
    local = email.rpartition("@")[0]
    words = re.sub(r"<?[^\s<>]+@[^\s<>]+>?", mask(email), words)
    alone = rf"(?<!\w){re.escape(local)}(?!\w)"
    return re.sub(alone, f"{local[:1]}•••", words, flags=re.IGNORECASE)
