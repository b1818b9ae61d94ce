"""Every object of a PDF, reachable or not: scripts, programs, attachments, signatures, pictures."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pikepdf

from store.catalog.gate.report import Notebook

_LARGEST_IMAGE = 200_000_000
_DEEPEST = 60
# qpdf writes names in their plain spelling, so that /J#61vaScript is found too. A hit may stand
# in a text string; only the walk over the dictionary itself decides.
_WORTH_A_LOOK = re.compile(
    rb"/(?:JavaScript|JS|Launch|SubmitForm|ImportData|XFA|RichMedia|ByteRange|EF|URI|Image)"
)
_ACTIONS = {
    "/JavaScript": "pdf-javascript",
    "/Launch": "pdf-launch",
    "/SubmitForm": "pdf-form-sending",
    "/ImportData": "pdf-form-sending",
}
_PROGRAM_ENDINGS = (
    *(".exe", ".com", ".scr", ".bat", ".cmd", ".msi", ".dll", ".jar", ".js", ".vbs", ".wsf"),
    *(".ps1", ".sh", ".app", ".apk", ".hta", ".lnk", ".reg", ".py", ".deb", ".rpm", ".dmg"),
    ".pkg",
)
_PROGRAM_STARTS = (b"MZ", b"\x7fELF", b"#!", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


@dataclass
class _Seen:
    codes: set[str] = field(default_factory=set)
    file_links: list[str] = field(default_factory=list)
    attached: dict[str, bool] = field(default_factory=dict)


def look_at_objects(document: pikepdf.Pdf, notebook: Notebook) -> None:
    """Write down what no reader should run, and what staff should know of."""
    seen = _Seen()
    for found in document.objects:
        if isinstance(found, pikepdf.Object):
            for dictionary in _suspects(found):
                _look_at(dictionary, seen, notebook)
    for code in sorted(seen.codes):
        notebook.add(code)
    for name, is_program in seen.attached.items():
        notebook.add("pdf-program-attached" if is_program else "pdf-attachment", name=name)
    if seen.file_links:
        notebook.add("pdf-file-links", count=len(seen.file_links), example=seen.file_links[0])
    active = (*_ACTIONS.values(), "pdf-xfa", "pdf-rich-media", "pdf-program-attached")
    notebook.passes("pdf-no-active-content", unless=(*active, "pdf-attachment"))


def _suspects(found: pikepdf.Object) -> Iterator[pikepdf.Object]:
    if isinstance(found, pikepdf.Stream):
        dictionary: pikepdf.Object = found.stream_dict
        text = dictionary.unparse()
    else:
        dictionary = found
        text = found.unparse(resolved=True)
    return _dictionaries(dictionary, 0) if _WORTH_A_LOOK.search(text) else iter(())


def _dictionaries(found: pikepdf.Object, depth: int) -> Iterator[pikepdf.Object]:
    """This dictionary and those written directly inside it; indirect ones get their own turn."""
    inner: list[pikepdf.Object] = []
    if isinstance(found, pikepdf.Dictionary):
        yield found
        inner = [value for _, value in found.items()]
    elif isinstance(found, pikepdf.Array):
        inner = list(found)
    for value in inner:
        if isinstance(value, (pikepdf.Dictionary, pikepdf.Array)) and not value.is_indirect:
            if depth >= _DEEPEST:
                raise ValueError("nested too deeply")
            yield from _dictionaries(value, depth + 1)


def _look_at(found: pikepdf.Object, seen: _Seen, notebook: Notebook) -> None:
    seen.codes.update(_active_parts(found))
    if found.get("/Subtype") == "/Image":
        width, height = int(found.get("/Width", 0)), int(found.get("/Height", 0))
        if width * height > _LARGEST_IMAGE:
            notebook.add("pdf-image-size", width=f"{width:,}", height=f"{height:,}")
    if "/URI" in found:
        _look_at_link(found, seen)
    if "/EF" in found:
        _look_at_attachment(found, seen)


def _active_parts(found: pikepdf.Object) -> Iterator[str]:
    action = found.get("/S")
    if isinstance(action, pikepdf.Name) and str(action) in _ACTIONS:
        yield _ACTIONS[str(action)]
    if "/JS" in found:
        yield "pdf-javascript"
    if "/XFA" in found:
        yield "pdf-xfa"
    if found.get("/Subtype") == "/RichMedia" or "/RichMediaContent" in found:
        yield "pdf-rich-media"
    if "/ByteRange" in found and "/Contents" in found:
        yield "pdf-signed"


def _look_at_link(action: pikepdf.Object, seen: _Seen) -> None:
    address = action.get("/URI")
    if not isinstance(address, pikepdf.String):
        return
    text = str(address).strip().lower()
    if text.startswith("javascript:"):
        seen.codes.add("pdf-javascript")
    elif text.startswith("file:"):
        seen.file_links.append(str(address))


def _look_at_attachment(file: pikepdf.Object, seen: _Seen) -> None:
    name = str(file.get("/UF", file.get("/F", "without a name")))
    is_program = name.lower().strip().endswith(_PROGRAM_ENDINGS)
    for content in dict(file.EF.items()).values():
        if isinstance(content, pikepdf.Stream):
            is_program = is_program or content.read_bytes().startswith(_PROGRAM_STARTS)
    seen.attached[name] = seen.attached.get(name, False) or is_program
