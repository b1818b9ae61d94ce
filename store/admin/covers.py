"""The cover of a publication: shown, replaced, given up."""

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for

from store.catalog import publications
from store.catalog.uploads import LARGEST_BYTES, CoverRefused, store_cover
from store.kit.database import end_read, transaction
from store.kit.errors import NotFound
from store.kit.forms import status
from store.kit.storage import storage
from store.staff.guard import EDITORS, STAFF, opens_to, takes

bp = Blueprint("covers", __name__, url_prefix="/admin/publications/<slug>")


@bp.route("/cover", methods=["GET", "POST"])
@opens_to(EDITORS)
@takes(lambda: LARGEST_BYTES + 100_000)
def replace(slug: str) -> Any:
    """Upload a cover, or go back to page one of the newest PDF."""
    publication = publications.publication_by_slug(slug)
    errors = {}
    if request.method == "POST":
        end_read()
        try:
            digest = None if "give_up" in request.form else _uploaded()
        except CoverRefused as refusal:
            errors = {"cover": refusal.sentence}
            publication = publications.publication_by_slug(slug)
        else:
            with transaction():
                publications.publication_by_slug(slug).cover_sha256 = digest
            flash("The cover is changed.")
            return redirect(url_for("publications.one", slug=slug), 303)
    page = render_template(
        "admin/cover.html", publication=publication, errors=errors, largest=LARGEST_BYTES
    )
    return page, status(errors)


@bp.get("/cover.png")
@opens_to(STAFF)
def picture(slug: str) -> Any:
    """The picture, also of a publication that is not on sale."""
    digest = publications.cover_of(publications.publication_by_slug(slug))
    end_read()
    try:
        return Response(storage().read(f"covers/{digest}"), content_type="image/png")
    except FileNotFoundError:
        raise NotFound from None


def _uploaded() -> str:
    file = request.files.get("cover")
    if file is None or not file.filename:
        raise CoverRefused("Choose a PNG or JPEG.")
    return store_cover(file.stream.read(LARGEST_BYTES + 1))
