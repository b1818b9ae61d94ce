"""How an order stands, as its page says it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import url_for

from store.catalog.models import DateMove
from store.catalog.publications import moves_of, still_promised
from store.entitlements import access, received
from store.entitlements.models import DISPUTE_LOST, Link
from store.entitlements.order_moves import why_unmovable
from store.entitlements.order_shelves import OrderShelf, shelf_of_order
from store.kit import clock
from store.kit.config import config
from store.kit.formatting import format_day, format_moment
from store.kit.money import format_money
from store.orders import consents
from store.orders.customers import mask
from store.orders.models import Order, OrderStatus
from store.orders.prices import order_vat_note
from store.payments.cancellation import can_cancel, facts_of
from store.payments.charge import Charge, is_bank_at_work, last_try
from store.payments.gateways.registry import takes_payments_online
from store.payments.receipts import pro_forma_of
from store.payments.sums import OrderMoney
from store.payments.transfers import AwaitedTransfer, awaited_transfer
from store.storefront.library import show_copies
from store.storefront.link_letter import letter_asked_for

Moment = tuple[str, str, bool]


@dataclass(frozen=True)
class OrderView:
    """One order as its page shows it. Amounts are in minor units of its currency."""

    order: Order
    masked: str  # the address that its letters go to
    shelf: OrderShelf
    money: OrderMoney
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
    def refunded(self) -> int:
        """What went back or is on its way back."""
        return self.money.refunded

    @property
    def is_refunded(self) -> bool:
        """All of it, or every right taken back."""
        return self.shelf.is_taken_back or self.money.is_all_back

    @property
    def is_money_back(self) -> bool:
        """Whether the gateway has confirmed all of it."""
        return self.money.is_confirmed_back

    @property
    def is_lost(self) -> bool:
        """Whether the buyer's bank gave them the money back."""
        return any(right.revoked_reason == DISPUTE_LOST for right in self.shelf.rights)

    @property
    def is_suspended(self) -> bool:
        """Whether the buyer's bank contests the payment, and nothing is decided."""
        rights = self.shelf.rights
        return any(right.suspended_at and not right.revoked_at for right in rights)

    @property
    def is_ready(self) -> bool:
        """Whether a copy can be downloaded now."""
        return bool(self.shelf.editions)

    @property
    def is_preorder(self) -> bool:
        """Whether nothing of it is out."""
        return not self.shelf.is_published

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
    is_awaited = view.transfer is not None and order.status is OrderStatus.PENDING
    return {
        "view": view,
        "heading": _heading(view, charge),
        "standing": _standing(view),
        "lead": _lead(view),
        "covered": Covered.of(view),
        "pro_forma": pro_forma_of(order) if is_awaited else None,
        "rows": _what_was_ordered(view),
        "copies": show_copies(view.shelf.editions, link),
        "order": order,
        "timeline": _what_happens_next(view),
        "dates": dates_so_far(view),
        "charge": charge,
        "last_try": None if order.status is OrderStatus.PAID else last_try(order.id),
        "link_letter": letter_asked_for(order),
        "takes_cards": takes_payments_online(),
    }


def way_to_order(token: str) -> tuple[str, str]:
    """The way out of what the order's page led to."""
    return url_for("order_page.show", token=token), "Go to the order"


def view_order(order: Order) -> OrderView:
    """Everything that the page says, asked now."""
    publication = order.lines[0].publication
    shelf = shelf_of_order(order.id, publication.id)
    facts = facts_of(order)
    available_at, last_day = shelf.first_at, consents.last_day_to_cancel(order)
    promised = None if shelf.is_published else still_promised(publication.expected_on)
    terms, consent = consents.agreed_to(order)
    is_paid = order.status is OrderStatus.PAID
    return OrderView(
        order=order,
        masked=mask(order.customer.email),
        shelf=shelf,
        money=facts.money,
        is_waiting=facts.is_waiting and access.copy_waits(available_at, promised),
        can_cancel=can_cancel(order, facts),
        promised=consents.promise_in_words(promised) if promised else "",
        moves=[] if shelf.is_published else moves_of(publication.id, order.placed_at),
        available_at=available_at,
        last_day=format_day(last_day) if last_day >= clock.today(config().zone) else "",
        terms=terms,
        consent=consent,
        is_bank_at_work=not is_paid and is_bank_at_work(order),
        transfer=None if is_paid else _transfer(order),
        can_move=is_paid and not why_unmovable(order, shelf.rights),
        has_come_back=received.has_come_back(order, shelf.editions),
    )


@dataclass(frozen=True)
class Covered:
    """What the cover of a page is drawn from."""

    slug: str
    title: str
    subtitle: str
    author: str
    cover_sha256: str | None

    @classmethod
    def of(cls, view: OrderView) -> "Covered":
        """The publication's own cover, else page one of its newest PDF."""
        one = view.line.publication
        cover = one.cover_sha256 or view.shelf.cover
        return cls(one.slug, one.title, one.subtitle, one.author, cover)


STANDINGS = {
    "closed": "Closed",
    "processing": "Payment under way",
    "refunded": "Cancelled",
    "held": "Held",
    "suspended": "Disputed",
    "lost": "Paid back by your bank",
    "transfer": "Not paid yet",
    "pending": "Not paid yet",
}


def _standing(view: OrderView) -> str:
    """How the order stands, in a word or two before its reference."""
    if view.is_gift:
        return "Taken back" if view.state == "refunded" else "Given to you"
    return STANDINGS.get(view.state) or ("Nothing to pay" if view.is_free else "Paid")


def _lead(view: OrderView) -> str:
    """The title, and which edition or when."""
    if view.shelf.editions:
        return f"{view.line.title}, edition {view.shelf.editions[0].number}"
    is_over = view.state in {"closed", "refunded", "lost"}
    when = f", published {view.promised}" if view.promised and not is_over else ""
    return f"{view.line.title}{when}"


HEADINGS = {
    "closed": "This order is closed",
    "processing": "Your payment is on its way",
    "refunded": "This order is cancelled and refunded",
    "held": "This order is held",
    "suspended": "Your payment is disputed",
    "lost": "Your bank took the payment back",
    "preorder": "Thank you for your pre-order",
    "ready": "Thank you. Your copy is ready.",
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
    later = ("When it is renewed", f"We mail you the new edition, free, {term}.", False)
    if view.state == "ready":
        return [paid, later, LOST]
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


LOST = (
    "If you lose the link",
    "“Find my copies”, at the top of this page, mails it again at any time.",
    False,
)


def _how_paid(view: OrderView) -> str:
    if view.is_gift:
        said = f"{view.order.seller.trading_name} gave you a copy. There is nothing to pay."
    elif view.is_free:
        said = "You ordered. There was nothing to pay."
    else:
        said = f"You paid {view.price}."
    if view.has_come_back:
        return said
    mailed = "Your link goes" if view.is_gift else "Your receipt and your link go"
    return f"{said} {mailed} to {view.masked}."


def _next(view: OrderView) -> Moment:
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
