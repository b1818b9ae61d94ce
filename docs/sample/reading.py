"""Read the sample's one source text and cut it into the chapters of one edition."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

HERE = Path(__file__).parent
MARK = re.compile(r"<!-- (?:every edition|edition (\d+)) -->")
BOX = "[ ] "


@dataclass(frozen=True)
class Chapter:
    """One chapter: its number (0 for the preface), title and Markdown tokens without the title."""

    number: int
    title: str
    tokens: list[Token]

    @property
    def name(self) -> str:
        return re.sub(r"[^a-z]+", "-", self.title.lower()).strip("-")


def markdown() -> MarkdownIt:
    """The reader of the source: CommonMark with tables and curled quotation marks."""
    options = {"typographer": True, "quotes": "“”‘’"}
    return MarkdownIt("commonmark", options).enable(["table", "smartquotes", "replacements"])


def read_chapters(edition: int) -> list[Chapter]:
    """The chapters of one edition, in reading order."""
    source = "\n".join(_lines_of((HERE / "text.md").read_text("utf-8"), edition))
    parts = re.split(r"^# (.+)$", source, flags=re.MULTILINE)[1:]
    return [
        Chapter(number, title, _parse(body))
        for number, (title, body) in enumerate(zip(parts[::2], parts[1::2], strict=True))
    ]


def _lines_of(source: str, edition: int) -> Iterator[str]:
    wanted = None
    for line in source.splitlines():
        if mark := MARK.fullmatch(line):
            wanted = int(mark[1]) if mark[1] else None
        elif wanted in (None, edition):
            yield line


def _parse(body: str) -> list[Token]:
    tokens = markdown().parse(body)
    lists: list[Token] = []
    for token in tokens:
        if token.type.endswith("_list_open"):
            lists.append(token)
        elif token.type.endswith("_list_close"):
            lists.pop()
        elif lists and token.type == "inline" and token.content.startswith(BOX):
            lists[-1].attrSet("class", "checks")
            first = (token.children or [])[0]
            first.content = first.content.removeprefix(BOX)
    return tokens


def tree(tokens: list[Token]) -> list[dict[str, Any]]:
    """The tokens as plain nested values, which the PDF's layout walks."""
    return [_plain(node) for node in SyntaxTreeNode(tokens).children]


def _plain(node: SyntaxTreeNode) -> dict[str, Any]:
    return {
        "type": node.type,
        "text": node.content if node.type == "text" else "",
        "tag": node.tag,
        "class": node.attrs.get("class", ""),
        "href": node.attrs.get("href", ""),
        "children": [_plain(child) for child in node.children],
    }
