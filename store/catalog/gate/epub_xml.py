"""XML files of an EPUB: well formed, and without definitions of their own."""

import zlib

from store.catalog.gate.epub_zip import Archive
from store.catalog.gate.notes import Notes
from store.catalog.gate.xml import NotWellFormed, Tree, defines_entities, parse


def read_xml(archive: Archive, name: str, notes: Notes, *, is_page: bool = False) -> Tree | None:
    """The root element of one file, or None where a finding was written down instead.

    A page may define plain abbreviations, as EPUB 2 books do; none that nest or reach outside.
    """
    try:
        root = parse(archive.read(name))
    except NotWellFormed as fault:
        notes.add("epub-not-well-formed", name=name, line=fault.line, what=fault.what)
        return None
    except zlib.error:
        notes.refuse("epub-entry-damaged", name=name)
    if defines_entities(root, any_at_all=not is_page):
        notes.add("epub-entities", name=name)
        return None
    return root
