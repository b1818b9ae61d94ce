"""Make the demo's sample publication: `python docs/sample/make.py [FOLDER]`.

Each edition becomes a tagged PDF and an EPUB; without a folder they replace the committed ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edition import EDITIONS, Edition
from paged import draw_cover, set_pdf
from reading import read_chapters
from reflowed import bind_epub

COMMITTED = Path(__file__).parents[2] / "store" / "demo" / "sample"


def make(edition: Edition, folder: Path) -> None:
    chapters = read_chapters(edition.number)
    name = folder / f"edition-{edition.number}"
    name.with_suffix(".pdf").write_bytes(set_pdf(edition, chapters))
    name.with_suffix(".epub").write_bytes(bind_epub(edition, chapters, draw_cover(edition)))


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else COMMITTED
    target.mkdir(parents=True, exist_ok=True)
    for one in EDITIONS:
        make(one, target)
