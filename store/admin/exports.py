"""What can be taken out as a file: every movement of money, for the accountant, who holds a publication,
and all that is held about one customer."""

from datetime import date, timedelta
from typing import Any

from flask import Blueprint, Response, render_template, request, stream_with_context

from store.admin.customers import find
from store.catalog.publications import publication_by_slug
from store.distribution.import_export import export_customers
from store.entitlements.own_data import copy_of
from store.kit import clock
from store.kit.config import config
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Reader, Typed, status, typed
from store.kit.spreadsheets import csv_file, to_csv
from store.payments.movements import movements
from store.payments.sums import left_by_order
from store.staff import audit
from store.staff.acts import Act
from store.staff.guard import OWNERS, SUPPORT, opens_to

bp = Blueprint("exports", __name__, url_prefix="/admin")


@bp.route("/accounts", methods=["GET", "POST"])
@opens_to(SUPPORT)
def accounts() -> Any:
    """From which day to which; then the file."""
    today = clock.today(config().zone)
    last = today.replace(day=1) - timedelta(days=1)
    values = Typed(first=last.replace(day=1).isoformat(), last=last.isoformat())
    errors: dict[str, str] = {}
    if request.method == "POST":
        values = typed()
        try:
            first, until = _read(values)
        except InvalidFields as refusal:
            errors = refusal.faults
        else:
            with transaction():
                audit.record(Act.MONEY_EXPORTED, after={"from": first, "to": until})
            rows = (to_csv(piece) for piece in movements(first, until))
            return csv_file(rows, f"money-{first}-{until}.csv")
    page = render_template("admin/accounts.html", values=values, errors=errors)
    return page, status(errors)


@bp.post("/customers/<int:customer_id>/data.json")
@opens_to(OWNERS)
def data(customer_id: int) -> Any:
    """All that is held about a customer, as they fetch it themselves."""
    with transaction():
        customer = find(customer_id)
        audit.record(Act.DATA_COPIED, customer)
        number = customer.id
    pieces = (piece.encode() for piece in copy_of(number))
    answer = Response(stream_with_context(pieces), mimetype="application/json")
    answer.headers["Content-Disposition"] = f'attachment; filename="data-{number}.json"'
    return answer


@bp.post("/publications/<slug>/customers.csv")
@opens_to(SUPPORT)
def customers(slug: str) -> Any:
    """Who holds a publication, as a file that can be brought in again."""
    with transaction():
        audit.record(Act.CUSTOMERS_EXPORTED, publication_by_slug(slug))
    found = export_customers(publication_by_slug(slug), left_by_order)
    return csv_file(found, f"customers-{slug}.csv")


def _read(values: Typed) -> tuple[date, date]:
    reader = Reader(values)
    first = reader.day("first", "Choose the first day.", needed=True)
    last = reader.day("last", "Choose the last day.", needed=True)
    if first and last and last < first:
        reader.faults["last"] = "The last day is before the first one."
    reader.check()
    return first or date.min, last or date.min
