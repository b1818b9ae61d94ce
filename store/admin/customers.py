"""Customers: listed, found, looked at, written to again, their address corrected."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.admin import letters
from store.admin.order_states import states_of
from store.catalog.editions import edition_by_id
from store.catalog.publications import list_publications
from store.distribution.coverage import coverage_of
from store.distribution.reached import reached
from store.entitlements import (
    access,
    addresses,
    erasures,
    fresh_links,
    on_file,
    open_repairs,
    parting,
    received,
    second_addresses,
    shelves,
)
from store.entitlements.merging import CustomerErased, CustomerMerged
from store.kit.database import transaction
from store.kit.formatting import format_time
from store.kit.forms import Typed, place_in_list, searched, status, typed
from store.kit.limits import TooOften
from store.orders import customers, orders
from store.orders.customer_notes import notes_of
from store.orders.models import Customer
from store.payments.charge import is_money_under_way
from store.payments.erasures import why_it_waits
from store.staff import audit, recorded
from store.staff.acts import Act
from store.staff.credentials import settles_at
from store.staff.guard import SUPPORT, opens_to, signed_in, who
from store.staff.sign_in import settled_code_faults
from store.stories.timeline import customer_story

bp = Blueprint("customers", __name__, url_prefix="/admin/customers")


COLUMNS = {
    "handed_over": "Handed over",
    "waiting": "Waiting",
    "held": "Held",
    "undeliverable": "Undeliverable",
    "came_back": "Came back",
    "left_out": "Left out",
    "missing": "Missing",
    "later": "Bought after the release",
    "not_concerned": "Not concerned",
}


@bp.get("")
@opens_to(SUPPORT)
def all() -> Any:
    """Customers, newest first; found by address, name or an order's reference."""
    text = searched()
    is_part = "part" in request.args
    kept: dict[str, Any] = {"q": text or None, "part": 1 if is_part else None}
    page = orders.search_customers(text, place_in_list(), is_part=is_part)
    is_alone = not is_part and orders.is_whole(text)
    return render_template(
        "admin/customers.html",
        page=page.linked(lambda **there: url_for("customers.all", **there, **kept)),
        part_url=url_for("customers.all", q=text, part=1) if is_alone else None,
        text=text,
    )


@bp.get("/<int:customer_id>")
@opens_to(SUPPORT)
def one(customer_id: int) -> Any:
    """One customer: rights, orders, letters, downloads, changes."""
    customer = customers.customer_by_id(customer_id)
    if customer.merged_into_id is not None:
        return redirect(url_for("customers.one", customer_id=customer.merged_into_id), 303)
    return page_of(customer.id)


def page_of(customer_id: int, **more: Any) -> str:
    """The customer's page, with what was typed on it and its faults."""
    customer = find(customer_id)
    page = letters.letters_of(customer_id=customer.id, place=place_in_list())
    theirs, owned = orders.orders_of(customer.id), shelves.shelves(customer.id)
    has = {one.publication.id for one in owned if not one.is_refunded}
    notes = notes_of(customer.id, place_in_list("note_"))
    waits = erasures.open_erasure(customer.id)

    def here(**there: Any) -> str:
        return url_for("customers.one", customer_id=customer.id, **there)

    return render_template(
        "admin/customer.html",
        customer=customer,
        second=on_file.second_of(customer.id),
        is_in_repair=open_repairs.is_in_repair(customer.id),
        shelves=owned,
        others=[one for one in list_publications().rows if one.id not in has],
        reached=reached(customer, access.ever_released_for(customer.id)),
        orders=theirs,
        states=states_of(theirs.rows),
        letters=page.linked(here),
        notes=notes.linked(here, "note_"),
        merges=parting.merges_of(customer.id),
        to_erase=waits,
        erasing_waits=why_it_waits(waits) if waits else None,
        letter_words=letters.STATUSES,
        downloads=received.downloads_of(customer.id),
        events=customer_story(customer.id),
        **more,
    )


@bp.post("/<int:customer_id>/resend")
@opens_to(SUPPORT)
def resend(customer_id: int) -> Any:
    """One letter with every link that the customer has; not while one of the last ten minutes
    has gone or is about to."""
    with transaction():
        find(customer_id)
        # Somebody may bring them together with another at this moment.
        customers.lock_customers([customer_id])
        customer = find(customer_id)
        earlier = fresh_links.asked_lately(customer.id)
        if earlier is None:
            fresh_links.send_copies_to(customer, f"desk:{customer.id}", by=who())
            audit.record(Act.LINKS_SENT, customer)
            told = f"All links are on their way to {customer.email}."
        else:
            asked = format_time(earlier.created_at)
            by = (earlier.facts or {}).get("asked_by", "the shop")
            sent_at, again_at = earlier.sent_at, fresh_links.again_at(earlier.created_at)
            state = f"handed over at {format_time(sent_at)}" if sent_at else "on its way"
            told = (
                f"All links were asked for at {asked} already, by {by}: the letter is {state}. "
                f"You can send another from {format_time(again_at)}."
            )
    flash(told)
    return redirect(url_for("customers.one", customer_id=customer_id), 303)


