"""What is in a PDF: shell, structure, objects, pages, facts; then cover and text by pdfium.

A PDF that readers would have to repair is refused with the way out, never rewritten here: the
bytes that buyers get, with their tags, claims and signatures, are the ones that were uploaded.
"""

from pathlib import Path

import pikepdf

from store.catalog.gate.notes import Notes
from store.catalog.gate.pdf_facts import note_facts
from store.catalog.gate.pdf_objects import look_at_objects
from store.catalog.gate.pdf_pages import look_at_pages
from store.catalog.gate.pdf_render import read_with_pdfium
from store.catalog.gate.pdf_shell import look_at_shell


def inspect_pdf(path: Path, notes: Notes, cover: Path) -> None:
    """Write everything worth knowing about this PDF into the notebook, page one to `cover`."""
    look_at_shell(path, notes)
    with _opened(path, notes) as document:
        if document.is_encrypted:
            notes.refuse("pdf-restricted")
        notes.add("type-pdf")
        notes.add("pdf-unprotected")
        _look_inside(document, notes)
        pages = len(document.pages)
    if not notes.has_failed:
        read_with_pdfium(path, pages, notes, cover)


def _opened(path: Path, notes: Notes) -> pikepdf.Pdf:
    try:
        return pikepdf.open(path, attempt_recovery=False, suppress_warnings=True)
    except pikepdf.PasswordError:
        notes.refuse("pdf-password")
    except (pikepdf.PdfError, ValueError, OverflowError):
        notes.refuse("pdf-damaged")


def _look_inside(document: pikepdf.Pdf, notes: Notes) -> None:
    try:
        look_at_pages(document, notes)
        look_at_objects(document, notes)
        note_facts(document, notes)
        warnings = [str(warning) for warning in document.get_warnings()]
    except (pikepdf.PdfError, ValueError, TypeError, OverflowError, KeyError, AttributeError):
        # Objects of another kind than the standard asks for in that place.
        notes.refuse("pdf-damaged")
    if any("bad_alloc" in warning for warning in warnings):
        # What swells in an object stream is only a remark to qpdf, which goes on without it.
        raise MemoryError
    if warnings:
        notes.add("pdf-odd", count=len(warnings))
