"""What a customer agreed to, in which wording, whether there was need to ask (Consumer Contracts
Regulations 2013, regulation 37), and what was promised, in words."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from babel.dates import format_date

from store.catalog import publications, statements
from store.catalog.models import Publication, StatementKind
from store.kit import clock
from store.kit.config import config
from store.kit.database import db, insert_once
from store.kit.formatting import format_day
from store.orders.models import Consent, Order

IMMEDIATE_SUPPLY = "immediate_supply"
# A wording that was ever shown stays here: rows name the one that their customer saw.
CONSENT_WORDINGS = {
    "2026-1": (
        "Send me the guide straight away. I understand that I then lose my 14-day right to cancel."
    ),
}
CURRENT_WORDING = "2026-1"
TERMS = "terms"
# Since when each version of the terms has held; the text is storefront/terms/<version>.html, which
# is never edited again and stays readable.
TERMS_VERSIONS = {"2026-1": date(2026, 11, 25), "2026-2": date(2026, 11, 25)}
CURRENT_TERMS = "2026-2"
# Fourteen days after the day of the order; the fifteenth is free of the right to cancel.
_WAIT = timedelta(days=15)


@dataclass(frozen=True)
class AcceptedTerms:
    """Which terms an order was placed under, and where they can be read as they stood then."""

    version: str
    since: date
    accepted_at: datetime
    path: str


@dataclass(frozen=True)
class GivenConsent:
    """The consent to immediate supply in its exact words, and when it was given."""

    wording: str
    given_at: datetime


def waiver_needed(publication: Publication, ordered_at: datetime) -> bool:
    """Whether a copy may fall due inside the 14 days, so that consent has to be asked for.

    A pre-order is judged by its expected date; without one the copy may come any day.
    """
    if not publications.is_preorder(publication):
        return True
    expected = publication.expected_on
    return expected is None or expected < _day(ordered_at) + _WAIT


def agreed_at(order: Order, paid_at: datetime | None = None) -> datetime:
    """The moment from which the 14 days run: the order, or the payment where that came later,
    since on a gateway's own page the last button is the order."""
    return max(order.placed_at, paid_at or order.paid_at or order.placed_at)


def supply_starts_at(order_placed_at: datetime) -> datetime:
    """When a copy may be supplied without consent: the start of day 15 in the shop's zone."""
    return clock.start_of(_day(order_placed_at) + _WAIT, config().zone)


def last_day_to_cancel(order: Order) -> date:
    """The last of the 14 days, in the shop's zone."""
    free_from = supply_starts_at(agreed_at(order)).astimezone(config().zone).date()
    return free_from - timedelta(days=1)


def has_waiver(order_id: int) -> bool:
    """Whether the customer consented to immediate supply, with the order or later."""
    return waiver(order_id) is not None


# The same as part of a query, of the order in the parameter `order_id`.
HAS_WAIVER = sa.exists(
    sa.select(Consent.id).where(
        Consent.order_id == sa.bindparam("order_id"), Consent.kind == IMMEDIATE_SUPPLY
    )
)


def waiver(order_id: int) -> Consent | None:
    """The consent to immediate supply: wording and time, as the receipt repeats them."""
    return _given(order_id, IMMEDIATE_SUPPLY)


def given_consent(order_id: int) -> GivenConsent | None:
    """The consent as order page and letter repeat it; None where none was given."""
    given = waiver(order_id)
    return GivenConsent(CONSENT_WORDINGS[given.wording_version], given.given_at) if given else None


def accept_terms(order: Order) -> None:
    """Note that the order was placed under today's terms; placed again, it is under those of then."""
    given = None if _note(order, TERMS, CURRENT_TERMS) else _given(order.id, TERMS)
    if given is not None:
        given.wording_version, given.given_at = CURRENT_TERMS, clock.now()
        db.session.flush()


def accepted_terms(order: Order) -> AcceptedTerms | None:
    """The terms of an order; None where nobody accepted any, as with a copy that was given."""
    return agreed_to(order)[0]


def give_waiver(order: Order) -> None:
    """Note the consent to immediate supply in today's wording; a second press adds nothing."""
    _note(order, IMMEDIATE_SUPPLY, CURRENT_WORDING)


def forget_waiver(order: Order) -> None:
    """Take the consent out again while the order is still being written."""
    given = waiver(order.id)
    if given is not None:
        db.session.delete(given)
        db.session.flush()


def agreed_to(order: Order) -> tuple[AcceptedTerms | None, GivenConsent | None]:
    """What `accepted_terms` and `given_consent` say, by one statement."""
    rows = db.session.execute(_AGREED, {"order_id": order.id})
    given = {kind: (version, given_at) for kind, version, given_at in rows}
    terms, waived = given.get(TERMS), given.get(IMMEDIATE_SUPPLY)
    return (
        _accepted(order, *terms) if terms else None,
        GivenConsent(CONSENT_WORDINGS[waived[0]], waived[1]) if waived else None,
    )


_AGREED = sa.select(Consent.kind, Consent.wording_version, Consent.given_at).where(
    Consent.order_id == sa.bindparam("order_id")
)


def _accepted(order: Order, version: str, given_at: datetime) -> AcceptedTerms:
    own = statements.standing(StatementKind.TERMS, given_at)
    return AcceptedTerms(
        version=version,
        since=TERMS_VERSIONS[version],
        accepted_at=given_at,
        path=f"/terms/{version}?seller={order.seller_id}" + (f"&own={own.id}" if own else ""),
    )


def _given(order_id: int, kind: str) -> Consent | None:
    return db.session.scalar(
        sa.select(Consent).where(Consent.order_id == order_id, Consent.kind == kind)
    )


def _note(order: Order, kind: str, version: str) -> bool:
    """Whether it was not there yet."""
    values = {"kind": kind, "wording_version": version, "given_at": clock.now()}
    return insert_once(Consent, order_id=order.id, **values) is not None


def _day(moment: datetime) -> date:
    return moment.astimezone(config().zone).date()


def promise_in_words(day: date) -> str:
    """`by the end of March 2027` for the last day of a month, else `on 12 March 2027`."""
    is_month_end = (day + timedelta(days=1)).day == 1
    if is_month_end:
        return f"by the end of {format_date(day, 'MMMM y', locale='en_GB')}"
    return f"on {format_day(day)}"


def term_in_words(months: int | None) -> str:
    """How long later editions are included: `for 2 years`, `for 18 months`, without end."""
    if months is None:
        return "for as long as we publish it"
    years, rest = divmod(months, 12)
    if rest == 0:
        return "for 1 year" if years == 1 else f"for {years} years"
    return "for 1 month" if months == 1 else f"for {months} months"
