"""Some pages of a PDF as a PDF of their own, tagged as the whole is.

Built from an empty document, so that nothing comes along unasked: of a page what is needed to show
it, of links and bookmarks those that stay in the part or lead to the web, of the tags the elements
whose content is on these pages. A claim to PDF/UA is not carried over.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Object, OutlineItem, Pdf, String

from store.catalog.gate.pieces import NoPart
from store.catalog.gate.xml import parse_leniently

_PAGE_NAMES = (
    "/Contents /CropBox /BleedBox /TrimBox /ArtBox /MediaBox /Resources /Rotate /Group /UserUnit"
    " /StructParents /Tabs /Type /Parent"
)
_OF_PAGE = frozenset(_PAGE_NAMES.split())
_OF_ELEMENT = ("/S", "/ID", "/Lang")
# What stands for the content of an element: left out where some of it is on other pages.
_IN_ITS_PLACE = ("/Alt", "/ActualText", "/E")
_EMPTY_CELLS = ("/TD", "/TH")
_WEB = ("http://", "https://", "mailto:")
_DEEPEST_VALUE = 6
_DC = "{http://purl.org/dc/elements/1.1/}"

Key = tuple[int, int]


def cut(source: Path, target: Path, first: int, last: int) -> None:
    """Write pages `first` to `last` to `target`. Raises NoPart."""
    try:
        with pikepdf.open(source, attempt_recovery=False, suppress_warnings=True) as whole:
            if "/OCProperties" in whole.Root:
                # What a layer hides would be shown without the catalogue of the layers.
                raise NoPart("This PDF has layers. Cut the sample yourself and upload it.")
            with Pdf.new() as part:
                _Cut(whole, part, first, last).write()
                part.remove_unreferenced_resources()
                part.save(
                    target,
                    min_version=whole.pdf_version,
                    deterministic_id=True,
                    object_stream_mode=pikepdf.ObjectStreamMode.generate,
                )
    except (pikepdf.PdfError, ValueError, TypeError, OverflowError, KeyError, AttributeError):
        raise NoPart(
            "These pages could not be cut. Make the sample yourself and upload it."
        ) from None


class _Cut:
    """One part on its way out of a document."""

    def __init__(self, whole: Pdf, part: Pdf, first: int, last: int) -> None:
        self.whole, self.part = whole, part
        self.chosen = list(whole.pages)[first - 1 : last]
        self.pages: dict[Key, Object] = {}  # of the whole, to those of the part
        self.annotations: dict[Key, Object] = {}
        self.by_page: dict[int, dict[int, Object]] = {}  # element of each mark on a page
        self.by_annotation: dict[int, Object] = {}
        self.first_key = 1  # of annotations, behind those of the pages
        self.ids: list[tuple[bytes, Object]] = []

    def write(self) -> None:
        links = [list(page.obj.get("/Annots", [])) for page in self.chosen]
        for page in self.chosen:
            key = page.obj.objgen
            for name in set(page.obj.keys()) - _OF_PAGE:
                del page.obj[name]
            self.part.pages.append(page)
            self.pages[key] = self.part.pages[-1].obj
        marked = [int(kept.get("/StructParents", 0)) for kept in self.pages.values()]
        self.first_key = max(marked, default=0) + 1
        for kept, found in zip(list(self.pages.values()), links, strict=True):
            self._link(kept, found)
        self._tag()
        self._describe()
        with self.whole.open_outline() as old, self.part.open_outline() as new:
            new.root.extend(self._bookmarks(old.root))

    def _link(self, page: Object, found: Iterable[Object]) -> None:
        kept = Array()
        for one in found:
            leads = self._leads(one) if isinstance(one, Dictionary) else None
            if leads is None:
                continue
            made = Dictionary(Type=Name.Annot, Subtype=Name.Link, P=page, F=4)
            made[leads[0]] = leads[1]
            made.Rect = _plain(one.get("/Rect"))
            made.Border = Array([0, 0, 0])
            if isinstance(one.get("/Contents"), String):
                made.Contents = String(str(one.Contents))
            self.annotations[one.objgen] = self.part.make_indirect(made)
            kept.append(self.annotations[one.objgen])
        if len(kept):
            page.Annots = kept

    def _leads(self, link: Object) -> tuple[str, Object] | None:
        """Where a link leads that may be kept."""
        if link.get("/Subtype") != Name.Link:
            return None
        action = link.get("/A")
        target = link.get("/Dest")
        if isinstance(action, Dictionary):
            uri = action.get("/URI")
            if isinstance(uri, String) and str(uri).lower().startswith(_WEB):
                return "/A", Dictionary(S=Name.URI, URI=String(str(uri)))
            target = action.get("/D") if action.get("/S") == Name.GoTo else None
        page = self._target(target)
        return None if page is None else ("/Dest", Array([page, Name.Fit]))

    def _tag(self) -> None:
        """The structure tree, as far as it has content on these pages."""
        tree = self.whole.Root.get("/StructTreeRoot")
        if not isinstance(tree, Dictionary):
            return
        root = self.part.make_indirect(Dictionary(Type=Name.StructTreeRoot))
        kids = [made for one in _kids(tree) if (made := self._element(one, root, None)) is not None]
        if not kids:
            return
        root.K = Array(kids)
        for name in ("/RoleMap", "/ClassMap"):
            if isinstance(tree.get(name), Dictionary):
                root[name] = _plain(tree[name])
        numbers: list[tuple[int, Object]] = list(self.by_annotation.items())
        for key, marks in self.by_page.items():
            held = [marks.get(mark) for mark in range(max(marks) + 1)]
            numbers.append((key, self.part.make_indirect(Array(held))))
        numbers.sort(key=lambda one: one[0])
        flat = [piece for one in numbers for piece in one]
        root.ParentTree = self.part.make_indirect(Dictionary(Nums=Array(flat)))
        root.ParentTreeNextKey = max((key for key, _ in numbers), default=-1) + 1
        if self.ids:
            named = [piece for one in sorted(self.ids, key=lambda one: one[0]) for piece in one]
            names = Array([String(one) if isinstance(one, bytes) else one for one in named])
            root.IDTree = self.part.make_indirect(Dictionary(Names=names))
        self.part.Root.StructTreeRoot = root
        self.part.Root.MarkInfo = Dictionary(Marked=True)

    def _element(self, element: Object, parent: Object, page: Object | None) -> Object | None:
        """The copy of an element with what of it is on these pages; None where nothing is."""
        if not isinstance(element, Dictionary) or "/S" not in element:
            return None
        page = element.get("/Pg", page)
        made = self.part.make_indirect(Dictionary(Type=Name.StructElem, P=parent))
        kids: list[Any] = []
        lost = False
        held = _kids(element)
        for kid in held:
            copied = self._kid(kid, made, page)
            lost = lost or copied is None
            if copied is not None:
                kids.append(copied)
        is_empty_cell = (
            not held and element.get("/S") in _EMPTY_CELLS and self._page(page) is not None
        )
        if not any(_is_content(one) for one in kids) and not is_empty_cell:
            return None
        self._say(element, made, whole=not lost)
        if kids:
            made.K = Array(kids)
        if (new_page := self._page(page)) is not None:
            made.Pg = new_page
        return made

    def _say(self, element: Object, made: Object, *, whole: bool) -> None:
        for name in _OF_ELEMENT + (_IN_ITS_PLACE if whole else ()):
            if isinstance(value := element.get(name), String | Name):
                made[name] = _plain(value)
        for name in ("/A", "/C"):
            if name in element and (value := _plain(element[name])) is not None:
                made[name] = value
        if "/ID" in made:
            self.ids.append((bytes(made["/ID"]), made))
        has_link = any(
            isinstance(one, Dictionary) and one.get("/Type") == Name.OBJR for one in _kids(made)
        )
        if Name.Link == made.S and not whole and not has_link:
            made.S = Name.Span

    def _kid(self, kid: Any, made: Object, page: Object | None) -> Any:
        if isinstance(kid, int):
            return self._mark(kid, made, page)
        if not isinstance(kid, Dictionary):
            return None
        kind = kid.get("/Type")
        if kind == Name.MCR:
            own = kid.get("/Pg", page)
            if "/Stm" in kid or self._mark(int(kid.MCID), made, own) is None:
                return None
            return Dictionary(Type=Name.MCR, MCID=int(kid.MCID), Pg=self._page(own))
        if kind == Name.OBJR:
            annotation = kid.get("/Obj")
            found = self.annotations.get(annotation.objgen) if annotation is not None else None
            if found is None:
                return None
            key = self.first_key + len(self.by_annotation)
            found.StructParent = key
            self.by_annotation[key] = made
            return Dictionary(Type=Name.OBJR, Obj=found, Pg=found.P)
        return self._element(kid, made, page)

    def _mark(self, mark: int, made: Object, page: Object | None) -> int | None:
        """The number of marked content on one of these pages, noted as this element's."""
        new_page = self._page(page)
        if new_page is None or "/StructParents" not in new_page or mark < 0:
            return None
        self.by_page.setdefault(int(new_page.StructParents), {})[mark] = made
        return mark

    def _page(self, page: Object | None) -> Object | None:
        return self.pages.get(page.objgen) if isinstance(page, Dictionary) else None

    def _bookmarks(self, entries: Iterable[OutlineItem]) -> list[OutlineItem]:
        """Those that lead to one of these pages; what stood below another one moves up."""
        kept: list[OutlineItem] = []
        for one in entries:
            below = self._bookmarks(one.children)
            page = self._target(one.action.get("/D") if one.action else one.destination)
            if page is None:
                kept += below
                continue
            made = OutlineItem(one.title, Array([page, Name.Fit]))
            made.children.extend(below)
            kept.append(made)
        return kept

    def _target(self, target: Any) -> Object | None:
        """The page of the part that a place in the whole leads to."""
        if isinstance(target, Dictionary):
            target = target.get("/D")
        if not isinstance(target, Array) or not len(target):
            return None
        return self._page(target[0])

    def _describe(self) -> None:
        """Title, author and language of the whole."""
        root, old = self.part.Root, self.whole.Root
        if isinstance(old.get("/Lang"), String):
            root.Lang = String(str(old.Lang))
        stream = old.get("/Metadata")
        xmp = parse_leniently(stream.read_bytes()) if isinstance(stream, pikepdf.Stream) else None
        said = {name: _said(xmp, name) or _info(self.whole, key) for name, key in _TOLD}
        with self.part.open_metadata(set_pikepdf_as_editor=False) as metadata:
            if said["title"]:
                metadata["dc:title"] = f"{said['title']} (free sample)"
                root.ViewerPreferences = Dictionary(DisplayDocTitle=True)
            if said["creator"]:
                metadata["dc:creator"] = [said["creator"]]


