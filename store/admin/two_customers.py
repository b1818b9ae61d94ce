"""One person twice: two customers made one after a look at both, and parted again for 14 days."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.admin import customers
from store.entitlements import parting
from store.entitlements.addresses import merge_customers
from store.entitlements.holdings import holdings
from store.entitlements.merging import ObjectionOpen, refuse_open_objection
from store.kit.database import transaction
from store.kit.forms import Typed, status, typed
from store.kit.limits import TooOften
from store.kit.paging import id_in
from store.orders.customers import CustomerUnknown, customer_by_address, customer_by_id
from store.orders.models import Customer
from store.staff import audit
from store.staff.acts import Act
from store.staff.credentials import settles_at
from store.staff.guard import SUPPORT, opens_to, signed_in, who
from store.staff.sign_in import settled_code_faults

bp = Blueprint("two_customers", __name__, url_prefix="/admin/customers/<int:customer_id>")


@bp.route("/merge", methods=["GET", "POST"])
@opens_to(SUPPORT)
def merge(customer_id: int) -> Any:
    """Find the other, look at both and at what moves, and make them one, with a code of one's own:
    who has the address that stays gets the copies of both."""
    customer = customers.find(customer_id)
    if request.method == "POST":
        values = typed()
        second = customers.find(id_in(values["other"]) or 0)
        errors, code = _merge(customer, second, values)
        if not errors:
            kept = url_for("customers.one", customer_id=int(values["keep"]))
            flash(
                "They are one customer now. Both addresses are told, and fresh links are on their way."
            )
            return redirect(kept, 303)
        return _page(customer, second, values, errors), code
    asked = request.args.get("with", "").strip()
    other, errors = _other(customer, asked)
    return _page(customer, other, Typed({"with": asked}), errors), status(errors)


@bp.route("/part/<int:number>", methods=["GET", "POST"])
@opens_to(SUPPORT)
def part(customer_id: int, number: int) -> Any:
    """Part two customers again, with a code of one's own."""
    customer, errors, code = customers.find(customer_id), dict[str, str](), 200
    found = parting.merge_by_id(number, customer_id)
    email = str((found.before or {})["email"])
    if request.method == "POST":
        errors, code = _code_faults()
        if not errors:
            with transaction():
                gone, kept = parting.part_customers(number, customer_id, who())
                audit.record(Act.CUSTOMERS_PARTED, kept, after={"parted": gone.id})
            flash(f"They are two customers again. Fresh links are on their way to {email}, too.")
            return redirect(url_for("customers.one", customer_id=customer_id), 303)
    page = render_template(
        "admin/part.html",
        customer=customer,
        email=email,
        merge=found,
        until=parting.part_until(found),
        errors=errors,
        **_step(),
    )
    return page, code


def _merge(customer: Customer, other: Customer, values: Typed) -> tuple[dict[str, str], int]:
    pair = {str(one.id): one for one in (customer, other)}
    if len(pair) == 1:
        return {"with": "That is the same customer."}, 422
    if values["keep"] not in pair:
        return {"keep": "Say which address stays."}, 422
    kept_id = int(values["keep"])
    gone_id = next(one.id for one in pair.values() if one.id != kept_id)
    try:
        # Before a code is used up for it.
        refuse_open_objection(customer_by_id(gone_id))
    except ObjectionOpen as refusal:
        return {"keep": refusal.sentence}, 422
    errors, code = _code_faults()
    if errors:
        return errors, code
    with transaction():
        merge_customers(customer_by_id(gone_id), customer_by_id(kept_id), who())
        audit.record(Act.CUSTOMERS_MERGED, (Customer, kept_id), after={"merged": gone_id})
    return {}, 200


def _code_faults() -> tuple[dict[str, str], int]:
    try:
        errors = settled_code_faults(signed_in())
    except TooOften as refusal:
        return {"code": refusal.sentence}, refusal.status
    return errors, status(errors)


def _other(customer: Customer, asked: str) -> tuple[Customer | None, dict[str, str]]:
    """Who is meant by an address or a number, if anybody is said."""
    if not asked:
        return None, {}
    if number := id_in(asked):
        try:
            found = customer_by_id(number)
        except CustomerUnknown:
            found = None
    else:
        found = customer_by_address(asked)
    if found is None or found.merged_into_id is not None:
        return None, {"with": "No customer has this address. Look it up under Customers."}
    if found.id == customer.id:
        return None, {"with": "That is the same customer."}
    return found, {}


def _page(customer: Customer, other: Customer | None, values: Typed, errors: dict[str, str]) -> str:
    pair = [customer, other] if other else [customer]
    return render_template(
        "admin/merge.html",
        customer=customer,
        other=other,
        pair=pair,
        holdings=holdings([one.id for one in pair]),
        values=values,
        errors=errors,
        days=parting.DAYS.days,
        **_step(),
    )


def _step() -> dict[str, Any]:
    person = signed_in()
    return {"has_two_step": person.has_two_step, "settles_at": settles_at(person)}
