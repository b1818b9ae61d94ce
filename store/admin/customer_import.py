"""Customers who bought elsewhere, brought in from a spreadsheet's file through the desk.

Editors bring a list in without learning from it who is a customer: of rows whose people have the
publication already they see no count, no name, and none of their own file's. The files of others
name people, so they are closed to them.
"""

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for

from store.catalog.editions import newest_editions
from store.catalog.publications import publication_by_slug
from store.distribution import imports
from store.distribution.csv_choice import MEANINGS, columns_of
from store.distribution.csv_columns import FileUnclear
from store.distribution.models import CustomerImport
from store.kit.database import transaction
from store.kit.forms import Typed, place_in_list, status, typed
from store.kit.spreadsheets import csv_file
from store.staff import audit, recorded
from store.staff.acts import Act
from store.staff.guard import EDITORS, may, opens_to, signed_in, takes
from store.staff.people import everybody

bp = Blueprint("customer_import", __name__, url_prefix="/admin/publications/<slug>/import")


@bp.route("", methods=["GET", "POST"])
@opens_to(EDITORS)
@takes(lambda: imports.LARGEST_FILE + 100_000)
def choose_file(slug: str) -> Any:
    """Choose a file, which is looked at before anything is written; files of before."""
    publication, errors = publication_by_slug(slug), {}
    if request.method == "POST":
        try:
            name, data = _file()
            found = imports.open_import(publication, signed_in().id, name, data)
            with transaction() as session:
                session.add(found)
                audit.record(Act.CUSTOMERS_LOOKED_AT, publication_by_slug(slug))
                session.flush()
                import_id = found.id
            return redirect(_url(slug, import_id), 303)
        except FileUnclear as refusal:
            errors = {"file": refusal.sentence}
            publication = publication_by_slug(slug)
    page = imports.list_imports(publication, place_in_list(), staff_id=_whose())
    answer = render_template(
        "admin/import.html",
        publication=publication,
        errors=errors,
        largest=imports.LARGEST_FILE,
        page=page.linked(lambda **there: url_for(".choose_file", slug=slug, **there)),
        names={one.id: one.email for one in everybody()},
    )
    return answer, status(errors)


@bp.route("/<int:import_id>", methods=["GET", "POST"])
@opens_to(EDITORS)
def one(slug: str, import_id: int) -> Any:
    """What stands in a file and what would become of it; let it in, stop, go on."""
    errors: dict[str, str] = {}
    if request.method == "POST":
        values = typed()
        errors = _press(slug, import_id, values)
        if not errors:
            return redirect(_url(slug, import_id), 303)
    found = imports.import_of(publication_by_slug(slug), import_id, staff_id=_whose())
    return _page(slug, found, errors), status(errors)


@bp.get("/<int:import_id>/left-out.csv")
@opens_to(EDITORS)
def left_out(slug: str, import_id: int) -> Response:
    """Every row that is left out, with its line and the reason."""
    found = imports.import_of(publication_by_slug(slug), import_id, staff_id=_whose())
    # Made whole, so that a file that was forgotten is refused on a page.
    rows = list(imports.left_out_csv(found, with_customers=may("support")))
    return csv_file(rows, f"left-out-{import_id}.csv")


def _whose() -> int | None:
    """Whose files are open to who is signed in: their own alone, or None for everybody's."""
    return None if may("support") else signed_in().id


def _file() -> tuple[str, bytes]:
    file = request.files.get("file")
    if file is None or not file.filename:
        raise FileUnclear("Choose a CSV file.")
    data = file.stream.read(imports.LARGEST_FILE + 1)
    if len(data) > imports.LARGEST_FILE:
        raise FileUnclear("This file has more than 5 MB. Cut it in two.")
    return file.filename, data


def _press(slug: str, import_id: int, values: Typed) -> dict[str, str]:
    columns, errors = _columns(values)
    if errors:
        return errors
    act, notify = values["act"], values.is_ticked("notify")
    found = imports.import_of(publication_by_slug(slug), import_id, staff_id=_whose())
    is_changed = act == "start" and bool(columns) and columns != found.columns
    if act == "look" or is_changed:
        _look_again(slug, found, columns, values)
        if is_changed:
            flash("You changed the columns. This is what would happen now; nothing is written yet.")
        return {}
    with transaction():
        publication = publication_by_slug(slug)
        found = imports.import_of(publication, import_id, staff_id=_whose())
        if act == "start":
            imports.start(found, notify=notify)
            recorded.customers_imported(slug, found.looked["total"])
        elif act == "stop":
            imports.stop(found)
            audit.record(Act.IMPORT_STOPPED, publication)
    return {}


def _look_again(slug: str, found: CustomerImport, columns: dict[str, str], values: Typed) -> None:
    item = found.item
    if values["act"] == "look":
        item = values.cut("item", 200).strip() or publication_by_slug(slug).title
    # Before the transaction: to read a long file takes seconds, and nobody else could write.
    looked = imports.look(found.publication_id, found.data, columns, item)
    with transaction():
        publication = publication_by_slug(slug)
        found = imports.import_of(publication, found.id, staff_id=_whose())
        imports.choose(found, columns, item, looked, notify=values.is_ticked("notify"))
        audit.record(Act.CUSTOMERS_LOOKED_AT, publication)


def _columns(values: Typed) -> tuple[dict[str, str], dict[str, str]]:
    """A heading for each meaning, as chosen; and where two columns are one thing."""
    columns, errors = dict[str, str](), dict[str, str]()
    for place in range(len([name for name in values if name.startswith("heading")])):
        meaning, heading = values[f"meaning{place}"], values[f"heading{place}"]
        if not meaning or meaning not in MEANINGS:
            continue
        if meaning in columns:
            errors[f"meaning{place}"] = (
                f"“{columns[meaning]}” and “{heading}” are both the {MEANINGS[meaning]}. "
                "Choose one of them."
            )
        columns[meaning] = heading
    if not columns:
        return {}, errors
    return {meaning: columns.get(meaning, "") for meaning in MEANINGS if meaning}, errors


def _page(slug: str, found: CustomerImport, errors: dict[str, str]) -> str:
    values = typed() if errors else Typed()
    newest = newest_editions([found.publication_id]).get(found.publication_id, {})
    columns = columns_of(found.data, found.columns) if found.data is not None else None
    return render_template(
        "admin/import_file.html",
        publication=publication_by_slug(slug),
        found=found,
        columns=columns,
        meanings=list(MEANINGS.items()),
        values=values,
        errors=errors,
        newest=newest.get("released"),
        knows=may("support"),
        url=_url(slug, found.id),
    )


def _url(slug: str, import_id: int) -> str:
    return url_for("customer_import.one", slug=slug, import_id=import_id)
