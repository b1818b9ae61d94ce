"""What holds of every page and of every letter's HTML, asked wherever a test fetches one."""

import json
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

import html5lib
from flask.testing import FlaskClient
from html5lib.constants import E as PARSE_ERRORS

SVG = "{http://www.w3.org/2000/svg}"
UNLABELLED_TYPES = {"hidden", "submit", "button", "reset", "image"}
REFERENCES = ("for", "aria-describedby", "aria-labelledby", "aria-controls", "list", "form")
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "audio": "src"}
LOADING |= {"video": "src", "embed": "src", "object": "data", "input": "src", "track": "src"}
HARMLESS_LINKS = {"canonical", "alternate", "next", "prev", "license", "author"}


class Page:
    """A parsed page: its elements in order, each with its ancestors."""

    def __init__(self, html: str) -> None:
        parser = html5lib.HTMLParser(
            tree=html5lib.getTreeBuilder("etree"), namespaceHTMLElements=False
        )
        self.root: Element = parser.parse(html)
        self.errors = parser.errors
        self.elements: list[tuple[Element, tuple[Element, ...]]] = list(_walk(self.root, ()))
        self.ids = Counter(one.attrib["id"] for one, _ in self.elements if "id" in one.attrib)

    def all(self, *tags: str) -> list[Element]:
        return [element for element, _ in self.elements if element.tag in tags]


def _walk(
    element: Element, above: tuple[Element, ...]
) -> Iterator[tuple[Element, tuple[Element, ...]]]:
    if not isinstance(element.tag, str):
        return
    yield element, above
    for child in element:
        yield from _walk(child, (*above, element))


def _text(element: Element) -> str:
    return "".join(element.itertext()).strip()


def _show(element: Element) -> str:
    facts = "".join(f' {name}="{value}"' for name, value in sorted(element.attrib.items()))
    return f"<{element.tag.removeprefix(SVG)}{facts}>"


def _parse_faults(page: Page) -> Iterator[str]:
    for (line, column), code, data in page.errors:
        words = PARSE_ERRORS.get(code, code)
        yield f"line {line}, column {column}: {words % data if data else words}"


def _frame_faults(page: Page) -> Iterator[str]:
    headings, mains = page.all("h1"), page.all("main")
    titles = [e for e, above in page.elements if e.tag == "title" and above[-1].tag == "head"]
    if len(headings) != 1:
        yield f"{len(headings)} h1 instead of one"
    if any(not _text(heading) for heading in headings):
        yield "an empty h1"
    if len(titles) != 1 or not _text(titles[0]):
        yield "no words in <title>"
    if not page.root.attrib.get("lang"):
        yield "<html> says no language"
    if len(mains) != 1:
        yield f"{len(mains)} main instead of one"
    yield from _skip_faults(page, mains)


def _skip_faults(page: Page, mains: list[Element]) -> Iterator[str]:
    links = page.all("a")
    target = links[0].attrib.get("href", "") if links else ""
    if not target.startswith("#"):
        yield "the first link does not skip to the main part"
    elif mains and mains[0].attrib.get("id") != target[1:]:
        yield f"the skip link's target {target} is not <main>"


def _is_labelled(page: Page, field: Element, above: tuple[Element, ...]) -> bool:
    if any(field.attrib.get(name, "").strip() for name in ("aria-label", "aria-labelledby")):
        return True
    if any(one.tag == "label" and _text(one) for one in above):
        return True
    own = field.attrib.get("id")
    return own is not None and any(
        label.attrib.get("for") == own and _text(label) for label in page.all("label")
    )


def _field_faults(page: Page) -> Iterator[str]:
    for element, above in page.elements:
        if element.tag == "button":
            if "type" not in element.attrib and not any(one.tag == "form" for one in above):
                yield f"a button without type outside a form: {_show(element)}"
            if not _text(element) and not element.attrib.get("aria-label"):
                yield f"a button without words: {_show(element)}"
        if element.tag not in ("input", "select", "textarea"):
            continue
        if element.tag == "input" and element.attrib.get("type") in UNLABELLED_TYPES:
            continue
        if not _is_labelled(page, element, above):
            yield f"no label: {_show(element)}"


def _reference_faults(page: Page) -> Iterator[str]:
    for name, count in page.ids.items():
        if count > 1:
            yield f"id {name!r} stands {count} times"
        if not name or any(letter.isspace() for letter in name):
            yield f"id {name!r} is empty or holds a blank"
    for element, _ in page.elements:
        for attribute in REFERENCES:
            for name in element.attrib.get(attribute, "").split():
                if name not in page.ids:
                    yield f'{attribute}="{name}" leads nowhere'
        href = element.attrib.get("href", "")
        if href.startswith("#") and href[1:] not in page.ids:
            yield f'href="{href}" leads nowhere'


def _inline_faults(page: Page) -> Iterator[str]:
    for element, _ in page.elements:
        if element.tag in ("style", f"{SVG}style"):
            yield "a <style> element"
        if element.tag in ("script", f"{SVG}script") and "src" not in element.attrib:
            yield from _script_faults(element)
        for name, value in element.attrib.items():
            if name == "style":
                yield f"a style attribute: {_show(element)}"
            if name.startswith("on"):
                yield f"a handler {name} on <{element.tag}>"
            if value.strip().lower().startswith("javascript:"):
                yield f"a javascript: address in {name}"


