"""Customers: listed, found, looked at, written to again, their address corrected."""

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlalchemy.orm import joinedload

from store.admin.letters import STATUSES
from store.admin.lists import PAGE_SIZE, history, letters_of, searched
from store.catalog.editions import EditionUnknown
from store.catalog.models import Edition
from store.distribution.coverage import coverage_of
from store.entitlements.addresses import AddressTaken, check_free, correct_address
from store.entitlements.fresh_links import again_at, asked_lately, end_links, send_copies_to
from store.entitlements.links import SameAddress
from store.entitlements.merging import CustomerMerged
from store.entitlements.models import Download, Entitlement
from store.entitlements.shelves import shelves
from store.kit.database import db, transaction
from store.kit.errors import NotFound
from store.kit.formatting import format_time
from store.kit.forms import Typed, status, typed
from store.kit.limits import TooOften
from store.kit.paging import Page, paginate
from store.mail.models import Delivery
from store.orders.customers import InvalidAddress, lock_customers, suggest_correction
from store.orders.models import Customer, Order
from store.orders.orders import search_customers
from store.payments.charge import is_money_under_way
from store.staff.credentials import settles_at
from store.staff.guard import SUPPORT, opens_to, signed_in, who
from store.staff.sign_in import settled_code_faults

bp = Blueprint("customers", __name__, url_prefix="/admin/customers")


COLUMNS = {
    "handed_over": "Handed over",
    "waiting": "Waiting",
    "held": "Held",
    "undeliverable": "Undeliverable",
    "left_out": "Left out",
    "missing": "Missing",
    "later": "Bought after the release",
    "not_concerned": "Not concerned",
}


class CustomerUnknown(NotFound):
    """No customer has this number."""

    sentence = "There is no customer of this number."


@bp.get("")
@opens_to(SUPPORT)
def all() -> Any:
    """Customers, newest first; found by address, name or an order's reference."""
    text = searched()
    page = search_customers(text, request.args.get("page", 1, int))
    return render_template(
        "admin/customers.html",
        page=page.linked(lambda other: url_for("customers.all", page=other, q=text or None)),
        text=text,
    )


@bp.get("/<int:customer_id>")
@opens_to(SUPPORT)
def one(customer_id: int) -> Any:
    """One customer: rights, orders, letters, downloads, changes."""
    customer = _by_number(customer_id)
    if customer.merged_into_id is not None:
        return redirect(url_for("customers.one", customer_id=customer.merged_into_id), 303)
    number = request.args.get("page", 1, int)
    letters = letters_of(customer_id=customer.id, page=number)
    return render_template(
        "admin/customer.html",
        customer=customer,
        shelves=shelves(customer.id),
        editions=_released_for(customer.id),
        orders=_orders_of(customer.id),
        letters=letters.linked(
            lambda other: url_for("customers.one", customer_id=customer.id, page=other)
        ),
        letter_words=STATUSES,
        downloads=_downloads_of(customer.id),
        history=history(customers=[customer.id]),
    )


def _released_for(customer_id: int) -> dict[int, list[Edition]]:
    """Per publication of a customer the ten newest editions that were ever released."""
    mine = sa.select(Entitlement.publication_id).where(Entitlement.customer_id == customer_id)
    query = (
        sa.select(Edition)
        .where(Edition.publication_id.in_(mine), Edition.released_at.is_not(None))
        .order_by(Edition.number.desc())
    )
    found: dict[int, list[Edition]] = {}
    for edition in db.session.scalars(query):
        found.setdefault(edition.publication_id, []).append(edition)
    return {publication_id: editions[:10] for publication_id, editions in found.items()}


def _orders_of(customer_id: int) -> Page[Order]:
    """A customer's orders, newest first."""
    query = (
        sa.select(Order)
        .where(Order.customer_id == customer_id)
        .options(sa.orm.selectinload(Order.lines))
        .order_by(Order.id.desc())
    )
    return paginate(query, 1, PAGE_SIZE)


def _downloads_of(customer_id: int) -> Page[Download]:
    """What a customer fetched, newest first."""
    query = (
        sa.select(Download)
        .where(Download.customer_id == customer_id)
        .options(joinedload(Download.asset))
        .order_by(Download.id.desc())
    )
    return paginate(query, 1, PAGE_SIZE)


