"""What stands in a page that can bear out a claim to be accessible, counted."""

from collections import Counter

from store.catalog.gate.xml import Tree

_TYPE = "{http://www.idpf.org/2007/ops}type"
_SSML = "{http://www.w3.org/2001/10/synthesis}"
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_DESCRIBING = ("aria-describedby", "aria-details", "longdesc")
_NAMING = ("aria-label", "aria-labelledby", "title")


def count_features(root: Tree) -> Counter[str]:
    """By name: pictures described, left undescribed and marked as mere ornament, headings, page
    breaks, formulas, film, captions, marks for speech, entries of contents and page list."""
    found: Counter[str] = Counter()
    for element in root.iter("{*}*"):
        kind = element.tag.rpartition("}")[2].lower()
        found.update(_of(element, kind))
    return found


def _of(element: Tree, kind: str) -> list[str]:
    types = f"{element.get(_TYPE, '')} {element.get('role', '')}".split()
    found = [name for name, is_there in (
        ("headings", kind in _HEADINGS),
        ("page-breaks", "pagebreak" in types or "doc-pagebreak" in types),
        ("formulas", kind == "math"),
        ("film", kind in {"video", "audio"}),
        ("captions", kind == "track" and element.get("kind") in {None, "captions", "subtitles"}),
        ("speech", any(str(name).startswith(_SSML) for name in element.attrib)),
        ("long-descriptions", any(element.get(name) for name in _DESCRIBING)),
        ("contents", kind == "navpoint"),
        ("page-list", kind == "pagetarget"),
    ) if is_there]  # fmt: skip
    if kind == "nav":
        entries = sum(1 for one in element.iter("{*}a") if one.get("href"))
        found += ["contents"] * entries if "toc" in types else []
        found += ["page-list"] * entries if "page-list" in types else []
    if kind in {"img", "svg"}:
        found.append(_picture(element, kind))
    return found


def _picture(element: Tree, kind: str) -> str:
    if element.get("role") in {"presentation", "none"} or element.get("aria-hidden") == "true":
        return "ornaments"
    named = any(str(element.get(name, "")).strip() for name in _NAMING)
    if kind == "svg":
        titled = any(str(one.text or "").strip() for one in element.iter("{*}title", "{*}desc"))
        return "described" if named or titled else "undescribed"
    words = element.get("alt")
    if named or str(words or "").strip():
        return "described"
    return "undescribed" if words is None else "ornaments"
