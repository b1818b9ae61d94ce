"""Set the sample as a tagged PDF (PDF/UA-1) and draw its cover."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import typst
from edition import Edition
from PIL import Image
from reading import Chapter, tree

LAYOUT = Path(__file__).with_name("layout.typ")


def set_pdf(edition: Edition, chapters: list[Chapter]) -> bytes:
    """The edition as PDF/UA-1, its many small objects packed into streams (half the size)."""
    packed = BytesIO()
    with pikepdf.open(
        BytesIO(_compile(edition, chapters, format="pdf", pdf_standards="ua-1"))
    ) as pdf:
        pdf.save(
            packed,
            object_stream_mode=pikepdf.ObjectStreamMode.generate,
            deterministic_id=True,
        )
    return packed.getvalue()


def draw_cover(edition: Edition) -> bytes:
    """Page one as PNG of 64 colours, 699 by 992 dots."""
    pages = _compile(edition, [], format="png", ppi=120)
    first = pages[0] if isinstance(pages, list) else pages
    small = BytesIO()
    Image.open(BytesIO(first)).convert("RGB").quantize(64).save(small, "png", optimize=True)
    return small.getvalue()


def _compile(edition: Edition, chapters: list[Chapter], **output: Any) -> Any:
    book = {
        "full_title": edition.full_title,
        "title": edition.title,
        "subtitle": edition.subtitle,
        "label": edition.label,
        "publisher": edition.publisher,
        "summary": edition.summary,
        "subjects": list(edition.subjects),
        "edition": edition.number,
        "date": [edition.modified.year, edition.modified.month, edition.modified.day],
        "chapters": [
            {"number": chapter.number, "title": chapter.title, "nodes": tree(chapter.tokens)}
            for chapter in chapters
        ],
        "colophon": tree(edition.colophon()),
    }
    # The machine's own fonts would make other pages on every machine.
    return typst.compile(
        LAYOUT, sys_inputs={"book": json.dumps(book)}, ignore_system_fonts=True, **output
    )
