"""What a price holds of VAT: the rate, the amount inside a total, and the words for it."""

from store.catalog.models import VatTreatment
from store.kit.money import format_money
from store.orders.models import Order

# In hundredths of a percent. A sale keeps the rate of its day on its line.
STANDARD_RATE = 2000
RATES = {VatTreatment.STANDARD_INCLUDED: STANDARD_RATE}


def vat_inside(total: int, rate: int) -> int:
    """The VAT that a total holds, in minor units, halves up (HMRC VAT guide, 17.5); `rate` in
    hundredths of a percent."""
    whole = 10_000 + rate
    return (2 * total * rate + whole) // (2 * whole)


def vat_note(treatment: str, vat_amount: int, currency: str, vat_rate: int = STANDARD_RATE) -> str:
    """What a price holds of VAT, in the words of page, letter and receipt; a line of an order
    names the rate of its day."""
    if treatment == VatTreatment.STANDARD_INCLUDED:
        return f"Includes {format_money(vat_amount, currency)} VAT at {vat_rate / 100:g}%"
    if treatment == VatTreatment.NOT_REGISTERED:
        return "No VAT is charged"
    return "No VAT to pay"


def order_vat_note(order: Order) -> str:
    """The same words for an order, from what its line holds."""
    line = order.lines[0]
    return vat_note(line.vat_treatment, line.vat_amount, order.currency, line.vat_rate)