@bp.post("/<int:customer_id>/resend")
@opens_to(SUPPORT)
def resend(customer_id: int) -> Any:
    """One letter with every link that the customer has; not while one of the last ten minutes
    has gone or is about to."""
    with transaction():
        _find(customer_id)
        # Somebody may bring them together with another at this moment.
        lock_customers([customer_id])
        customer = _find(customer_id)
        earlier = asked_lately(customer.id)
        if earlier is None:
            send_copies_to(customer, f"desk:{customer.id}", by=who())
            told = f"All links are on their way to {customer.email}."
        else:
            told = _asked_already(earlier)
    flash(told)
    return redirect(url_for("customers.one", customer_id=customer_id), 303)


def _asked_already(earlier: Delivery) -> str:
    by = (earlier.facts or {}).get("asked_by", "the shop")
    state = f"handed over at {format_time(earlier.sent_at)}" if earlier.sent_at else "on its way"
    return (
        f"All links were asked for at {format_time(earlier.created_at)} already, by {by}: the "
        f"letter is {state}. You can send another from {format_time(again_at(earlier.created_at))}."
    )


@bp.route("/<int:customer_id>/end-links", methods=["GET", "POST"])
@opens_to(SUPPORT)
def ending(customer_id: int) -> Any:
    """End every link that was mailed to a customer; fresh ones go to the address on file."""
    if request.method == "GET":
        return render_template("admin/end_links.html", customer=_find(customer_id))
    with transaction():
        end_links(_find(customer_id), who())
    flash("The old links have ended. Fresh ones are on their way to the address on file.")
    return redirect(url_for("customers.one", customer_id=customer_id), 303)


@bp.route("/<int:customer_id>/address", methods=["GET", "POST"])
@opens_to(SUPPORT)
def address(customer_id: int) -> Any:
    """Correct the address, with a code of one's own: old links die, fresh ones go to the new
    one, the old one is told and can undo it."""
    customer = _find(customer_id)
    values, errors, code = Typed(email=customer.email), {}, 200
    if request.method == "POST":
        values = typed()
        try:
            errors = _correct(customer_id, values["email"])
        except TooOften as refusal:
            errors, code = {"code": refusal.sentence}, refusal.status
        else:
            code = status(errors)
        if not errors:
            flash("The address is corrected. Fresh links are on their way to it.")
            return redirect(url_for("customers.one", customer_id=customer_id), 303)
    page = render_template(
        "admin/address.html",
        customer=_find(customer_id),
        values=values,
        errors=errors,
        has_two_step=signed_in().has_two_step,
        settles_at=settles_at(signed_in()),
        suggestion=suggest_correction(customer.email),
    )
    return page, code


def _correct(customer_id: int, email: str) -> dict[str, str]:
    """The faults by field; none where the address is corrected."""
    try:
        # First what can be mended without a code, so that none is used up for a slip.
        check_free(_find(customer_id), email, has_money=is_money_under_way)
        faults = settled_code_faults(signed_in())
        if not faults:
            with transaction():
                correct_address(_find(customer_id), email, who(), has_money=is_money_under_way)
    except (InvalidAddress, SameAddress, AddressTaken) as refusal:
        return {"email": _for_staff(refusal)}
    return faults


@bp.get("/<int:customer_id>/editions/<int:edition_id>")
@opens_to(SUPPORT)
def why(customer_id: int, edition_id: int) -> Any:
    """Why this customer did or did not get an edition."""
    customer = _find(customer_id)
    edition = db.session.get(Edition, edition_id) if edition_id < 2**31 else None
    if edition is None:
        raise EditionUnknown
    return render_template(
        "admin/why.html",
        customer=customer,
        edition=edition,
        told=coverage_of(edition, customer),
        columns=COLUMNS,
    )


def _find(customer_id: int) -> Customer:
    """The customer; one who was merged with another is refused, with a link to that other."""
    found = _by_number(customer_id)
    if found.merged_into_id is not None:
        refusal = CustomerMerged()
        other = url_for("customers.one", customer_id=found.merged_into_id)
        refusal.way_out = (other, "Look at the other customer")
        raise refusal
    return found


def _by_number(customer_id: int) -> Customer:
    found = db.session.get(Customer, customer_id) if customer_id < 2**31 else None
    if found is None:
        raise CustomerUnknown
    return found


def _for_staff(refusal: InvalidAddress | SameAddress | AddressTaken) -> str:
    if isinstance(refusal, AddressTaken):
        return "Another customer has bought at this address. Look at both before you go on."
    return refusal.sentence
