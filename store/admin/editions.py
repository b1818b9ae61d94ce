"""Editions: uploaded, described, their files opened; `releases` has their page."""

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for

from store.catalog import editions, uploads
from store.catalog.models import Edition, Publication
from store.catalog.publications import publication_by_slug
from store.kit.config import config
from store.kit.database import end_read, transaction
from store.kit.errors import InvalidFields, NotFound
from store.kit.forms import Typed, of_row, status, typed
from store.kit.storage import storage
from store.kit.web import FRAMING_POLICY
from store.staff import audit, recorded
from store.staff.acts import Act
from store.staff.guard import EDITORS, STAFF, opens_to, takes

bp = Blueprint("editions", __name__, url_prefix="/admin/publications/<slug>")

SEVERITIES = (
    (
        "law",
        "The law or the rules have changed",
        "Anybody who still works from the old edition may do wrong.",
    ),
    ("guidance", "Guidance has changed", "Worth reading soon."),
    (
        "minor",
        "Small changes",
        "Corrections and better wording. Who asked for what matters only is not told.",
    ),
)
TEXTS = ("label", "notes", "severity")
CHANGED = (*TEXTS, "correction")
# Notes that are too long come back with what was typed, if they are not longer than this.
LARGEST_TEXT = 8_000_000
NOTES_HINT = (
    "Customers read this in the letter and in their library. Markdown: a hyphen begins a list, stars "
    "make it *stand out*, and an address becomes a link. A letter holds about 10,000 words; longer "
    "notes are cut there between two paragraphs, and a link leads on to the library."
)


def largest_upload() -> int:
    """Two files, one of each format, and the words beside them."""
    return 2 * config().max_upload + 1_000_000


@bp.route("/upload", methods=["GET", "POST"])
@opens_to(EDITORS)
@takes(largest_upload)
def upload(slug: str) -> Any:
    """New files: into the draft edition, or the beginning of the next."""
    publication = publication_by_slug(slug)
    if request.method != "POST":
        return _upload_page(publication, Typed(severity="minor"), {}, [])
    if fault := editions.notes_fault(request.form.get("notes", "")):
        return _upload_page(publication, typed(), {"notes": fault}, [])
    title = publication.title
    end_read()  # the gate takes its time
    received, refused, errors = _receive_all()
    if not errors:
        try:
            given = {name: request.form.get(name) for name in TEXTS}
            with transaction():
                publication = publication_by_slug(slug)
                draft = editions.upload_edition(publication, received, **given)
                recorded.edition_uploaded(draft, received)
                number = draft.number
        except (InvalidFields, editions.UploadRefused) as refusal:
            faults = getattr(refusal, "faults", {"files": refusal.sentence})
            return _upload_page(publication_by_slug(slug), typed(), faults, [])
        flash(f"The files of edition {number} of “{title}” are in. Nothing is sent yet.")
        return redirect(url_for("releases.one", slug=slug, number=number), 303)
    return _upload_page(publication_by_slug(slug), typed(), errors, refused)


@bp.route("/editions/<int:number>/edit", methods=["GET", "POST"])
@opens_to(EDITORS)
@takes(lambda: LARGEST_TEXT)
def edit(slug: str, number: int) -> Any:
    """Label, notes and severity, while it is a draft."""
    edition = find(slug, number)
    values, errors = of_row(edition, CHANGED), {}
    if request.method == "POST":
        values = typed()
        try:
            with transaction():
                found = find(slug, number)
                was = audit.facts_of(found, CHANGED)
                # A form without the field leaves it as it is.
                given = {name: values[name] for name in CHANGED if name in values}
                editions.edit_edition(found, **given)
                now = audit.facts_of(found, CHANGED)
                audit.record(Act.EDITION_DESCRIBED, found, before=was, after=now)
        except InvalidFields as refusal:
            errors = refusal.faults
        else:
            flash("Saved.")
            return redirect(url_for("releases.one", slug=slug, number=number), 303)
    page = render_template(
        "admin/edition_form.html",
        edition=edition,
        publication=edition.publication,
        values=values,
        errors=errors,
        severities=SEVERITIES,
        notes_hint=NOTES_HINT,
        told=editions.look_at_notes(values["notes"]) if not errors else [],
        replaced=editions.withdrawn_before(edition),
    )
    return page, status(errors)


@bp.get("/editions/<int:number>/files/<format>")
@opens_to(STAFF)
def file(slug: str, number: int, format: str) -> Any:
    """One file, as customers get it."""
    found = [asset for asset in find(slug, number).assets if asset.format == format]
    if not found:
        raise NotFound
    asset = found[0]
    name, key, size = editions.asset_filename(asset), f"assets/{asset.sha256}", asset.size
    end_read()
    answer = Response(storage().chunks(key, 0, size), content_type=editions.media_type(format))
    answer.content_length = size
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def find(slug: str, number: int) -> Edition:
    """The edition of an address. Refuses with 404."""
    return editions.edition_by_number(publication_by_slug(slug), number)


def files_shown(edition: Edition) -> list[dict[str, Any]]:
    """The files of an edition, as the templates want them."""
    return [
        {
            "format": asset.format.upper(),
            "size": asset.size,
            "pages": asset.facts.get("pages") or 0,
            "sha256": asset.sha256,
            "uploaded_sha256": asset.uploaded_sha256,
            "url": url_for(
                "editions.file",
                slug=edition.publication.slug,
                number=edition.number,
                format=asset.format,
            ),
        }
        for asset in edition.assets
    ]


def _upload_page(
    publication: Publication, values: Typed, errors: dict[str, str], refused: list[str]
) -> Any:
    draft = editions.draft_of(publication.id)
    page = render_template(
        "admin/upload.html",
        publication=publication,
        draft=draft,
        values=values,
        errors=errors,
        refused=refused,
        severities=SEVERITIES,
        notes_hint=NOTES_HINT,
        largest=config().max_upload,
    )
    # Where scripts run, the draft's page with its letter takes the place of this one.
    return page, status(errors), {"Content-Security-Policy": FRAMING_POLICY}


def _receive_all() -> tuple[list[uploads.ReceivedFile], list[str], dict[str, str]]:
    """Every chosen file through the gate: those taken, why others are refused, the error."""
    chosen = [file for file in request.files.getlist("files") if file.filename]
    if not chosen:
        return [], [], {"files": "Choose a PDF or an EPUB to upload."}
    received: list[uploads.ReceivedFile] = []
    refused: list[str] = []
    for file in chosen:
        try:
            name = file.filename or "The file"
            received.append(uploads.receive_file(file.stream, name=name))  # type: ignore[arg-type]
        except uploads.NoSpaceForFile as refusal:
            return received, refused, {"files": refusal.sentence}
        except uploads.FileRefused as refusal:
            refused += [f"{refusal.name}: {one.sentence}" for one in refusal.report.failures]
    return received, refused, {"files": refused[0]} if refused else {}
