"""What is in a PDF: its first and last bytes, protection, pages, objects, what it says of itself;
then cover and text by a second program (pdfium).

A PDF that readers would have to repair is refused with the way out, never rewritten here: the
bytes that buyers get, with their tags, claims and signatures, are the ones that were uploaded.
"""

import os
import re
import struct
import time
from pathlib import Path

import pikepdf
import pypdfium2

from store.catalog.gate.cover import HIGHEST, WIDTH, save_cover
from store.catalog.gate.kinds import describe, holds_html, last_place
from store.catalog.gate.pdf_facts import note_facts
from store.catalog.gate.pdf_objects import look_at_objects
from store.catalog.gate.report import Notebook, shorten

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
            note_facts(document, notebook)
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
