"""Markdown that staff write, as safe HTML for pages and letters and as plain text.

An address stands as it was written: neither its stars nor its underscores are taken for emphasis,
and a double underscore is no mark at all. What is relative leads into the shop or is no link.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline, emphasis
from markdown_it.token import Token
from markupsafe import Markup

_TAGS = {"p", "ul", "ol", "li", "em", "strong", "a", "h3", "h4", "blockquote", "br", "code", "hr"}
_SCHEMES = {"http", "https", "mailto"}

_IN_ADDRESS = r"(?:[^\s<>`\"\[\]]|\[[^\s<>`\"\[\]]*\])+"
_ADDRESS = re.compile(rf"(?:https?://|www\.){_IN_ADDRESS}", re.IGNORECASE)
_SCHEME = re.compile(r"(?<![A-Za-z0-9])https?$", re.IGNORECASE)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_LONGEST_SCHEME = 5
_LONGEST_ADDRESS = 2000

# What must not be touched in the text part, in the order in which it is looked for.
_DEST = r"(?:[^\s()<>\\]|\\.|\((?:[^\s()<>\\]|\\.|\([^\s()<>\\]*\))*\))*"
_PIECE = re.compile(
    r"(?P<code>(?P<ticks>(?<!`)`+(?!`)).+?(?<!`)(?P=ticks)(?!`))"
    r"|(?P<link>!?\[(?P<label>(?:[^\[\]\\]|\\.|\[[^\[\]]*\])*)\]"
    rf"(?:\(\s*(?:<(?P<angled>[^<>\n]*)>|(?P<dest>{_DEST}))(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)"
    r"|\[(?P<reference>[^\[\]]*)\])?)"
    r"|<(?P<auto>(?:https?://|mailto:)[^\s<>]*)>"
    rf"|(?P<address>(?:https?://|www\.){_IN_ADDRESS})",
    re.IGNORECASE,
)
_DEFINITION = re.compile(
    r"^ {0,3}\[([^\[\]]+)\]:[ \t]*<?(\S+?)>?(?:[ \t]+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?[ \t]*(?:\n|\Z)",
    re.MULTILINE,
)
_STRONG = re.compile(r"(?<![\w*])\*\*(?=[^\s*])(.+?)(?<=[^\s*])\*\*(?![\w*])")
_MARK_ESCAPED = re.compile(r"\\([*_\[\]()#`])")
_KEPT = re.compile("\ue000(\\d+)\ue001")

# What a letter's styles add to each of these elements, at most.
_STYLED = ("<p>", "<ul>", "<a ")
_STYLE_BYTES = 60
# Markdown is hardly ever longer than its HTML.
_SOURCE_SHARE = 2


@dataclass(frozen=True)
class Cut:
    """The beginning of a text that was too long, or the whole; `ends` are its last words."""

    text: str
    is_cut: bool
    ends: str = ""


@lru_cache(maxsize=64)
def render_markdown(text: str, base_url: str) -> Markup:
    """Sanitised HTML: paragraphs, lists, emphasis, links, small headings; no HTML of the writer's
    own. A picture becomes a link to it; a link that leads nowhere becomes its words."""
    env: dict[str, Any] = {}
    tokens = _parser().parse(text, env)
    for token in tokens:
        if token.children:
            token.children = _with_links_mended(token.children, base_url)
    html: str = _parser().renderer.render(tokens, _parser().options, env)
    # Headings start below those of the page.
    html = re.sub(r"<(/?)h[12]>", r"<\1h3>", html)
    html = re.sub(r"<(/?)h[56]>", r"<\1h4>", html)
    cleaned = nh3.clean(html, tags=_TAGS, attributes={"a": {"href"}}, url_schemes=_SCHEMES)
    return Markup(cleaned.strip())  # noqa: S704 - nh3 has cleaned it


@lru_cache(maxsize=64)
def plain_lines(text: str, base_url: str) -> str:
    """The same for the text part of a letter: as written, links with their address behind."""
    targets = {found[1].casefold(): found[2] for found in _DEFINITION.finditer(text)}
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        address = found["address"]
        tail = address[len(_without_tail(address)) :] if address else ""
        kept.append(_plain_piece(found, targets, base_url).removesuffix(tail))
        return f"\ue000{len(kept) - 1}\ue001{tail}"

    def give_back(found: re.Match[str]) -> str:
        place = int(found[1])
        return kept[place] if place < len(kept) else found[0]

    text = _PIECE.sub(keep, _DEFINITION.sub("", text) if targets else text)
    text = _MARK_ESCAPED.sub(r"\1", _STRONG.sub(r"\1", text))
    return _KEPT.sub(give_back, text).strip()


def dead_links(text: str) -> list[str]:
    """The addresses of links that lead nowhere outside a web page of their own, in order."""
    return [href for href in _targets(text, "link_open", "href") if resolved(href, "") is None]


def pictures(text: str) -> list[str]:
    """The addresses of pictures, which neither letter nor page shows."""
    return _targets(text, "image", "src")


def resolved(href: str, base_url: str) -> str | None:
    """The address of a link as it works in a letter; None where it leads nowhere there."""
    try:
        parts = urlsplit(href)
    except ValueError:
        return None
    if parts.scheme in _SCHEMES:
        return href if parts.netloc or (parts.scheme == "mailto" and parts.path) else None
    if parts.scheme:
        return None
    if parts.netloc or href.lower().startswith("www."):
        return f"https://{href.removeprefix('//')}"
    return base_url + href if href.startswith("/") else None


@lru_cache(maxsize=64)
def cut_markdown(text: str, most: int) -> Cut:
    """The text as far as its HTML keeps to `most` bytes with a letter's styles in it: whole blocks
    and items of lists, or whole sentences where one block alone fills half of it."""
    if _fits(text, most):
        return Cut(text, is_cut=False)
    definitions = "".join(found[0] for found in _DEFINITION.finditer(text))
    most -= len(definitions)
    beginning = text[: most * _SOURCE_SHARE]  # no more of it can fit
    lines = beginning.split("\n")
    edges = sorted({token.map[1] for token in _parser().parse(beginning) if token.map})
    count = _largest(len(edges), lambda n: _fits("\n".join(lines[: edges[n - 1]]), most))
    whole = "\n".join(lines[: edges[count - 1]]) if count else ""
    if count < len(edges) and _fits(whole, most // 2):
        begin = edges[count - 1] if count else 0
        whole += _beginning("\n".join(lines[begin : edges[count]]), whole, most)
    ends = " ".join(plain_lines(whole[-1000:], "").split()[-6:])[-60:]
    return Cut(f"{whole.rstrip()}\n\n{definitions}".strip(), is_cut=True, ends=ends)


def parts_of(text: str, most: int) -> list[str]:
    """The whole text in parts of about `most` characters: between two paragraphs in the second half of
    a part, else between two lines, else between two words. What names the address of links stands in
    each, where that is little."""
    definitions = "".join(found[0] for found in _DEFINITION.finditer(text))
    parts = []
    while len(text) > most:
        room = text[:most]
        ends = [room.rfind(mark, most // 2) for mark in ("\n\n", "\n", " ")]
        end = next((one for one in ends if one > 0), most)
        parts.append(text[:end].rstrip())
        text = text[end:].lstrip("\n ")
    parts.append(text)
    if definitions and len(parts) > 1 and len(definitions) * 4 < most:
        parts = [f"{one}\n\n{definitions}" for one in parts]
    return parts


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": False})
    parser.inline.ruler.after("text", "address", _address)
    parser.inline.ruler.at("emphasis", _emphasis)
    return parser


def _address(state: StateInline, silent: bool) -> bool:
    """An address written plainly becomes a link, whole and as it stands."""
    if not state.src.startswith("://", state.pos):
        return False
    scheme = _SCHEME.search(state.src[max(0, state.pos - _LONGEST_SCHEME - 1) : state.pos])
    if scheme is None:
        return False
    found = _ADDRESS.match(state.src, state.pos - len(scheme[0]), state.posMax)
    written = _without_tail(found[0]) if found else ""
    if len(written) <= len(scheme[0]) + len("://"):
        return False
    if not silent:
        state.pending = state.pending[: -len(scheme[0])]
        url = _ESCAPED.sub(r"\1", written)
        href = state.md.normalizeLink(url)
        is_link = state.linkLevel == 0 and state.md.validateLink(href)
        if is_link:
            state.push("link_open", "a", 1).attrs = {"href": href}
        state.push("text", "", 0).content = url
        if is_link:
            state.push("link_close", "a", -1)
    state.pos += len(written) - len(scheme[0])
    return True


def _without_tail(address: str) -> str:
    """Without the marks that end a sentence or emphasis, and a bracket that was opened before."""
    while address:
        last = address[-1]
        closes = last == ")" and address.count(")") > address.count("(")
        if not closes and last not in ".,;:!?'*_~":
            break
        address = address[:-1]
    return address


def _emphasis(state: StateInline, silent: bool) -> bool:
    mark = state.src[state.pos]
    if mark not in "*_":
        return False
    count = state.scanDelims(state.pos, mark == "*").length
    if (mark == "_" and count > 1) or _within_address(state.src, state.pos):
        if not silent:
            state.pending += mark * count
        state.pos += count
        return True
    return emphasis.tokenize(state, silent)


def _within_address(text: str, at: int) -> bool:
    near = max(0, at - _LONGEST_ADDRESS)
    begin = max(near, *(text.rfind(blank, near, at) + 1 for blank in " \n\t"))
    if "www." not in text[begin:at].lower():
        return False  # what has a scheme was taken whole
    found = _ADDRESS.search(text, begin, at + _LONGEST_ADDRESS)
    return found is not None and found.start() < at < found.start() + len(_without_tail(found[0]))


def _with_links_mended(tokens: list[Token], base_url: str) -> list[Token]:
    mended: list[Token] = []
    is_open: list[bool] = []
    for token in tokens:
        if token.type == "link_open":
            href = resolved(str(token.attrs.get("href", "")), base_url)
            is_open.append(href is not None)
            token.attrs["href"] = href or ""
        if token.type == "image":
            mended += _picture_as_link(token, base_url, is_in_link=any(is_open))
        elif not token.type.startswith("link_") or is_open[-1]:
            mended.append(token)
        if token.type == "link_close":
            is_open.pop()
    return mended


def _picture_as_link(token: Token, base_url: str, *, is_in_link: bool) -> list[Token]:
    source = str(token.attrs.get("src", ""))
    href = resolved(source, base_url)
    words = Token("text", "", 0, content=token.content or source)
    if href is None or is_in_link:
        return [words]
    return [Token("link_open", "a", 1, attrs={"href": href}), words, Token("link_close", "a", -1)]


def _targets(text: str, kind: str, attribute: str) -> list[str]:
    found = (
        str(child.attrs.get(attribute, ""))
        for token in _parser().parse(text)
        for child in token.children or []
        if child.type == kind
    )
    return list(dict.fromkeys(found))


def _plain_piece(found: re.Match[str], targets: dict[str, str], base_url: str) -> str:
    if found["address"]:
        return _ESCAPED.sub(r"\1", found[0])
    if found["auto"]:
        return found["auto"].removeprefix("mailto:")
    if found["link"] is None:
        return found[0]
    given = found["angled"] if found["angled"] is not None else found["dest"]
    if given is None:
        given = targets.get((found["reference"] or found["label"]).casefold())
    if given is None:
        return found[0]
    label = _MARK_ESCAPED.sub(r"\1", _STRONG.sub(r"\1", found["label"])).strip()
    href = resolved(_ESCAPED.sub(r"\1", given), base_url)
    if href is None or label in (href, given):
        return href or label or given
    address = href.removeprefix("mailto:")
    return f"{label} ({address})" if label and label != address else address


def _fits(text: str, most: int) -> bool:
    if len(text) > most * _SOURCE_SHARE:
        return False
    html = render_markdown.__wrapped__(text, "https://shop.example.org")
    styled = sum(html.count(start) for start in _STYLED)
    return len(html.encode()) + _STYLE_BYTES * styled <= most


def _largest(count: int, holds: Any) -> int:
    """The largest of 1 to `count` for which it holds, 0 for none; it holds up to some number."""
    least, most = 0, count
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if holds(middle) else (least, middle - 1)
    return least


def _beginning(block: str, before: str, most: int) -> str:
    """As many sentences of a block as still fit behind `before`; words where it has no sentences."""
    length = _largest(len(block), lambda n: _fits(f"{before}\n{block[:n]}", most))
    inside = [found.span() for found in _PIECE.finditer(block, 0, min(len(block), length + 5000))]
    for pattern in (r"[.!?…](?=\s)|\n", r"\s"):
        for found in reversed(list(re.finditer(pattern, block[:length]))):
            at = found.end()
            if at > length // 2 and not any(begin < at < end for begin, end in inside):
                return f"\n{block[:at].rstrip()}"
    return f"\n{block[:length]}"
