"""A second program's opinion of a PDF (pdfium): page count, cover from page one, text."""

import time
from pathlib import Path

import pypdfium2

from store.catalog.gate.cover import HIGHEST, WIDTH, save_cover
from store.catalog.gate.notes import Notes
from store.catalog.gate.sentences import shorten

_TEXT_SECONDS = 5.0
_SAMPLE = 600


def read_with_pdfium(path: Path, pages: int, notes: Notes, cover: Path) -> None:
    """Draw page one to `cover`, count words; `pages` is what qpdf counted."""
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError:
        notes.refuse("pdf-damaged")
    try:
        if len(document) != pages:
            notes.refuse("pdf-pages-disputed", one=pages, other=len(document))
        _draw(document, cover)
        notes.add("cover-made")
        _read_text(document, notes)
    except pypdfium2.PdfiumError:
        notes.refuse("pdf-damaged")
    finally:
        document.close()


def _draw(document: pypdfium2.PdfDocument, cover: Path) -> None:
    page = document[0]
    width, height = page.get_size()
    picture = page.render(scale=min(WIDTH / width, HIGHEST / height))
    save_cover(picture.to_pil(), cover)
    picture.close()
    page.close()


def _read_text(document: pypdfium2.PdfDocument, notes: Notes) -> None:
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
    notes.facts["words"] = words
    notes.facts["words_of_pages"] = read
    notes.facts["text_sample"] = " ".join(shorten(line) for line in sample.splitlines()).strip()
    if words == 0:
        notes.add("pdf-no-text")
