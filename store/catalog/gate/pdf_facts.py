"""Title, author, language, tags, claims and bookmarks of a PDF, with advice where they lack.

What is a claim to the public is noted only where the content bears it out.
"""

import re
from collections.abc import Iterator
from typing import Literal

import pikepdf

from store.catalog.gate.languages import is_language
from store.catalog.gate.report import Notebook, shorten
from store.catalog.gate.xml import Tree, parse_leniently

_DC = "{http://purl.org/dc/elements/1.1/}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"
_PRISM = "{http://prismstandard.org/namespaces/basic/2.0/}"
_UA = "{http://www.aiim.org/pdfua/ns/id/}"
_A = "{http://www.aiim.org/pdfa/ns/id/}"
_NO_TITLE = re.compile(
    r"untitled|untitled document|document\d*|.*\.(docx?|odt|indd|tex)", re.IGNORECASE
)
_BOOKMARKS_FROM = 20
# Programs for layout note in the metadata where the pictures lay on the author's machine.
_PATH = re.compile(
    rb"[>\"'](?:file:/+)?((?:/Users/|/home/|[A-Za-z]:[\\/]Users[\\/])[^<>\"']{1,200})"
)
_TAGGED = {
    "whole": "pdf-tagged",
    "partly": "pdf-tags-partly",
    "empty": "pdf-tags-empty",
    "none": "pdf-untagged",
}
# A tagged book has some hundred elements a page; one with more than this gets no pass for it.
_MOST_ELEMENTS = 400_000
_MOST_BOOKMARKS = 1000

Tags = Literal["none", "empty", "partly", "whole"]


def note_facts(document: pikepdf.Pdf, notebook: Notebook) -> None:
    """Write down what the document says about itself."""
    root, facts = document.Root, notebook.facts
    stream = root.get("/Metadata")
    metadata = stream.read_bytes() if isinstance(stream, pikepdf.Stream) else b""
    xmp = parse_leniently(metadata)
    facts["title"] = _described(xmp, "title") or _info(document, "/Title")
    facts["author"] = _described(xmp, "creator") or _info(document, "/Author")
    said = root.get("/Lang")
    language = shorten(said) if isinstance(said, pikepdf.String) else ""
    facts["language"] = language if is_language(language) else ""
    tags = _tags_of(document)
    facts["tagged"] = tags == "whole"
    facts["bookmarks"] = _has_bookmarks(root)
    facts["pdfua"] = _held_pdfua(_claim(xmp, _UA + "part"), notebook)
    facts["pdfa"] = _claim(xmp, _A + "part") + _claim(xmp, _A + "conformance").lower()
    facts["identifier"] = _described(xmp, "identifier") or _claim(xmp, _PRISM + "isbn")
    facts["modified"] = _claim(xmp, _XMP + "ModifyDate")
    facts["pdf_version"] = document.pdf_version
    if found := _PATH.search(metadata):
        notebook.add("pdf-author-path", path=found[1].decode("utf-8", "replace"))
    _advise(notebook, tags, language)


def _held_pdfua(claimed: str, notebook: Notebook) -> str:
    """PDF/UA asks for tags, a language and a title first of all."""
    lacking = [name for name in ("tagged", "language", "title") if not notebook.facts[name]]
    if not claimed or not lacking:
        return claimed
    words = {"tagged": "tags that reach its pages", "language": "a language", "title": "a title"}
    notebook.add("pdf-ua-unfounded", lacking=" and ".join(words[name] for name in lacking))
    return ""


def _advise(notebook: Notebook, tags: Tags, language: str) -> None:
    facts = notebook.facts
    if not str(facts["title"]).strip():
        notebook.add("pdf-no-title")
    elif _NO_TITLE.fullmatch(str(facts["title"]).strip()):
        notebook.add("pdf-poor-title", title=facts["title"])
    else:
        notebook.add("pdf-title", title=facts["title"])
    if facts["language"]:
        notebook.add("pdf-language", language=facts["language"])
    elif language:
        notebook.add("pdf-odd-language", language=language)
    else:
        notebook.add("pdf-no-language")
    notebook.add(_TAGGED[tags])
    pages = facts["pages"]
    if facts["bookmarks"]:
        notebook.add("pdf-bookmarks")
    elif isinstance(pages, int) and pages >= _BOOKMARKS_FROM:
        notebook.add("pdf-no-bookmarks", pages=pages)


def _info(document: pikepdf.Pdf, key: str) -> str:
    information = document.trailer.get("/Info")
    if not isinstance(information, pikepdf.Dictionary):
        return ""
    value = information.get(key)
    return shorten(value) if isinstance(value, pikepdf.String) else ""


def _described(xmp: Tree | None, name: str) -> str:
    """A Dublin Core value, whether written plainly or as an RDF list; several joined."""
    found = xmp.find(f".//{_DC}{name}") if xmp is not None else None
    if found is None:
        return ""
    listed = [item.text for item in found.iter(_RDF + "li") if item.text]
    return shorten(", ".join(listed[:1] if name == "title" else listed) or found.text or "")


def _claim(xmp: Tree | None, name: str) -> str:
    """A plain XMP value, which may be written as an element or as an attribute."""
    if xmp is None:
        return ""
    found = xmp.find(f".//{name}")
    if found is not None:
        return shorten(found.text or "")
    holders = (one.get(name) for one in xmp.iter(_RDF + "Description"))
    return shorten(next((value for value in holders if value), ""))


def _tags_of(document: pikepdf.Pdf) -> Tags:
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


def _has_bookmarks(root: pikepdf.Object) -> bool:
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
