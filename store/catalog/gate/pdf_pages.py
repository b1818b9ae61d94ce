"""The pages of a PDF: how many, and whether each has a size that paper or screens can have."""

import pikepdf

from store.catalog.gate.notes import Notes

_MOST_PAGES = 5000
_SMALLEST_SIDE = 8.0
_LARGEST_SIDE = 28_800.0


def look_at_pages(document: pikepdf.Pdf, notes: Notes) -> None:
    """Count the pages and measure each in points (UserUnit applied)."""
    pages = len(document.pages)
    notes.facts["pages"] = pages
    if pages == 0:
        notes.refuse("pdf-no-pages")
    if pages > _MOST_PAGES:
        notes.refuse("pdf-too-many-pages", pages=f"{pages:,}", limit=f"{_MOST_PAGES:,}")
    for number, page in enumerate(document.pages, start=1):
        if not all(_SMALLEST_SIDE <= side <= _LARGEST_SIDE for side in _sides(page)):
            notes.add("pdf-page-size", page=number)
    notes.passes("pdf-opens", (), pages=pages)


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