@bp.route("/<int:customer_id>/end-links", methods=["GET", "POST"])
@opens_to(SUPPORT)
def ending(customer_id: int) -> Any:
    """End every link that was mailed to a customer; fresh ones go to the address on file."""
    if request.method != "POST":
        return render_template("admin/end_links.html", customer=find(customer_id))
    with transaction():
        fresh_links.end_links(find(customer_id), who())
        audit.record(Act.LINKS_ENDED, (Customer, customer_id))
    flash("The old links have ended. Fresh ones are on their way to the address on file.")
    return redirect(url_for("customers.one", customer_id=customer_id), 303)


@bp.route("/<int:customer_id>/second-address/remove", methods=["GET", "POST"])
@opens_to(SUPPORT)
def removing_second(customer_id: int) -> Any:
    """Take a customer's second address out; where it worked, links end and fresh ones go to the
    first."""
    if request.method != "POST":
        customer = find(customer_id)
        second = on_file.second_of(customer.id)
        return render_template("admin/second_address.html", customer=customer, second=second)
    with transaction():
        second_addresses.remove_second(find(customer_id), who())
        audit.record(Act.SECOND_REMOVED, (Customer, customer_id))
    flash("The second address is taken out, and was told.")
    return redirect(url_for("customers.one", customer_id=customer_id), 303)


@bp.route("/<int:customer_id>/address", methods=["GET", "POST"])
@opens_to(SUPPORT)
def address(customer_id: int) -> Any:
    """Correct the address, with a code of one's own: old links die, fresh ones go to the new
    one, the old one is told and can undo it."""
    customer = find(customer_id)
    # What was probably meant stands there where the page of the repair led here for it.
    meant = customers.suggest_correction(customer.email) if "meant" in request.args else None
    values, errors, code = Typed(email=meant or customer.email), dict[str, str](), 200
    if request.method == "POST":
        values = typed()
        try:
            errors = _typo(customer, values) or _correct(customer_id, values["email"])
        except TooOften as refusal:
            errors, code = {"code": refusal.sentence}, refusal.status
        else:
            code = status(errors)
        if not errors:
            flash("The address is corrected. Fresh links are on their way to it.")
            return redirect(url_for("customers.one", customer_id=customer_id), 303)
    page = render_template(
        "admin/address.html",
        customer=find(customer_id),
        values=values,
        errors=errors,
        has_two_step=signed_in().has_two_step,
        settles_at=settles_at(signed_in()),
        suggestion=customers.suggest_correction(customer.email),
        other=customers.customer_by_address(values["email"]) if "email" in errors else None,
    )
    return page, code


def _typo(customer: Customer, values: Typed) -> dict[str, str]:
    """Ask once where the new address is a slip away from a big domain."""
    meant = customers.suggest_correction(values["email"].strip())
    if meant is None or values.is_ticked("as_typed") or values["email"] == customer.email:
        return {}
    return {"as_typed": f"Did they mean {meant}? Correct it, or tick that it is right as typed."}


def _correct(customer_id: int, email: str) -> dict[str, str]:
    """The faults by field; none where the address is corrected."""
    try:
        # First what can be mended without a code, so that none is used up for a slip.
        addresses.check_free(find(customer_id), email, has_money=is_money_under_way)
        faults = settled_code_faults(signed_in())
        if not faults:
            with transaction():
                found = find(customer_id)
                was = found.email
                addresses.correct_address(found, email, who(), has_money=is_money_under_way)
                recorded.address_corrected(found, was)
    except addresses.AddressTaken:
        return {
            "email": "Another customer has bought at this address. Make one customer of the two, if "
            "they are one person."
        }
    except customers.InvalidAddress as refusal:
        return {"email": refusal.for_staff}
    except fresh_links.SameAddress as refusal:
        return {"email": refusal.sentence}
    return faults


@bp.get("/<int:customer_id>/editions/<int:edition_id>")
@opens_to(SUPPORT)
def why(customer_id: int, edition_id: int) -> Any:
    """Why this customer did or did not get an edition."""
    customer = find(customer_id)
    edition = edition_by_id(edition_id)
    return render_template(
        "admin/why.html",
        customer=customer,
        edition=edition,
        told=coverage_of(edition, customer),
        columns=COLUMNS,
    )


def find(customer_id: int) -> Customer:
    """The customer; one who was merged with another is refused, with a link to that other."""
    found = customers.customer_by_id(customer_id)
    if found.merged_into_id is not None:
        refusal = CustomerMerged()
        other = url_for("customers.one", customer_id=found.merged_into_id)
        refusal.way_out = (other, "Look at the other customer")
        raise refusal
    if found.erased_at is not None:
        raise CustomerErased
    return found
