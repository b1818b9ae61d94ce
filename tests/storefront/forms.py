"""Filling in and sending the forms of a page, as a browser without scripts would."""

from xml.etree.ElementTree import Element

from tests.pages import Page


def fields_of(html: str, form_with: str = "") -> dict[str, str]:
    """Name and value of every field of the first form that has a field `form_with`; an unticked
    box is left out, as a browser does."""
    forms = [_values(form) for form in Page(html).all("form")]
    return next(values for values in forms if not form_with or form_with in values)


def text_of(html: str, tag: str = "main") -> str:
    """The words of the first such element, blanks as one."""
    return " ".join("".join(Page(html).all(tag)[0].itertext()).split())


def _values(form: Element) -> dict[str, str]:
    inputs = [one.attrib for one in form.iter("input")]
    return {
        one["name"]: one.get("value", "")
        for one in inputs
        if "name" in one and (one.get("type") != "checkbox" or "checked" in one)
    }
