"""What an order costs, the same figure on every page, at the gateway and on the receipt."""

from dataclasses import dataclass

from store.catalog.models import Publication, VatTreatment
from store.kit.errors import Refusal
from store.kit.money import LEAST_CHARGE, charge_fault, format_money
from store.orders.discounts import Reduction, reduction_for
from store.orders.vat import RATES, vat_inside, vat_note


class TooLittleToCharge(Refusal):
    """More than nothing, and less than any payment service takes."""

    status = 422

    def __init__(self, total: int, currency: str) -> None:
        least = format_money(LEAST_CHARGE.get(currency, 1), currency)
        super().__init__(
            f"With this discount {format_money(total, currency)} would be left to pay, and no less "
            f"than {least} can be charged. Take the code out, or write to us."
        )


@dataclass(frozen=True)
class Quote:
    """One copy's price today, in minor units of `currency`; `vat_rate` in hundredths of a percent."""

    list_amount: int
    discount_amount: int
    discount_label: str
    discount_id: int | None
    total_amount: int
    currency: str
    vat_treatment: VatTreatment
    vat_rate: int
    vat_amount: int

    @property
    def total(self) -> str:
        """The total as people read it."""
        return format_money(self.total_amount, self.currency)

    @property
    def list_price(self) -> str:
        """The price before any discount, as people read it."""
        return format_money(self.list_amount, self.currency)

    @property
    def discount(self) -> str:
        """What is taken off, as people read it."""
        return format_money(self.discount_amount, self.currency)

    @property
    def note(self) -> str:
        """What the total holds of VAT, in words."""
        return vat_note(self.vat_treatment, self.vat_amount, self.currency)


def quote(
    publication: Publication, *, proven: str = "", code: str = "", form_key: str = ""
) -> Quote:
    """What one copy costs this buyer now: the better of their code and, for an address that a
    mailed link has `proven`, the members' price.

    Refuses (`CodeRefused`) a code that does not count here, and (`CodeByLetter`) one that counts
    only behind such a link.
    """
    price = publication.price_amount
    less = reduction_for(publication, proven=proven, code=code, form_key=form_key)
    less = less or Reduction(0, "", None)
    total = price - less.amount
    rate = RATES.get(publication.vat_treatment, 0)
    return Quote(
        list_amount=price,
        discount_amount=less.amount,
        discount_label=less.label,
        discount_id=less.discount_id,
        total_amount=total,
        currency=publication.currency,
        vat_treatment=publication.vat_treatment,
        vat_rate=rate,
        vat_amount=vat_inside(total, rate),
    )


def check_chargeable(quoted: Quote) -> None:
    """Refuses (`TooLittleToCharge`) a total that is neither nothing nor enough to charge."""
    if quoted.total_amount and charge_fault(quoted.total_amount, quoted.currency):
        raise TooLittleToCharge(quoted.total_amount, quoted.currency)
