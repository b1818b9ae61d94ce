"""Publications: listed, added, changed, put on sale, retired."""

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.admin.lists import PAGE_SIZE, history
from store.catalog import publications
from store.catalog.editions import editions_of
from store.catalog.models import Edition, EditionStatus, Publication, VatTreatment
from store.entitlements.models import Entitlement
from store.kit.database import db, transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Reader, Typed, of_row, status, typed
from store.kit.money import InvalidPrice, parse_price, to_decimal
from store.kit.paging import paginate
from store.orders.consents import promise_in_words
from store.staff.guard import EDITORS, STAFF, opens_to, takes, who

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
    "currency",
    "vat_treatment",
)
LARGEST_FORM = 500_000  # bytes: descriptions may be long


@bp.get("")
@opens_to(STAFF)
def all() -> Any:
    """Every publication, drafts and retired ones too."""
    query = sa.select(Publication).order_by(Publication.title, Publication.id)
    page = paginate(query, request.args.get("page", 1, int), PAGE_SIZE)
    return render_template(
        "admin/publications.html",
        page=page.linked(lambda other: url_for("publications.all", page=other)),
        editions=_newest_editions([one.id for one in page.rows]),
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
            slug = _add(values)
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
    return render_template(
        "admin/publication.html",
        publication=publication,
        editions=editions_of(publication),
        expected=promise_in_words(promised) if promised else "",
        cover_url=url_for("covers.picture", slug=slug)
        if publications.cover_of(publication)
        else None,
        customers=_count_customers(publication.id),
        history=history(publications=[publication.id]),
    )


@bp.route("/<slug>/edit", methods=["GET", "POST"])
@opens_to(EDITORS)
@takes(lambda: LARGEST_FORM)
def edit(slug: str) -> Any:
    """Change a publication. Orders keep title and price as they were."""
    publication = publications.publication_by_slug(slug)
    values, errors = _stored(publication), {}
    if request.method == "POST":
        values = typed()
        try:
            _change(slug, values)
        except InvalidFields as refusal:
            errors = _faults(refusal)
        else:
            flash("Saved.")
            return redirect(url_for("publications.one", slug=slug), 303)
    page = render_template(
        "admin/publication_form.html", values=values, errors=errors, publication=publication
    )
    return page, status(errors)


@bp.post("/<slug>/sale")
@opens_to(EDITORS)
def put_on_sale(slug: str) -> Any:
    """Put a publication on sale."""
    with transaction():
        publications.put_on_sale(publications.publication_by_slug(slug), who())
    flash("It is on sale.")
    return redirect(url_for("publications.one", slug=slug), 303)


@bp.route("/<slug>/retire", methods=["GET", "POST"])
@opens_to(EDITORS)
def retire(slug: str) -> Any:
    """Take a publication off sale, after a page that says what that means."""
    publication = publications.publication_by_slug(slug)
    if request.method == "POST":
        with transaction():
            publications.retire(publications.publication_by_slug(slug), who())
        flash("It is no longer sold. Its customers keep what they have.")
        return redirect(url_for("publications.one", slug=slug), 303)
    return render_template("admin/publication_retire.html", publication=publication)


def _newest_editions(publication_ids: list[int]) -> dict[int, dict[str, Edition]]:
    """Per publication its newest `released` edition and its newest `draft` or scheduled one."""
    query = (
        sa.select(Edition)
        .where(
            Edition.publication_id.in_(publication_ids), Edition.status != EditionStatus.WITHDRAWN
        )
        .order_by(Edition.number)
    )
    found: dict[int, dict[str, Edition]] = {}
    for edition in db.session.scalars(query):
        kind = "released" if edition.status is EditionStatus.RELEASED else "draft"
        found.setdefault(edition.publication_id, {})[kind] = edition
    return found


def _count_customers(publication_id: int) -> int:
    """How many customers hold a right to a publication."""
    query = sa.select(sa.func.count(Entitlement.customer_id.distinct())).where(
        Entitlement.publication_id == publication_id, Entitlement.revoked_at.is_(None)
    )
    return db.session.scalar(query) or 0


def _add(values: Typed) -> str:
    fields = _read(values)
    with transaction():
        added = publications.add_publication(values["slug"].strip(), **fields)
        return added.slug


def _change(slug: str, values: Typed) -> None:
    fields = _read(values)
    with transaction():
        publications.edit_publication(publications.publication_by_slug(slug), **fields)


def _read(values: Typed) -> dict[str, Any]:
    """The fields as the rules take them. Refuses (`InvalidFields`) what cannot be read at all."""
    reader = Reader(values)
    fields: dict[str, Any] = {name: values[name] for name in TEXTS}
    fields["expected_on"] = reader.day("expected_on", "Enter the expected date like 2027-03-31.")
    fields["updates_months"] = reader.number(
        "updates_months", "Enter a number of months, or leave it empty."
    )
    try:
        fields["price_amount"] = parse_price(values["price"], values["currency"])
    except InvalidPrice as refusal:
        where = "currency" if "currency" in refusal.sentence.partition("“")[0] else "price"
        reader.faults[where] = refusal.sentence if values["price"].strip() else "Enter the price."
    if values["vat_treatment"] not in set(VatTreatment):
        reader.faults["vat_treatment"] = "Choose what the price holds of VAT."
    reader.check()
    return fields


def _faults(refusal: InvalidFields | publications.SlugTaken) -> dict[str, str]:
    if isinstance(refusal, publications.SlugTaken):
        return {"slug": refusal.sentence}
    names = {"price_amount": "price"}
    return {names.get(name, name): words for name, words in refusal.faults.items()}


def _stored(publication: Publication) -> Typed:
    values = of_row(publication, (*TEXTS, "slug", "expected_on", "updates_months"))
    price = to_decimal(publication.price_amount, publication.currency)
    return Typed(values | {"price": str(price)})
