"""What is in a PDF: its first and last bytes, protection, pages, objects, what it says of itself
(a claim to the public is noted only where the content bears it out); then cover and text by a second
program (pdfium).

A PDF that readers would have to repair is refused with the way out, never rewritten here: the
bytes that buyers get, with their tags, claims and signatures, are the ones that were uploaded.
"""

import os
import re
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pikepdf
import pypdfium2

from store.catalog.gate.cover import HIGHEST, WIDTH, save_cover
from store.catalog.gate.kinds import describe, holds_html, last_place
from store.catalog.gate.languages import is_language
from store.catalog.gate.pdf_objects import look_at_objects
from store.catalog.gate.report import Notebook, shorten
from store.catalog.gate.xml import Tree, parse_leniently

_ZIP_END = b"PK\x05\x06"
_ZIP_TAIL = 22 + 65535
_MARK = b"%%EOF"
# Acrobat and qpdf look for the mark in about the last kilobyte, pdfium in the last four.
_FARTHEST = 1024
_STEP = 1024 * 1024
# The beginning of an object: an update of the file, whose own end mark did not arrive.
_OBJECT = re.compile(rb"(?:^|[\r\n])\d+ \d+ obj\b")
_MOST_PAGES = 5000
_SMALLEST_SIDE = 8.0  # points
_LARGEST_SIDE = 28_800.0
_TEXT_SECONDS = 5.0
_SAMPLE = 600
_DC = "{http://purl.org/dc/elements/1.1/}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"
_PRISM = "{http://prismstandard.org/namespaces/basic/2.0/}"
_UA = "{http://www.aiim.org/pdfua/ns/id/}"
_A = "{http://www.aiim.org/pdfa/ns/id/}"
_NO_TITLE = re.compile(
    r"untitled|untitled document|document\d*|.*\.(docx?|odt|indd|tex)", re.IGNORECASE
)
_BOOKMARKS_FROM = 20
# Programs for layout note in the metadata where the pictures lay on the author's machine.
_PATH = re.compile(
    rb"[>\"'](?:file:/+)?((?:/Users/|/home/|[A-Za-z]:[\\/]Users[\\/])[^<>\"']{1,200})"
)
_TAGGED = {
    "whole": "pdf-tagged",
    "partly": "pdf-tags-partly",
    "empty": "pdf-tags-empty",
    "none": "pdf-untagged",
}
# A tagged book has some hundred elements a page; one with more than this gets no pass for it.
_MOST_ELEMENTS = 400_000
_MOST_BOOKMARKS = 1000

Tags = Literal["none", "empty", "partly", "whole"]


def inspect_pdf(path: Path, notebook: Notebook, cover: Path) -> None:
    """Write everything worth knowing about this PDF into the notebook, page one to `cover`."""
    _look_at_ends(path, notebook)
    try:
        document = pikepdf.open(path, attempt_recovery=False, suppress_warnings=True)
    except pikepdf.PasswordError:
        notebook.refuse("pdf-password")
    except (pikepdf.PdfError, ValueError, OverflowError):
        notebook.refuse("pdf-damaged")
    with document:
        if document.is_encrypted:
            notebook.refuse("pdf-restricted")
        notebook.add("type-pdf")
        notebook.add("pdf-unprotected")
        try:
            _look_at_pages(document, notebook)
            look_at_objects(document, notebook)
            _note_facts(document, notebook)
            warnings = [str(warning) for warning in document.get_warnings()]
        except (pikepdf.PdfError, ValueError, TypeError, OverflowError, KeyError, AttributeError):
            # Objects of another kind than the standard asks for in that place.
            notebook.refuse("pdf-damaged")
        if any("bad_alloc" in warning for warning in warnings):
            # What swells in an object stream is only a remark to qpdf, which goes on without it.
            raise MemoryError
        if warnings:
            notebook.add("pdf-odd", count=len(warnings))
        pages = len(document.pages)
    if not notebook.has_failed:
        _read_with_pdfium(path, pages, notebook, cover)


def _look_at_ends(path: Path, notebook: Notebook) -> None:
    """Refuse a PDF that is cut off, has something in front or behind, or is a second kind of file.
    A file that only mentions PDF in its first bytes is called what it is."""
    with path.open("rb") as stream:
        first = stream.read(1024)
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _ZIP_TAIL))
        last = stream.read()
        mark = last_place(stream, _MARK, size)
        end = None if mark is None else mark + len(_MARK)
        stream.seek(end or 0)
        behind = stream.read(_STEP)
    if not first.startswith(b"%PDF-") and (end is None or b"startxref" not in last):
        notebook.refuse("wrong-type", what=describe(first))
    if holds_html(first):
        notebook.refuse("pdf-html")
    if not first.startswith(b"%PDF-"):
        notebook.refuse("pdf-extra-before")
    if _ends_as_zip(last):
        notebook.refuse("pdf-zip")
    if end is None or _OBJECT.search(behind):
        notebook.refuse("pdf-truncated")
    if size - end > _FARTHEST:
        notebook.refuse("pdf-extra-after", count=f"{size - end:,}")


