"""The free sample of a publication: uploaded, made of pages or chapters of the newest edition, looked
at, taken away."""

import re
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for

from store.catalog import samples, uploads
from store.catalog.editions import media_type
from store.catalog.models import Asset, Publication
from store.catalog.publications import publication_by_slug
from store.kit.config import config
from store.kit.database import end_read, transaction
from store.kit.errors import NotFound
from store.kit.formatting import format_size
from store.kit.forms import Reader, Typed, status, typed
from store.kit.storage import storage
from store.staff import audit
from store.staff.acts import Act
from store.staff.guard import EDITORS, STAFF, opens_to, takes

bp = Blueprint("samples", __name__, url_prefix="/admin/publications/<slug>/sample")

ONE_CHAPTER = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
_REFUSALS = (samples.SampleRefused, uploads.FileRefused, uploads.NoSpaceForFile)


@bp.route("", methods=["GET", "POST"])
@opens_to(EDITORS)
@takes(lambda: 2 * config().max_upload + 1_000_000)
def sample(slug: str) -> Any:
    """What the sample is; upload a PDF, an EPUB or both."""
    publication = publication_by_slug(slug)
    if request.method != "POST":
        return _page(publication, Typed(), {})
    end_read()  # the gate takes its time
    chosen = [file for file in request.files.getlist("files") if file.filename]
    received, errors = [], {} if chosen else {"files": "Choose a PDF or an EPUB to upload."}
    for file in chosen:
        try:
            name = file.filename or "The file"
            received.append(samples.receive_sample(file.stream, name=name))  # type: ignore[arg-type]
        except _REFUSALS as refusal:
            errors.setdefault("files", refusal.sentence)
    if len({one.file.format for one in received}) < len(received):
        errors["files"] = "Two of these files have the same format. Upload one of each."
    return _kept(slug, received, errors, "files")


@bp.post("/pages")
@opens_to(EDITORS)
def pages(slug: str) -> Any:
    """Cut some pages out of the newest edition's PDF."""
    publication = publication_by_slug(slug)
    pdf = samples.newest_file(publication.id, "pdf")
    if pdf is None:
        raise NotFound("There is no PDF to choose pages from. Upload an edition first.")
    reader, sentence = Reader(typed()), "Enter the number of a page."
    first, last = reader.number("first", sentence), reader.number("last", sentence)
    if reader.faults or first is None or last is None:
        wrong = reader.faults or {("first" if first is None else "last"): sentence}
        return _page(publication, typed(), wrong)
    try:
        received = [samples.cut_sample(pdf, first, last)]
    except _REFUSALS as refusal:
        return _page(publication_by_slug(slug), typed(), {"first": refusal.sentence})
    return _kept(slug, received, {}, "first")


@bp.route("/chapters", methods=["GET", "POST"])
@opens_to(EDITORS)
def chapters(slug: str) -> Any:
    """Choose chapters of the newest edition's EPUB, under their names, and make a book of them."""
    epub = samples.newest_file(publication_by_slug(slug).id, "epub")
    if epub is None:
        raise NotFound("There is no EPUB to choose chapters from. Upload an edition first.")
    if request.method != "POST":
        return _chapters_page(slug, epub, set(), {})
    ticked = {int(one) for one in request.form.getlist("chapter") if ONE_CHAPTER.fullmatch(one)}
    try:
        if typed().matching("file", r"\d{1,9}") != str(epub.id):
            raise samples.SampleRefused(
                "A newer EPUB has come meanwhile. Choose from its chapters."
            )
        if not ticked:
            raise samples.SampleRefused("Tick the chapters that everybody may read.")
        received = samples.build_sample(epub, ticked)
        _put(slug, [received])
    except _REFUSALS as refusal:
        epub = samples.newest_file(publication_by_slug(slug).id, "epub")
        if epub is None:
            raise
        return _chapters_page(slug, epub, ticked, {"chapter": refusal.sentence})
    return _there(slug)


def _chapters_page(slug: str, epub: Asset, ticked: set[int], errors: dict[str, str]) -> Any:
    file_id, edition = epub.id, epub.edition.number
    try:
        found = samples.parts_of_book(epub)
    except samples.SampleRefused as refusal:
        found, errors = [], {"chapter": refusal.sentence}
    page = render_template(
        "admin/sample_chapters.html",
        publication=publication_by_slug(slug),
        file_id=file_id,
        edition=edition,
        chapters=found,
        ticked=ticked,
        errors=errors,
    )
    return page, status(errors)


@bp.post("/remove")
@opens_to(EDITORS)
def remove(slug: str) -> Any:
    """Take the sample of one format away."""
    format = typed().matching("format", "pdf|epub")
    with transaction():
        publication = publication_by_slug(slug)
        if samples.remove_sample(publication, format):
            audit.record(Act.SAMPLE_REMOVED, publication, before={"format": format.upper()})
    flash("The sample is taken away.")
    return redirect(url_for("samples.sample", slug=slug), 303)


@bp.get("/<format>")
@opens_to(STAFF)
def file(slug: str, format: str) -> Any:
    """The file, as everybody gets it, also before the publication is on sale."""
    found = [
        one for one in samples.samples_of(publication_by_slug(slug).id) if one.format == format
    ]
    if not found:
        raise NotFound
    key, size = f"assets/{found[0].sha256}", found[0].size
    end_read()
    answer = Response(storage().chunks(key, 0, size), content_type=media_type(format))
    answer.content_length = size
    name = samples.sample_filename(slug, format)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _kept(
    slug: str, received: list[samples.ReceivedSample], errors: dict[str, str], field: str
) -> Any:
    """Put what was received beside the publication, all of it or none; then the page again."""
    if not errors:
        try:
            _put(slug, received)
        except samples.SampleRefused as refusal:
            errors = {field: refusal.sentence}
        else:
            return _there(slug)
    return _page(publication_by_slug(slug), typed(), errors)


def _put(slug: str, received: list[samples.ReceivedSample]) -> None:
    with transaction():
        publication = publication_by_slug(slug)
        for one in received:
            put = samples.put_sample(publication, one)
            told = {put.format.upper(): format_size(put.size), "from": put.origin}
            audit.record(Act.SAMPLE_PUT, publication, after=told)


def _there(slug: str) -> Any:
    flash("The sample is there.")
    return redirect(url_for("samples.sample", slug=slug), 303)


def _page(publication: Publication, values: Typed, errors: dict[str, str]) -> Any:
    page = render_template(
        "admin/sample.html",
        publication=publication,
        samples=samples.samples_of(publication.id),
        pdf=samples.newest_file(publication.id, "pdf"),
        epub=samples.newest_file(publication.id, "epub"),
        values=values,
        errors=errors,
        largest=config().max_upload,
    )
    return page, status(errors)
