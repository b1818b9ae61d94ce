"""Title, author, language, tags, claims and bookmarks of a PDF, with advice where they lack.

What is a claim to the public is noted only where the content bears it out.
"""

import re

import pikepdf

from store.catalog.gate.languages import is_language
from store.catalog.gate.notes import Notes
from store.catalog.gate.pdf_claims import Tags, has_bookmarks, tags_of
from store.catalog.gate.sentences import shorten
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


def note_facts(document: pikepdf.Pdf, notes: Notes) -> None:
    """Write down what the document says about itself."""
    root = document.Root
    xmp = _metadata(root)
    facts = notes.facts
    facts["title"] = _described(xmp, "title") or _info(document, "/Title")
    facts["author"] = _described(xmp, "creator") or _info(document, "/Author")
    said = root.get("/Lang")
    language = shorten(said) if isinstance(said, pikepdf.String) else ""
    facts["language"] = language if is_language(language) else ""
    tags = tags_of(document)
    facts["tagged"] = tags == "whole"
    facts["bookmarks"] = has_bookmarks(root)
    facts["pdfua"] = _held_pdfua(_claim(xmp, _UA + "part"), notes)
    facts["pdfa"] = _claim(xmp, _A + "part") + _claim(xmp, _A + "conformance").lower()
    facts["identifier"] = _described(xmp, "identifier") or _claim(xmp, _PRISM + "isbn")
    facts["modified"] = _claim(xmp, _XMP + "ModifyDate")
    facts["pdf_version"] = document.pdf_version
    _look_for_paths(root, notes)
    _advise(notes, tags, language)


def _held_pdfua(claimed: str, notes: Notes) -> str:
    """PDF/UA asks for tags, a language and a title first of all."""
    lacking = [name for name in ("tagged", "language", "title") if not notes.facts[name]]
    if not claimed or not lacking:
        return claimed
    words = {"tagged": "tags that reach its pages", "language": "a language", "title": "a title"}
    notes.add("pdf-ua-unfounded", lacking=" and ".join(words[name] for name in lacking))
    return ""


def _look_for_paths(root: pikepdf.Object, notes: Notes) -> None:
    stream = root.get("/Metadata")
    if isinstance(stream, pikepdf.Stream) and (found := _PATH.search(stream.read_bytes())):
        notes.add("pdf-author-path", path=found[1].decode("utf-8", "replace"))


def _advise(notes: Notes, tags: Tags, language: str) -> None:
    facts = notes.facts
    if not str(facts["title"]).strip():
        notes.add("pdf-no-title")
    elif _NO_TITLE.fullmatch(str(facts["title"]).strip()):
        notes.add("pdf-poor-title", title=facts["title"])
    else:
        notes.add("pdf-title", title=facts["title"])
    if facts["language"]:
        notes.add("pdf-language", language=facts["language"])
    elif language:
        notes.add("pdf-odd-language", language=language)
    else:
        notes.add("pdf-no-language")
    notes.add(_TAGGED[tags])
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
