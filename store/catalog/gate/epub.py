"""What is in an EPUB: kind, archive, protection, package, pages, links, then facts and cover; last
what in it is no part of the book."""

from pathlib import Path

from store.catalog.gate.cover import cover_from
from store.catalog.gate.epub_extras import look_at_extras
from store.catalog.gate.epub_facts import note_facts
from store.catalog.gate.epub_kind import CONTAINER, look_at_kind
from store.catalog.gate.epub_links import follow_links
from store.catalog.gate.epub_package import Package, read_package
from store.catalog.gate.epub_pages import Pages, read_pages
from store.catalog.gate.epub_repair import out_of_order, repair
from store.catalog.gate.epub_xml import read_xml
from store.catalog.gate.epub_zip import Archive, open_archive, verify_contents
from store.catalog.gate.notes import Notes

_DRM_FILES = frozenset({"meta-inf/rights.xml", "meta-inf/license.lcpl", "meta-inf/sinf.xml"})
_TELLING = 80
_FONT_OBFUSCATION = frozenset(
    {"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"}
)


def inspect_epub(path: Path, notes: Notes, cover: Path, repaired: Path) -> None:
    """Write everything worth knowing about this EPUB into the notebook.

    The cover goes to `cover`. Where the mimetype entry is out of place, the file in order goes
    to `repaired`.
    """
    with path.open("rb") as stream:
        look_at_kind(stream, notes)
        archive = open_archive(stream, notes)
        if CONTAINER not in archive.by_name:
            notes.refuse("epub-no-package")
        verify_contents(archive, notes)
        if notes.has_failed:
            return
        notes.add("type-epub")
        notes.add("epub-container", entries=len(archive.entries))
        notes.facts["entries"] = len(archive.entries)
        _look_for_protection(archive, notes)
        _look_at_book(archive, notes, cover)
        fault = out_of_order(archive)
        if fault and not notes.has_failed:
            repair(archive, repaired)
            notes.add("epub-repaired", fault=fault)


def _look_at_book(archive: Archive, notes: Notes, cover: Path) -> None:
    package = read_package(archive, _package_name(archive, notes), notes)
    pages = read_pages(archive, package, notes)
    reached = follow_links(archive, package, pages, notes)
    note_facts(package, pages, notes)
    _note_text(package, pages, notes)
    look_at_extras(archive, package, reached, notes)
    if package.cover in archive.by_name and not package.cover.lower().endswith(".svg"):
        made = cover_from(archive.read(package.cover), cover)
        notes.add("cover-made" if made else "cover-unreadable")


def _look_for_protection(archive: Archive, notes: Notes) -> None:
    """Copy protection: licence files, or any encryption but that of fonts."""
    for name in archive.by_name:
        encrypts = name.lower() == "meta-inf/encryption.xml"
        if name.lower() in _DRM_FILES or (encrypts and not _only_fonts(archive, name, notes)):
            notes.add("epub-drm", name=name)
    notes.passes("epub-unprotected", unless=("epub-drm",))


def _only_fonts(archive: Archive, name: str, notes: Notes) -> bool:
    root = read_xml(archive, name, notes)
    if root is None:
        return True
    methods = root.iter("{*}EncryptionMethod")
    return all(method.get("Algorithm") in _FONT_OBFUSCATION for method in methods)


def _package_name(archive: Archive, notes: Notes) -> str:
    root = read_xml(archive, CONTAINER, notes)
    found = root.iter("{*}rootfile") if root is not None else ()
    names = (archive.find(str(one.get("full-path", ""))) for one in found)
    return next((name for name in names if name), None) or notes.refuse("epub-no-package")


def _note_text(package: Package, pages: Pages, notes: Notes) -> None:
    notes.facts["words"] = sum(page.words for page in pages.values())
    samples = [pages[name].sample for name in package.spine if name in pages]
    # Title pages hold a line or two; the first real page says more.
    telling = (sample for sample in samples if len(sample) > _TELLING)
    notes.facts["text_sample"] = next(telling, max(samples, key=len, default=""))
