"""Publications: listed, added, changed, put on sale, retired; their covers."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.catalog import editions, publications, uploads
from store.catalog.models import VatTreatment
from store.entitlements.access import count_customers
from store.kit.database import end_read, transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Reader, Typed, of_row, place_in_list, status, typed
from store.kit.money import to_decimal
from store.orders.consents import promise_in_words
from store.payments import promised as promises
from store.payments.date_moves import change_details
from store.staff import audit, recorded
from store.staff.acts import Act
from store.staff.guard import EDITORS, STAFF, opens_to, takes, who
from store.stories.timeline import publication_story

bp = Blueprint("publications", __name__, url_prefix="/admin/publications")

TEXTS = (
    "title",
    "subtitle",
    "author",
    "language",
    "isbn",
    "description",
    "contents",
    "audience",
    "planned_formats",
    "planned_length",
    "planned_access",
    "currency",
    "vat_treatment",
)
LARGEST_FORM = 500_000  # bytes: descriptions may be long


@bp.get("")
@opens_to(STAFF)
def all() -> Any:
    """Every publication, drafts and retired ones too."""
    page = publications.list_publications(place_in_list())
    return render_template(
        "admin/publications.html",
        page=page.linked(lambda **there: url_for("publications.all", **there)),
        editions=editions.newest_editions([one.id for one in page.rows]),
    )


@bp.route("/new", methods=["GET", "POST"])
@opens_to(EDITORS)
@takes(lambda: LARGEST_FORM)
def new() -> Any:
    """A new publication, a draft that nobody sees yet."""
    fresh = Typed(currency="GBP", language="en-GB", vat_treatment=VatTreatment.ZERO_RATED)
    values = typed() if request.method == "POST" else fresh
    errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            fields = _read(values)
            with transaction():
                added = publications.add_publication(values["slug"].strip(), **fields)
                audit.record(Act.PUBLICATION_ADDED, added, after=recorded.publication_facts(added))
                slug = added.slug
        except (InvalidFields, publications.SlugTaken) as refusal:
            errors = _faults(refusal)
        else:
            flash("The publication is added. Nobody sees it until you put it on sale.")
            return redirect(url_for("publications.one", slug=slug), 303)
    page = render_template(
        "admin/publication_form.html", values=values, errors=errors, publication=None
    )
    return page, status(errors)


@bp.get("/<slug>")
@opens_to(STAFF)
def one(slug: str) -> Any:
    """One publication with its editions."""
    publication = publications.publication_by_slug(slug)
    waits = publications.is_preorder(publication)
    promised = publications.promised_date(publication) if waits else None
    its_editions = editions.editions_of(publication)
    return render_template(
        "admin/publication.html",
        publication=publication,
        editions=its_editions,
        expected=promise_in_words(promised) if promised else "",
        cover_sha256=publications.cover_of(publication),
        customers=count_customers(publication.id),
        has_date=waits,
        moves=publications.moves_of(publication.id)[::-1],
        events=publication_story(publication, its_editions),
    )


@bp.route("/<slug>/edit", methods=["GET", "POST"])
@opens_to(EDITORS)
@takes(lambda: LARGEST_FORM)
def edit(slug: str) -> Any:
    """Change a publication. Orders keep title and price as they were."""
    publication = publications.publication_by_slug(slug)
    values = of_row(publication, (*TEXTS, "slug", "expected_on", "updates_months"))
    values["price"] = str(to_decimal(publication.price_amount, publication.currency))
    promised = promises.count_promised(publication.id)
    errors = {}
    if request.method == "POST":
        values = typed()
        if "expected_on" not in values:
            values["expected_on"] = str(publication.expected_on or "")
        try:
            fields = _read(values)
            with transaction():
                found = publications.publication_by_slug(slug)
                was = recorded.publication_facts(found)
                change_details(found, fields, who())
                now = recorded.publication_facts(found)
                audit.record(Act.PUBLICATION_CHANGED, found, before=was, after=now)
        except InvalidFields as refusal:
            errors = _faults(refusal)
        else:
            flash("Saved.")
            return redirect(url_for("publications.one", slug=slug), 303)
    page = render_template(
        "admin/publication_form.html",
        values=values,
        errors=errors,
        publication=publication,
        promised=promised,
    )
    return page, status(errors)


@bp.post("/<slug>/sale")
@opens_to(EDITORS)
def put_on_sale(slug: str) -> Any:
    """Put a publication on sale."""
    with transaction():
        found = publications.publication_by_slug(slug)
        publications.put_on_sale(found, who())
        audit.record(Act.PUBLICATION_LISTED, found)
    flash("It is on sale.")
    return redirect(url_for("publications.one", slug=slug), 303)


@bp.route("/<slug>/retire", methods=["GET", "POST"])
@opens_to(EDITORS)
def retire(slug: str) -> Any:
    """Take a publication off sale, after a page that says what that means."""
    publication = publications.publication_by_slug(slug)
    if request.method == "POST":
        with transaction():
            found = publications.publication_by_slug(slug)
            publications.retire(found, who())
            audit.record(Act.PUBLICATION_RETIRED, found)
        flash("It is no longer sold. Its customers keep what they have.")
        return redirect(url_for("publications.one", slug=slug), 303)
    return render_template("admin/publication_retire.html", publication=publication)


@bp.route("/<slug>/cover", methods=["GET", "POST"])
@opens_to(EDITORS)
@takes(lambda: uploads.LARGEST_BYTES + 100_000)
def cover(slug: str) -> Any:
    """Upload a cover, or go back to page one of the newest PDF."""
    publication = publications.publication_by_slug(slug)
    errors = {}
    if request.method == "POST":
        end_read()
        try:
            digest = None if "give_up" in request.form else _uploaded_cover()
        except uploads.PictureRefused as refusal:
            errors = {"cover": refusal.sentence}
            publication = publications.publication_by_slug(slug)
        else:
            with transaction():
                found = publications.publication_by_slug(slug)
                found.cover_sha256 = digest
                audit.record(Act.COVER_CHANGED, found)
            flash("The cover is changed.")
            return redirect(url_for("publications.one", slug=slug), 303)
    page = render_template(
        "admin/cover.html", publication=publication, errors=errors, largest=uploads.LARGEST_BYTES
    )
    return page, status(errors)


def _read(values: Typed) -> dict[str, Any]:
    """The fields as the rules take them. Refuses (`InvalidFields`) what cannot be read at all."""
    reader = Reader(values)
    fields: dict[str, Any] = {name: values[name] for name in TEXTS}
    fields["expected_on"] = reader.day(
        "expected_on", f"“{values['expected_on'][:40]}” is not a day of the calendar."
    )
    fields["updates_months"] = reader.number(
        "updates_months", "Enter a number of months, or leave it empty."
    )
    fields["price_amount"] = reader.price("price", "currency")
    if values["vat_treatment"] not in set(VatTreatment):
        reader.faults["vat_treatment"] = "Choose what the price holds of VAT."
    reader.check()
    return fields


def _faults(refusal: InvalidFields | publications.SlugTaken) -> dict[str, str]:
    if isinstance(refusal, publications.SlugTaken):
        return {"slug": refusal.sentence}
    names = {"price_amount": "price", "new_on": "expected_on"}
    return {names.get(name, name): words for name, words in refusal.faults.items()}


def _uploaded_cover() -> str:
    file = request.files.get("cover")
    if file is None or not file.filename:
        raise uploads.PictureRefused("Choose a PNG or JPEG.")
    return uploads.store_cover(file.stream.read(uploads.LARGEST_BYTES + 1))
