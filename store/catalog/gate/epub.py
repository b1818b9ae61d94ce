"""What is in an EPUB: kind, archive, protection, package, pages, links, then facts and cover; last
what in it is no part of the book, and the order of its archive."""

import re
from pathlib import Path, PurePosixPath

from store.catalog.gate.cover import cover_from
from store.catalog.gate.epub_archive import (
    MIB,
    Archive,
    open_archive,
    out_of_order,
    repair,
    verify_contents,
)
from store.catalog.gate.epub_package import Package, note_facts, read_package, read_xml
from store.catalog.gate.epub_pages import Pages, count_features, follow_links, read_pages
from store.catalog.gate.kinds import CONTAINER, refuse_other_archives
from store.catalog.gate.report import Notebook

_DRM_FILES = frozenset({"meta-inf/rights.xml", "meta-inf/license.lcpl", "meta-inf/sinf.xml"})
_TELLING = 80
_FONT_OBFUSCATION = frozenset(
    {"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"}
)
_NAMED = 5
_APPLE_DOUBLE = (b"\x00\x05\x16\x07", b"\x00\x05\x16\x00")
_ACCOUNT = re.compile(rb"apple-?id|accountinfo|username|downloadinfo|purchasedate", re.IGNORECASE)
_READING = re.compile(r"META-INF/.*(bookmark|annotation)", re.IGNORECASE)
_OF_THE_FORMAT = re.compile(r"mimetype\Z|META-INF/", re.IGNORECASE | re.ASCII)
_LOCK = re.compile(r"~\$|\.~lock\.")
_HISTORY = frozenset({".git", ".svn", ".hg"})
_LEFT_BEHIND = re.compile(
    r"\.DS_Store|Thumbs\.db|desktop\.ini|ehthumbs\.db|\.directory|\.localized|Icon\r"
    r"|iTunesMetadata(?:-original)?\.plist|.*\.(?:bak|tmp|orig|swp)|.*~",
    re.IGNORECASE,
)
_CALIBRE = ("calibre:user_metadata", "calibre:annotation")


def inspect_epub(path: Path, notebook: Notebook, cover: Path, repaired: Path) -> None:
    """Write everything worth knowing about this EPUB into the notebook.

    The cover goes to `cover`. Where the mimetype entry is out of place, the file in order goes
    to `repaired`.
    """
    with path.open("rb") as stream:
        refuse_other_archives(stream, notebook)
        archive = open_archive(stream, notebook)
        if CONTAINER not in archive.by_name:
            notebook.refuse("epub-no-package")
        verify_contents(archive, notebook)
        if notebook.has_failed:
            return
        notebook.add("type-epub")
        notebook.add("epub-container", entries=len(archive.entries))
        notebook.facts["entries"] = len(archive.entries)
        _look_for_protection(archive, notebook)
        package = read_package(archive, notebook)
        pages = read_pages(archive, package, notebook)
        reached = follow_links(archive, package, pages, notebook)
        note_facts(package, count_features(package, pages), notebook)
        _note_text(package, pages, notebook)
        _look_at_extras(archive, package, reached, notebook)
        _look_for_calibre(package, notebook)
        if package.cover in archive.by_name and not package.cover.lower().endswith(".svg"):
            made = cover_from(archive.read(package.cover), cover)
            notebook.add("cover-made" if made else "cover-unreadable")
        fault = out_of_order(archive)
        if fault and not notebook.has_failed:
            repair(archive, repaired)
            notebook.add("epub-repaired", fault=fault)


def _look_for_protection(archive: Archive, notebook: Notebook) -> None:
    """Copy protection: licence files, or any encryption but that of fonts."""
    for name in archive.by_name:
        is_protected = name.lower() in _DRM_FILES
        if name.lower() == "meta-inf/encryption.xml":
            root = read_xml(archive, name, notebook)
            methods = root.iter("{*}EncryptionMethod") if root is not None else ()
            used = {method.get("Algorithm") for method in methods}
            is_protected = not used <= _FONT_OBFUSCATION
        if is_protected:
            notebook.add("epub-drm", name=name)
    notebook.passes("epub-unprotected", unless=("epub-drm",))


def _note_text(package: Package, pages: Pages, notebook: Notebook) -> None:
    notebook.facts["words"] = sum(page.words for page in pages.values())
    samples = [pages[name].sample for name in package.spine if name in pages]
    # Title pages hold a line or two; the first real page says more.
    telling = (sample for sample in samples if len(sample) > _TELLING)
    notebook.facts["text_sample"] = next(telling, max(samples, key=len, default=""))


def _look_at_extras(
    archive: Archive, package: Package, reached: set[str], notebook: Notebook
) -> None:
    """Warnings only: no reading app opens these, so none is judged as a page.

    `reached` are the names that something in the book leads to.
    """
    listed = {item.name for item in package.items.values()} | {package.name}
    leftovers, unlisted = [], []
    for entry in archive.entries:
        name = entry.name
        if name.endswith("/") or name in listed:
            continue
        if what := _private(archive, name):
            notebook.add("epub-private", name=name, what=what)
        elif name.startswith("__MACOSX/") or _LEFT_BEHIND.fullmatch(PurePosixPath(name).name):
            leftovers.append(name)
        elif name in reached:
            notebook.add("epub-unlisted-used", name=name)
        elif not _OF_THE_FORMAT.match(name):
            unlisted.append(name)
    if leftovers:
        notebook.add("epub-leftovers", names=_some(leftovers))
    if unlisted:
        notebook.add("epub-unlisted", names=_some(unlisted))


def _look_for_calibre(package: Package, notebook: Notebook) -> None:
    """Columns or notes in the package file: they tell of the person in whose library the book was."""
    metas = package.root.iter("{*}meta")
    named = (str(meta.get("name") or meta.get("property") or "") for meta in metas)
    if any(name.startswith(_CALIBRE) for name in named):
        what = "columns or notes of a calibre library"
        notebook.add("epub-private", name=package.name, what=what)


def _private(archive: Archive, name: str) -> str:
    """What a file tells of the person who made the book; empty where nothing is known of it."""
    path = PurePosixPath(name)
    if path.name.lower().startswith("itunesmetadata") and path.suffix.lower() == ".plist":
        return "an Apple account" if _ACCOUNT.search(_beginning(archive, name)) else ""
    if _READING.match(name):
        return "bookmarks and notes of a reading app"
    if path.name.startswith("._") and _beginning(archive, name).startswith(_APPLE_DOUBLE):
        return "what a Mac keeps about a file, such as where it was downloaded"
    if _LOCK.match(path.name):
        return "the name of the person who had a document open"
    return "the history of the author's files" if _HISTORY & set(path.parts) else ""


def _beginning(archive: Archive, name: str) -> bytes:
    held = b""
    for chunk in archive.chunks(archive.by_name[name]):
        held += chunk
        if len(held) > MIB:
            break
    return held


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