def _ends_as_zip(last: bytes) -> bool:
    """Whether a zip directory ends exactly at the end of these last bytes of a file."""
    at = last.find(_ZIP_END)
    while at >= 0:
        if len(last) >= at + 22:
            (comment,) = struct.unpack_from("<H", last, at + 20)
            if at + 22 + comment == len(last):
                return True
        at = last.find(_ZIP_END, at + 1)
    return False


def _look_at_pages(document: pikepdf.Pdf, notebook: Notebook) -> None:
    """Count the pages and measure each in points (UserUnit applied)."""
    pages = len(document.pages)
    notebook.facts["pages"] = pages
    if pages == 0:
        notebook.refuse("pdf-no-pages")
    if pages > _MOST_PAGES:
        notebook.refuse("pdf-too-many-pages", pages=f"{pages:,}", limit=f"{_MOST_PAGES:,}")
    for number, page in enumerate(document.pages, start=1):
        if not all(_SMALLEST_SIDE <= side <= _LARGEST_SIDE for side in _sides(page)):
            notebook.add("pdf-page-size", page=number)
    notebook.passes("pdf-opens", (), pages=pages)


def _sides(page: pikepdf.Page) -> tuple[float, float]:
    """Width and height of the visible box: CropBox within MediaBox, corners in any order."""
    left, bottom, right, top = _corners(page.mediabox)
    crop = _corners(page.cropbox)
    unit = float(page.obj.get("/UserUnit", 1))
    width = min(right, crop[2]) - max(left, crop[0])
    height = min(top, crop[3]) - max(bottom, crop[1])
    return width * unit, height * unit


def _corners(box: pikepdf.Object) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(corner) for corner in box.as_list())
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _note_facts(document: pikepdf.Pdf, notebook: Notebook) -> None:
    """Write down what the document says about itself."""
    root, facts = document.Root, notebook.facts
    stream = root.get("/Metadata")
    metadata = stream.read_bytes() if isinstance(stream, pikepdf.Stream) else b""
    xmp = parse_leniently(metadata)
    facts["title"] = _described(xmp, "title") or _info(document, "/Title")
    facts["author"] = _described(xmp, "creator") or _info(document, "/Author")
    said = root.get("/Lang")
    language = shorten(said) if isinstance(said, pikepdf.String) else ""
    facts["language"] = language if is_language(language) else ""
    tags = _tags_of(document)
    facts["tagged"] = tags == "whole"
    facts["bookmarks"] = _has_bookmarks(root)
    facts["pdfua"] = _held_pdfua(_claim(xmp, _UA + "part"), notebook)
    facts["pdfa"] = _claim(xmp, _A + "part") + _claim(xmp, _A + "conformance").lower()
    facts["identifier"] = _described(xmp, "identifier") or _claim(xmp, _PRISM + "isbn")
    facts["modified"] = _claim(xmp, _XMP + "ModifyDate")
    facts["pdf_version"] = document.pdf_version
    if found := _PATH.search(metadata):
        notebook.add("pdf-author-path", path=found[1].decode("utf-8", "replace"))
    _advise(notebook, tags, language)


def _held_pdfua(claimed: str, notebook: Notebook) -> str:
    """PDF/UA asks for tags, a language and a title first of all."""
    lacking = [name for name in ("tagged", "language", "title") if not notebook.facts[name]]
    if not claimed or not lacking:
        return claimed
    words = {"tagged": "tags that reach its pages", "language": "a language", "title": "a title"}
    notebook.add("pdf-ua-unfounded", lacking=" and ".join(words[name] for name in lacking))
    return ""


def _advise(notebook: Notebook, tags: Tags, language: str) -> None:
    facts = notebook.facts
    if not str(facts["title"]).strip():
        notebook.add("pdf-no-title")
    elif _NO_TITLE.fullmatch(str(facts["title"]).strip()):
        notebook.add("pdf-poor-title", title=facts["title"])
    else:
        notebook.add("pdf-title", title=facts["title"])
    if facts["language"]:
        notebook.add("pdf-language", language=facts["language"])
    elif language:
        notebook.add("pdf-odd-language", language=language)
    else:
        notebook.add("pdf-no-language")
    notebook.add(_TAGGED[tags])
    pages = facts["pages"]
    if facts["bookmarks"]:
        notebook.add("pdf-bookmarks")
    elif isinstance(pages, int) and pages >= _BOOKMARKS_FROM:
        notebook.add("pdf-no-bookmarks", pages=pages)


def _info(document: pikepdf.Pdf, key: str) -> str:
    information = document.trailer.get("/Info")
    if not isinstance(information, pikepdf.Dictionary):
        return ""
    value = information.get(key)
    return shorten(value) if isinstance(value, pikepdf.String) else ""


