"""What a receipt says: read from the rows of an order as they are; nothing is computed again."""

from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from store.catalog.models import VatTreatment
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.money import format_money
from store.kit.status import StatusChange
from store.orders.models import Order, OrderStatus
from store.orders.prices import order_vat_note
from store.payments.models import Refund, RefundStatus
from store.payments.sums import disputes_of_order, payments_of, refunds_of, sums_of

_METHODS = {
    "card": "by card",
    "bank transfer": "by bank transfer",
    "bacs_debit": "by Direct Debit",
    "sepa_debit": "by direct debit",
    "paypal": "with PayPal",
    "link": "with Link",
}


class NoReceipt(Refusal):
    """An order that is not paid."""

    status = 404
    heading = "There is no receipt yet"
    sentence = "This order is not paid. Its receipt will be here as soon as it is."


@dataclass(frozen=True)
class Row:
    """One line of a receipt: what, how much as people read it, and when where that matters."""

    words: str
    amount: str
    at: datetime | None = None


@dataclass(frozen=True)
class Receipt:
    """A paid order on paper. A numbered invoice would fix the same facts in a row of its own."""

    order: Order
    lines: list[Row]
    discount: Row | None
    total: str
    vat: list[Row]  # what the total holds, by rate; empty where it holds none
    note: str  # the same in one sentence
    received: list[Row]
    returned: list[Row]
    left: str  # what is left of what was paid; empty where nothing went back
    is_all_back: bool = False

    @property
    def stamp(self) -> str:
        """How it stands, in a word."""
        if self.is_gift:
            return "Given"
        if self.left:
            return "Paid back" if self.is_all_back else "Partly paid back"
        return "Nothing to pay" if self.is_free else "Paid"

    @property
    def is_gift(self) -> bool:
        """A copy that was given, for a reason that staff keep."""
        return bool(self.order.given_reason)

    @property
    def is_free(self) -> bool:
        """Nothing was to be paid."""
        return self.order.total_amount == 0


def receipt_of(order: Order) -> Receipt:
    """The receipt as the rows stand now. Refuses (`NoReceipt`) an order that is not paid."""
    if order.status is not OrderStatus.PAID:
        raise NoReceipt
    back = [one for one in refunds_of(order.id) if one.status in RefundStatus.counted()]
    lost = [one for one in disputes_of_order(order.id) if one.lost_at]
    left = sums_of(order).left
    return replace(
        pro_forma_of(order),
        received=[
            Row(
                f"Paid {_METHODS.get(one.method, 'online')}",
                format_money(one.amount, one.currency),
                at=one.received_at,
            )
            for one in payments_of(order.id)
            if one.amount
        ],
        returned=_returned(back)
        + [
            Row(
                "Taken back by your bank",
                f"−{format_money(one.amount, one.currency)}",
                at=one.lost_at,
            )
            for one in lost
        ],
        left=format_money(left, order.currency) if back or lost else "",
        is_all_back=left <= 0,
    )


def pro_forma_of(order: Order) -> Receipt:
    """What an order costs, on paper before it is paid."""
    return Receipt(
        order=order,
        lines=[
            Row(line.title, format_money(line.price_amount, order.currency)) for line in order.lines
        ],
        discount=_discount(order),
        total=format_money(order.total_amount, order.currency),
        vat=_vat(order),
        note=_note(order),
        received=[],
        returned=[],
        left="",
    )


def _discount(order: Order) -> Row | None:
    if not order.discount_amount:
        return None
    amount = format_money(order.discount_amount, order.currency)
    return Row(order.discount_label or "Discount", f"−{amount}")


def _vat(order: Order) -> list[Row]:
    by_rate: dict[int, int] = {}
    for line in order.lines:
        if line.vat_amount:
            by_rate[line.vat_rate] = by_rate.get(line.vat_rate, 0) + line.vat_amount
    if not by_rate:
        return []
    net = order.total_amount - sum(by_rate.values())
    return [Row("Of this, before VAT", format_money(net, order.currency))] + [
        Row(f"VAT at {rate / 100:g}%", format_money(amount, order.currency))
        for rate, amount in sorted(by_rate.items())
    ]


def _note(order: Order) -> str:
    is_zero_rated = order.lines[0].vat_treatment == VatTreatment.ZERO_RATED
    if is_zero_rated and order.seller.vat_number:
        return "No VAT to pay (zero-rated, 0%)"
    return order_vat_note(order)


def _returned(refunds: list[Refund]) -> list[Row]:
    confirmed = sa.select(StatusChange.entity_id, StatusChange.at).where(
        StatusChange.entity == Refund.__tablename__,
        StatusChange.entity_id.in_([refund.id for refund in refunds]),
        StatusChange.to_status == RefundStatus.SUCCEEDED,
    )
    arrived = {row.entity_id: row.at for row in db.session.execute(confirmed)}
    return [
        Row(
            "Refunded" if refund.id in arrived else "Refund on its way, asked for",
            f"−{format_money(refund.amount, refund.currency)}",
            at=arrived.get(refund.id, refund.requested_at),
        )
        for refund in refunds
    ]