def _script_faults(element: Element) -> Iterator[str]:
    if element.attrib.get("type") != "application/ld+json":
        yield "an inline <script>"
        return
    try:
        json.loads(element.text or "")
    except ValueError:
        yield "structured data that is not JSON"


def _image_faults(page: Page) -> Iterator[str]:
    for image in page.all("img"):
        if "alt" not in image.attrib:
            yield f"an img without alt: {_show(image)}"
    for drawing in page.all(f"{SVG}svg"):
        named = drawing.attrib.get("aria-label") or any(
            child.tag == f"{SVG}title" and _text(child) for child in drawing
        )
        if drawing.attrib.get("aria-hidden") != "true" and not named:
            yield f"a drawing without a name: {_show(drawing)}"


def _loaded(element: Element) -> Iterator[str]:
    attributes = element.attrib
    if element.tag in LOADING:
        yield attributes.get(LOADING[element.tag], "")
        yield attributes.get("poster", "")
        yield from (part.split()[0] for part in attributes.get("srcset", "").split(",") if part)
    if element.tag == "link" and not HARMLESS_LINKS & set(attributes.get("rel", "").split()):
        yield attributes.get("href", "")
    if element.tag in (f"{SVG}image", f"{SVG}use"):
        yield attributes.get("href", "")
        yield attributes.get("{http://www.w3.org/1999/xlink}href", "")


def _resource_faults(page: Page) -> Iterator[str]:
    for element, _ in page.elements:
        for address in _loaded(element):
            parts = urlsplit(address.strip())
            if parts.scheme or parts.netloc:
                yield f"a resource from elsewhere: {address[:60]}"


def _raise(faults: list[str], what: str) -> None:
    if faults:
        raise AssertionError(f"{what}: " + "; ".join(faults))


def check_page(html: str, *, path: str) -> None:
    """Raise AssertionError naming every fault of a page that was fetched from ``path``."""
    page = Page(html)
    checks = (_parse_faults, _frame_faults, _field_faults, _reference_faults)
    checks += (_inline_faults, _image_faults, _resource_faults)
    _raise([fault for check in checks for fault in check(page)], path)


def check_letter_html(html: str) -> None:
    """Raise AssertionError naming every fault of a letter's HTML part; styles are allowed there.

    A letter loads nothing but pictures that are the same for everybody, runs nothing, asks for
    nothing to be filled in, and keeps to absolute addresses, for it is read far away from the shop.
    """
    page = Page(html)
    faults = list(_parse_faults(page)) + list(_letter_faults(page))
    faults += [fault for fault in _reference_faults(page) if not fault.startswith("href")]
    _raise(faults, "letter")


def _letter_faults(page: Page) -> Iterator[str]:
    if len(page.all("h1")) != 1:
        yield f"{len(page.all('h1'))} h1 instead of one"
    if not any(_text(title) for title in page.all("title")):
        yield "no words in <title>"
    if not page.root.attrib.get("lang"):
        yield "<html> says no language"
    for element, _ in page.elements:
        if any(name.startswith("on") for name in element.attrib):
            yield f"a handler on <{element.tag}>"
        if element.tag in ("script", "form", "link", *LOADING) and element.tag != "img":
            yield f"<{element.tag}> has no place in a letter"
        if element.tag == "table" and element.attrib.get("role") != "presentation":
            yield "a table for the layout without role=presentation"
        if element.tag in ("a", "img"):
            yield from (_address_faults if element.tag == "a" else _picture_faults)(element)
        if "url(" in element.attrib.get("style", "") + (
            element.text or "" if element.tag == "style" else ""
        ):
            yield "a style that loads something"


def _picture_faults(picture: Element) -> Iterator[str]:
    address = urlsplit(picture.attrib.get("src", ""))
    kept = address.path.startswith(("/covers/", "/face/"))
    drawn = address.path.startswith("/publications/") and address.path.endswith("/cover.png")
    is_ours = (kept or drawn) and not address.query
    if not (address.scheme.startswith("http") and is_ours):
        yield f"a picture that is none of ours: {_show(picture)}"
    if "alt" not in picture.attrib or "width" not in picture.attrib:
        yield f"a picture without words or width: {_show(picture)}"


def _address_faults(link: Element) -> Iterator[str]:
    address = urlsplit(link.attrib.get("href", ""))
    if address.scheme not in ("http", "https", "mailto", "tel"):
        yield f"a link without a whole address: {_show(link)}"
    if not _text(link) and not any(one.attrib.get("alt") for one in link.iter()):
        yield f"a link without words: {_show(link)}"


def page_at(client: FlaskClient, path: str) -> str:
    """The page at a path, checked."""
    answer = client.get(path)
    assert answer.status_code == 200, f"{path}: {answer.status}"
    check_page(answer.text, path=path)
    return answer.text


def read(client: FlaskClient, path: str) -> str:
    """The same on one line, each run of blanks as one."""
    return " ".join(page_at(client, path).split())
