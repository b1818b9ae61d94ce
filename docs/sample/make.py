"""Make the demo's sample publication: `python docs/sample/make.py [FOLDER]`.

Each edition becomes a tagged PDF and an EPUB, and so does the free sample, the first chapters of
edition 1; without a folder they replace the committed ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edition import EDITIONS, SAMPLE, Edition
from paged import draw_cover, set_pdf
from reading import Chapter, read_chapters
from reflowed import bind_epub

COMMITTED = Path(__file__).parents[2] / "store" / "demo" / "sample"


# The preface and two chapters.
IN_SAMPLE = 3


def make(edition: Edition, name: Path, chapters: list[Chapter]) -> None:
    name.with_suffix(".pdf").write_bytes(set_pdf(edition, chapters))
    name.with_suffix(".epub").write_bytes(bind_epub(edition, chapters, draw_cover(edition)))


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else COMMITTED
    target.mkdir(parents=True, exist_ok=True)
    for one in EDITIONS:
        make(one, target / f"edition-{one.number}", read_chapters(one.number))
    make(SAMPLE, target / "free-sample", read_chapters(SAMPLE.number)[:IN_SAMPLE])
