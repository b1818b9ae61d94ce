"""The editions of a publication: the page of all of them, and a feed (Atom, RFC 4287) of the newest for
those who would rather not leave an address."""

import hashlib
import re
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from flask import Blueprint, Response, render_template, request

from store.catalog.editions import edition_out, released_editions
from store.catalog.sellers import current_seller
from store.kit.config import config
from store.kit.formatting import format_day
from store.kit.forms import place_in_list
from store.kit.kept_pages import kept_pages
from store.kit.markup import render_markdown
from store.kit.web import public_page
from store.storefront.history import PastEdition
from store.storefront.notes import edition_asked_for, notes_page
from store.storefront.publication import on_sale, show, sold
from store.storefront.window_rows import InWindow, read_window, rows_in_window

bp = Blueprint("past_editions", __name__)

_ATOM = "http://www.w3.org/2005/Atom"
# What no XML document may hold, however it is written.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@bp.get("/publications/<slug>/editions")
def all(slug: str) -> Response:
    """All editions that were ever out, with what changed, some at a time; or all that changed in one."""
    publication, place = on_sale(slug), place_in_list()
    if wanted := edition_asked_for():
        edition = edition_out(publication.id, wanted)
        back = f"/publications/{slug}/editions"
        return public_page(
            notes_page(edition, publication.title, back, back="All editions").get_data()
        )
    page = released_editions(publication.id, place)
    shown = show(publication)
    newest = shown.edition
    path = f"/publications/{slug}/editions"
    return public_page(
        render_template(
            "storefront/editions.html",
            shown=shown,
            publication=publication,
            seller=current_seller(),
            path=path,
            newest=newest.number if newest else None,
            editions=PastEdition.of_page(page.rows),
            page=page.linked(lambda **there: f"{path}?{urlencode(there)}"),
            canonical_url=config().base_url + path + (place.query if page.previous else ""),
        )
    )


@bp.get("/publications/<slug>/editions.atom")
def feed(slug: str) -> Response:
    """The feed, written once for as long as its rows stay the same, and sent once to each reader."""
    rows = rows_in_window(slug)
    text = kept_pages().page(f"{slug}/editions.atom", rows, lambda: written(read_window(rows)))
    answer = public_page(text)
    answer.content_type = "application/atom+xml; charset=utf-8"
    answer.set_etag(hashlib.sha256(text).hexdigest()[:32])
    answer.make_conditional(request)
    return answer


def written(found: InWindow) -> str:
    """The feed of what was found. It names whom the shop's pages name, and nobody who bought."""
    publication, history = sold(found.publication), found.history
    page = f"{config().base_url}/publications/{publication.slug}"
    changed = [one.withdrawn_at or one.released_at for one in history.editions]
    root = ET.Element("feed", {"xmlns": _ATOM, "xml:lang": "en-GB"})
    _say(root, "id", f"{page}/editions.atom")
    _say(root, "title", f"Editions of {publication.title}")
    _say(root, "updated", max(changed, default=publication.created_at).isoformat())
    _link(root, "self", "application/atom+xml", f"{page}/editions.atom")
    _link(root, "alternate", "text/html", page)
    author = ET.SubElement(root, "author")
    _say(author, "name", publication.author or found.seller.trading_name)
    for edition in history.editions:
        _add_entry(root, edition, page)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode")


def _add_entry(feed: ET.Element, edition: PastEdition, page: str) -> None:
    entry = ET.SubElement(feed, "entry")
    gone = edition.withdrawn_at
    # Its address says which edition it is of, for as long as the shop has this name.
    _say(entry, "id", f"{page}/editions.atom#{edition.number}")
    _say(entry, "title", f"{edition.name} (withdrawn)" if gone else edition.name)
    _say(entry, "published", edition.released_at.isoformat())
    _say(entry, "updated", (gone or edition.released_at).isoformat())
    _link(entry, "alternate", "text/html", f"{page}#edition-{edition.number}")
    if gone:
        _say(
            entry, "summary", f"Withdrawn on {format_day(gone)}, because something in it was wrong."
        )
    elif edition.notes:
        html = str(render_markdown(edition.notes, config().base_url))
        all_of_it = (
            f'<p><a href="{page}/editions?edition={edition.number}">All that changed</a></p>'
        )
        more = all_of_it if edition.is_cut else ""
        _say(entry, "content", html + more, type="html")
    else:
        _say(entry, "summary", f"Published on {format_day(edition.released_at)}.")


def _link(parent: ET.Element, rel: str, media: str, href: str) -> None:
    ET.SubElement(parent, "link", {"rel": rel, "type": media, "href": href})


def _say(parent: ET.Element, name: str, words: str, **attributes: str) -> None:
    ET.SubElement(parent, name, attributes).text = _NOT_IN_XML.sub("", words)
