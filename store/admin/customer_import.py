"""Customers who bought elsewhere, brought in from a spreadsheet's file through the desk."""

from typing import Any

from flask import Blueprint, render_template, request

from store.catalog.publications import publication_by_slug
from store.distribution.csv_columns import FileUnclear
from store.distribution.customers_csv import CustomerRows, read_customers
from store.distribution.import_export import import_customers
from store.kit.database import alongside
from store.kit.forms import Typed, status, typed
from store.staff import recorded
from store.staff.guard import EDITORS, may, opens_to, takes

bp = Blueprint("customer_import", __name__, url_prefix="/admin/publications/<slug>")

# Some thirty thousand rows; the command takes more without keeping a browser waiting.
LARGEST_FILE = 2_000_000
# More lines of one reason help nobody on a page; the counts are of all.
MOST_LINES = 100
COLUMNS = ("email", "name", "item", "ordered_on")


@bp.route("/import", methods=["GET", "POST"])
@opens_to(EDITORS)
@takes(lambda: LARGEST_FILE + 100_000)
def bring_in(slug: str) -> Any:
    """Look at a file and say what an import would do, or do it; safe to repeat."""
    publication = publication_by_slug(slug)
    values, errors, report = typed(), {}, None
    is_meant = values["act"] == "import"
    if request.method == "POST":
        try:
            given = _read(values, publication.title)
        except FileUnclear as refusal:
            errors = {"file": refusal.sentence}
        else:
            with alongside(lambda: recorded.customers_imported(slug, given.total)):
                report = import_customers(
                    publication_by_slug(slug),
                    given,
                    notify=values["notify"] == "yes",
                    dry_run=not is_meant,
                )
            if not may("support"):
                report = report.without_customers()
    page = render_template(
        "admin/import.html",
        publication=publication_by_slug(slug) if report else publication,
        values=values,
        errors=errors,
        report=report,
        is_done=report is not None and is_meant,
        remarks=report.remarks[:MOST_LINES] if report else [],
        reasons=[(kind, len(rows), rows[:MOST_LINES]) for kind, rows in report.by_reason()]
        if report
        else [],
        largest=LARGEST_FILE,
    )
    return page, status(errors)


def _read(values: Typed, title: str) -> CustomerRows:
    file = request.files.get("file")
    if file is None or not file.filename:
        raise FileUnclear("Choose a CSV file.")
    data = file.stream.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise FileUnclear(
            "This file is too large for a page. Ask who looks after the server to bring it in."
        )
    columns = {name: values[f"{name}_column"].strip() for name in COLUMNS}
    chosen = {name: heading for name, heading in columns.items() if heading}
    return read_customers(data, chosen, values["item"].strip() or title)
