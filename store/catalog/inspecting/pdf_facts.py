"""Title, author, language, tags, claims and bookmarks of a PDF, with advice where they lack."""

import re

import pikepdf

from store.catalog.inspecting.notes import Notes
from store.catalog.inspecting.sentences import shorten
from store.catalog.inspecting.xml import Tree, parse_leniently

_DC = "{http://purl.org/dc/elements/1.1/}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"
_PRISM = "{http://prismstandard.org/namespaces/basic/2.0/}"
_UA = "{http://www.aiim.org/pdfua/ns/id/}"
_A = "{http://www.aiim.org/pdfa/ns/id/}"
_NO_TITLE = re.compile(
    r"(untitled|untitled document|document\d*|.*\.(docx?|odt|indd|tex))?", re.IGNORECASE
)
_BOOKMARKS_FROM = 20


def note_facts(document: pikepdf.Pdf, notes: Notes) -> None:
    """Write down what the document says about itself."""
    root = document.Root
    xmp = _metadata(root)
    facts = notes.facts
    facts["title"] = _described(xmp, "title") or _info(document, "/Title")
    facts["author"] = _described(xmp, "creator") or _info(document, "/Author")
    language = root.get("/Lang")
    facts["language"] = shorten(language) if isinstance(language, pikepdf.String) else ""
    marks = root.get("/MarkInfo")
    is_marked = isinstance(marks, pikepdf.Dictionary) and bool(marks.get("/Marked"))
    facts["tagged"] = is_marked and "/StructTreeRoot" in root
    outlines = root.get("/Outlines")
    facts["bookmarks"] = isinstance(outlines, pikepdf.Dictionary) and "/First" in outlines
    facts["pdfua"] = _claim(xmp, _UA + "part")
    facts["pdfa"] = _claim(xmp, _A + "part") + _claim(xmp, _A + "conformance").lower()
    facts["identifier"] = _described(xmp, "identifier") or _claim(xmp, _PRISM + "isbn")
    facts["modified"] = _claim(xmp, _XMP + "ModifyDate")
    facts["pdf_version"] = document.pdf_version
    _advise(notes)


def _advise(notes: Notes) -> None:
    facts = notes.facts
    if _NO_TITLE.fullmatch(str(facts["title"]).strip()):
        notes.add("pdf-no-title")
    else:
        notes.add("pdf-title", title=facts["title"])
    if facts["language"]:
        notes.add("pdf-language", language=facts["language"])
    else:
        notes.add("pdf-no-language")
    notes.add("pdf-tagged" if facts["tagged"] else "pdf-untagged")
    pages = facts["pages"]
    if facts["bookmarks"]:
        notes.add("pdf-bookmarks")
    elif isinstance(pages, int) and pages >= _BOOKMARKS_FROM:
        notes.add("pdf-no-bookmarks", pages=pages)


def _metadata(root: pikepdf.Object) -> Tree | None:
    stream = root.get("/Metadata")
    return parse_leniently(stream.read_bytes()) if isinstance(stream, pikepdf.Stream) else None


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
