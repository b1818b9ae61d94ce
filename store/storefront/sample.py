"""The free sample of a publication: chapters to read in the page, and its files. For everybody, and
never anything but the sample."""

from urllib.parse import urlencode

from flask import Blueprint, Response, render_template, request
from markupsafe import Markup

from store.catalog import samples
from store.catalog.editions import media_type
from store.catalog.models import Publication, Sample
from store.kit.config import config
from store.kit.database import end_read
from store.kit.errors import NotFound
from store.kit.paging import id_in
from store.storefront.file_bytes import prepare
from store.storefront.publication import on_sale, show
from store.storefront.ranges import Representation

bp = Blueprint("sample", __name__)

_PUBLIC = {"Cache-Control": "public, max-age=0, must-revalidate"}


class NoSample(NotFound):
    """A publication without a sample, or a sample without that part."""

    heading = "No such sample"
    sentence = "There is no sample at this address."


@bp.get("/publications/<slug>/sample")
def read(slug: str) -> Response:
    """One chapter of the sample, or its files where there is nothing to read in a page."""
    publication, files = _found(slug)
    wanted = id_in(request.args.get("chapter", "1")) or 0
    book = next((one for one in files if one.chapters), None)
    chapters = samples.chapters_of(book.id, wanted) if book else []
    chapter = next((one for one in chapters if one.number == wanted), None)
    if chapter is None and (book or wanted != 1):
        raise NoSample
    shown = show(publication)
    page = render_template(
        "storefront/sample.html",
        shown=shown,
        publication=publication,
        files=files,
        chapter=chapter,
        # Cleaned as it came in, and written by nobody else.
        html=Markup(chapter.html) if chapter else "",  # noqa: S704
        chapters=[(one, _address(shown.path, one.number)) for one in chapters],
        canonical_url=config().base_url + _address(shown.path, wanted),
        og_type="book",
        og_image_url=config().base_url + shown.cover_url if shown.cover_url else "",
    )
    answer = Response(page, headers=_PUBLIC)
    answer.add_etag()
    answer.make_conditional(request)
    return answer


@bp.get("/publications/<slug>/sample/<filename>")
def file(slug: str, filename: str) -> Response:
    """A file of the sample, whole or in part."""
    _, files = _found(slug)
    found = [one for one in files if samples.sample_filename(slug, one.format) == filename]
    if not found:
        raise NoSample
    kind = media_type(found[0].format)
    sending = prepare(Representation(found[0].size, found[0].sha256, found[0].put_at))
    end_read()
    return sending.response(kind, filename, _PUBLIC)


def _found(slug: str) -> tuple[Publication, list[Sample]]:
    """The listed publication and the files of its sample. Refuses as `on_sale`, and `NoSample`."""
    publication = on_sale(slug)
    files = samples.samples_of(publication.id)
    if not files:
        refusal = NoSample()
        refusal.way_out = (f"/publications/{slug}", "See the publication")
        raise refusal
    return publication, files


def _address(path: str, number: int) -> str:
    query = urlencode({"chapter": number})
    return f"{path}/sample?{query}" if number > 1 else f"{path}/sample"
