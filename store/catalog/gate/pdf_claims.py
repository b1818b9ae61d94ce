"""Claims of a PDF looked into: tags that reach its pages, bookmarks that lead somewhere."""

from collections.abc import Iterator
from typing import Literal

import pikepdf

# A tagged book has some hundred elements a page; whoever writes more gets no pass for it.
_MOST_ELEMENTS = 400_000
_MOST_BOOKMARKS = 1000

Tags = Literal["none", "empty", "partly", "whole"]


def tags_of(document: pikepdf.Pdf) -> Tags:
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


def has_bookmarks(root: pikepdf.Object) -> bool:
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
    nowhere = (0, 0)
    waiting: list[tuple[pikepdf.Object, tuple[int, int]]] = [(tree, nowhere)]
    seen: set[tuple[int, int]] = set()
    for _ in range(_MOST_ELEMENTS):
        if not waiting:
            return
        element, page = waiting.pop()
        if element.is_indirect:
            if element.objgen in seen:
                continue
            seen.add(element.objgen)
        page = _page_of(element) or page
        for kid in reversed(_kids(element)):
            if isinstance(kid, pikepdf.Dictionary):
                if kid.get("/Type") in ("/MCR", "/OBJR"):
                    yield _page_of(kid) or page
                else:
                    waiting.append((kid, page))
            elif isinstance(kid, int):
                yield page


def _page_of(element: pikepdf.Object) -> tuple[int, int] | None:
    page = element.get("/Pg")
    return page.objgen if isinstance(page, pikepdf.Dictionary) else None


def _kids(element: pikepdf.Object) -> list[pikepdf.Object | int]:
    kids = element.get("/K")
    if isinstance(kids, pikepdf.Array):
        return list(kids)
    return [] if kids is None else [kids]
