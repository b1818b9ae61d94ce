"""Markdown that staff write, as safe HTML for pages and letters and as plain text."""

import re
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

_TAGS = {"p", "ul", "ol", "li", "em", "strong", "a", "h3", "h4", "blockquote", "br", "code", "hr"}


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "breaks": False})


@lru_cache(maxsize=256)
def render_markdown(text: str) -> Markup:
    """Sanitised HTML: paragraphs, lists, emphasis, links, small headings; no pictures, no HTML of
    the writer's own."""
    html = _parser().render(text)
    # Headings start below those of the page.
    html = re.sub(r"<(/?)h[12]>", r"<\1h3>", html)
    html = re.sub(r"<(/?)h[56]>", r"<\1h4>", html)
    cleaned = nh3.clean(
        html, tags=_TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https", "mailto"}
    )
    return Markup(cleaned.strip())  # noqa: S704 - nh3 has cleaned it


def plain_lines(text: str) -> str:
    """The same for the text part of a letter: as written, links with their address behind."""
    text = re.sub(r"\[([^\]]+)\]\((\S+?)\)", r"\1 (\2)", text)
    return re.sub(r"(\*\*|__)(.+?)\1", r"\2", text).strip()
