"""XML from strangers: no network, no DTD loaded, no entity expanded."""

from typing import Any, TypeAlias

from lxml import etree

Tree: TypeAlias = Any


class NotWellFormed(Exception):
    """The text is not XML; the line and what the parser says about it."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


def parse(content: bytes) -> Tree:
    """The root element; raises NotWellFormed."""
    try:
        return etree.fromstring(content, _parser(recover=False))
    except etree.XMLSyntaxError as fault:
        if fault.code == etree.ErrorTypes.ERR_NO_MEMORY:
            raise MemoryError from None
        what = str(fault.msg or "empty").split(", line ")[0].strip().rstrip(".")
        raise NotWellFormed(fault.lineno or 1, what) from None
    except ValueError as fault:
        raise NotWellFormed(1, str(fault)) from None


def parse_leniently(content: bytes) -> Tree | None:
    """The root element of what can be made out, or None."""
    try:
        return etree.fromstring(content.strip(b"\0"), _parser(recover=True))
    except (etree.XMLSyntaxError, ValueError):
        return None


def defines_entities(root: Tree, *, any_at_all: bool) -> bool:
    """Whether the document defines entities: any at all, or such as nest or reach outside."""
    declared = root.getroottree().docinfo.internalDTD
    if declared is None:
        return False
    if any_at_all:
        return any(True for _ in declared.iterentities())
    return any(
        entity.content is None or "&" in entity.content or "%" in entity.content
        for entity in declared.iterentities()
    )


def _parser(*, recover: bool) -> Any:
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=recover,
        remove_comments=True,
        remove_pis=True,
    )