_TOLD = (("title", "/Title"), ("creator", "/Author"))


def _said(xmp: Any, name: str) -> str:
    found = xmp.find(f".//{_DC}{name}") if xmp is not None else None
    return " ".join("".join(found.itertext()).split()) if found is not None else ""


def _info(document: Pdf, key: str) -> str:
    information = document.trailer.get("/Info")
    value = information.get(key) if isinstance(information, Dictionary) else None
    return str(value) if isinstance(value, String) else ""


def _kids(element: Object) -> list[Any]:
    held = element.get("/K")
    if held is None:
        return []
    return list(held) if isinstance(held, Array) else [held]


def _is_content(kid: Any) -> bool:
    """Whether a kept kid is more than an empty cell."""
    return not (
        isinstance(kid, Dictionary) and kid.get("/Type") == Name.StructElem and "/K" not in kid
    )


def _plain(value: Any, depth: int = 0) -> Any:
    """A copy of names, numbers, texts, and of lists and dictionaries of these; None of all else."""
    if depth > _DEEPEST_VALUE:
        return None
    if isinstance(value, Array):
        return Array(
            [one for one in (_plain(piece, depth + 1) for piece in value) if one is not None]
        )
    if isinstance(value, pikepdf.Stream):
        return None
    if isinstance(value, Dictionary):
        pieces = {str(name): _plain(piece, depth + 1) for name, piece in value.items()}
        return Dictionary({name: piece for name, piece in pieces.items() if piece is not None})
    if isinstance(value, String):
        return String(bytes(value))
    if isinstance(value, Name):
        return Name(str(value))
    is_number = isinstance(value, bool | int | float) or type(value).__name__ == "Decimal"
    return value if is_number else None
