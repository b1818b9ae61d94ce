"""Parts of files that passed the gate: pages cut out of a PDF, chapters of an EPUB as a book of their own or as HTML.

Made in a child process, as the gate judges: this module run as a program. What the child says of a
stranger's words is not believed; who shows the HTML cleans it.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from store.catalog.gate.inspection import Limits, keep_to, run_child
from store.catalog.gate.pieces import BookPart, Chapter, NoPart, Reading

_PROGRAM = "store.catalog.gate.parts"
_ANSWER = "part.json"
_CUT, _BUILT = "part.pdf", "part.epub"
_DEEPEST = 5_000
_LARGEST_ANSWER = 4_000_000  # bytes
# A book of many pages whose tags are cut takes longer than its inspection.
_LIMITS = Limits(cpu_seconds=40, wall_seconds=60.0)


def cut_pages(source: Path, folder: Path, first: int, last: int) -> Path:
    """A PDF of pages `first` to `last` of this one, and of nothing else. Raises NoPart."""
    _run(["pdf", str(source), str(first), str(last)], folder)
    return folder / _CUT


def parts_of_book(source: Path, folder: Path) -> list[BookPart]:
    """What can be chosen of this EPUB, in its order. Raises NoPart."""
    found = _run(["contents", str(source)], folder)
    return [
        BookPart(int(one["number"]), str(one["title"]), int(one["words"])) for one in found["parts"]
    ]


def build_book(source: Path, folder: Path, numbers: Iterable[int]) -> Path:
    """An EPUB of the parts of this one with these numbers, and of nothing else. Raises NoPart."""
    _run(["book", str(source), json.dumps(sorted(numbers))], folder)
    return folder / _BUILT


def read_chapters(source: Path, folder: Path) -> Reading:
    """The chapters of this EPUB as HTML that is still to be cleaned. Raises NoPart."""
    found = _run(["epub", str(source)], folder)
    chapters = [
        Chapter(str(one["title"]), str(one["html"]), int(one["words"])) for one in found["chapters"]
    ]
    return Reading(chapters, [str(one) for one in found["opening"]])


def _run(arguments: list[str], folder: Path) -> dict[str, Any]:
    answer = folder / _ANSWER
    answer.unlink(missing_ok=True)
    ended = run_child(_PROGRAM, arguments, folder, _LIMITS)
    if ended != 0 or not answer.is_file() or answer.stat().st_size > _LARGEST_ANSWER:
        raise NoPart(
            "This part takes too long to make, or is too large. Make it yourself and upload it."
        )
    found = json.loads(answer.read_bytes())
    if "fault" in found:
        raise NoPart(str(found["fault"]))
    return dict(found)


def _main(arguments: list[str]) -> None:
    """The child: what it found, or why it did not, is a file in the folder."""
    kind, source, *rest, folder, limits = arguments
    keep_to(Limits(**json.loads(limits)))
    sys.setrecursionlimit(_DEEPEST)
    answer = Path(folder) / _ANSWER
    try:
        found = _made(kind, Path(source), rest, Path(folder))
    except NoPart as fault:
        found = {"fault": fault.sentence}
    except RecursionError:
        found = {"fault": "This file is too deeply nested. Make the part yourself and upload it."}
    answer.write_text(json.dumps(found), encoding="utf-8")


def _made(kind: str, source: Path, rest: list[str], folder: Path) -> dict[str, object]:
    if kind == "pdf":
        from store.catalog.gate.pdf_part import cut  # noqa: PLC0415 - in the child alone

        cut(source, folder / _CUT, int(rest[0]), int(rest[1]))
        return {}
    if kind in ("contents", "book"):
        from store.catalog.gate import epub_part  # noqa: PLC0415 - as above

        if kind == "contents":
            return {"parts": [asdict(one) for one in epub_part.contents_of(source)]}
        epub_part.build(source, folder / _BUILT, set(json.loads(rest[0])))
        return {}
    from store.catalog.gate.epub_reading import read_book  # noqa: PLC0415 - as above

    return asdict(read_book(source))


if __name__ == "__main__":
    _main(sys.argv[1:])