def _described(xmp: Tree | None, name: str) -> str:
    """A Dublin Core value, whether written plainly or as an RDF list; several joined."""
    found = xmp.find(f".//{_DC}{name}") if xmp is not None else None
    if found is None:
        return ""
    listed = [item.text for item in found.iter(_RDF + "li") if item.text]
    return shorten(", ".join(listed[:1] if name == "title" else listed) or found.text or "")


def _claim(xmp: Tree | None, name: str) -> str:
    """A plain XMP value, which may be written as an element or as an attribute."""
    if xmp is None:
        return ""
    found = xmp.find(f".//{name}")
    if found is not None:
        return shorten(found.text or "")
    holders = (one.get(name) for one in xmp.iter(_RDF + "Description"))
    return shorten(next((value for value in holders if value), ""))


def _tags_of(document: pikepdf.Pdf) -> Tags:
    """How far the structure tree bears out the mark: to no page, to less than half, or farther.

    Pages of pictures or of mere ornament may stand outside the tree, so half of them suffice.
    """
    root = document.Root
    marks = root.get("/MarkInfo")
    if not isinstance(marks, pikepdf.Dictionary) or not bool(marks.get("/Marked")):
        return "none"
    tree = root.get("/StructTreeRoot")
    if not isinstance(tree, pikepdf.Dictionary):
        return "empty"
    pages = {page.obj.objgen for page in document.pages}
    reached: set[tuple[int, int]] = set()
    for page in _pages_tagged(tree):
        if page in pages:
            reached.add(page)
            if len(reached) * 2 >= len(pages):
                return "whole"
    return "partly" if reached else "empty"


def _has_bookmarks(root: pikepdf.Object) -> bool:
    """Whether the outline has an entry with a name that leads somewhere."""
    outlines = root.get("/Outlines")
    waiting = [outlines.get("/First")] if isinstance(outlines, pikepdf.Dictionary) else []
    for _ in range(_MOST_BOOKMARKS):
        entry = waiting.pop() if waiting else None
        if not isinstance(entry, pikepdf.Dictionary):
            return False
        named = isinstance(entry.get("/Title"), pikepdf.String) and str(entry.Title).strip()
        if named and ("/Dest" in entry or "/A" in entry):
            return True
        waiting += [one for one in (entry.get("/Next"), entry.get("/First")) if one is not None]
    return False


def _pages_tagged(tree: pikepdf.Object) -> Iterator[tuple[int, int]]:
    """The pages that hold content of an element, in the order of the tree."""
    waiting: list[tuple[pikepdf.Object, tuple[int, int]]] = [(tree, (0, 0))]
    seen: set[tuple[int, int]] = set()
    for _ in range(_MOST_ELEMENTS):
        if not waiting:
            return
        element, page = waiting.pop()
        if element.is_indirect and element.objgen in seen:
            continue
        seen.add(element.objgen)
        page = _page_of(element) or page
        held = element.get("/K")
        kids = list(held) if isinstance(held, pikepdf.Array) else [held]
        for kid in reversed(kids):
            if isinstance(kid, int):
                yield page
            elif isinstance(kid, pikepdf.Dictionary) and kid.get("/Type") in ("/MCR", "/OBJR"):
                yield _page_of(kid) or page
            elif isinstance(kid, pikepdf.Dictionary):
                waiting.append((kid, page))


def _page_of(element: pikepdf.Object) -> tuple[int, int] | None:
    page = element.get("/Pg")
    return page.objgen if isinstance(page, pikepdf.Dictionary) else None


def _read_with_pdfium(path: Path, pages: int, notebook: Notebook, cover: Path) -> None:
    """Draw page one to `cover`, count words; `pages` is what qpdf counted."""
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError:
        notebook.refuse("pdf-damaged")
    try:
        if len(document) != pages:
            notebook.refuse("pdf-pages-disputed", one=pages, other=len(document))
        page = document[0]
        width, height = page.get_size()
        picture = page.render(scale=min(WIDTH / width, HIGHEST / height))
        save_cover(picture.to_pil(), cover)
        picture.close()
        page.close()
        notebook.add("cover-made")
        _count_words(document, notebook)
    except pypdfium2.PdfiumError:
        notebook.refuse("pdf-damaged")
    finally:
        document.close()


def _count_words(document: pypdfium2.PdfDocument, notebook: Notebook) -> None:
    """Words of all pages, or of as many as the time allows (then `words_of_pages` is smaller)."""
    ends = time.process_time() + _TEXT_SECONDS
    words = read = 0
    sample = ""
    for number in range(len(document)):
        page = document[number]
        text = page.get_textpage()
        found = text.get_text_bounded()
        text.close()
        page.close()
        words += len(found.split())
        if len(sample) < _SAMPLE:
            sample += found[:_SAMPLE] + " "
        read += 1
        if time.process_time() > ends:
            break
    notebook.facts["words"] = words
    notebook.facts["words_of_pages"] = read
    notebook.facts["text_sample"] = " ".join(shorten(line) for line in sample.splitlines()).strip()
    if words == 0:
        notebook.add("pdf-no-text")
