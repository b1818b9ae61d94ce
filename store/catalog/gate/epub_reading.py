"""The chapters of an EPUB as HTML to be read in a page of ours.

Every tag is written here, by its name in our own list; of a book's attributes only language,
direction, addresses on the web and the shape of tables come along. A picture is left out, its
words stay. What has no block round it gets a paragraph.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

from store.catalog.gate.epub_archive import open_archive
from store.catalog.gate.epub_package import read_package, read_xml
from store.catalog.gate.languages import is_language
from store.catalog.gate.pieces import Chapter, NoPart, Reading
from store.catalog.gate.report import Notebook, Stop, shorten
from store.catalog.gate.xml import Tree


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LISTS = frozenset({"ul", "ol"})
_INLINE = _names(
    "abbr b br cite code dfn em i kbd mark q rp rt ruby s samp small strong sub sup u var"
)
# Without what stands in them.
_LEFT_OUT = _names(
    "applet audio base button canvas datalist embed frame frameset head iframe input link map meta "
    "nav noembed noscript object param progress script select style template textarea title track "
    "video"
)
# Read for what stands in them; with a block inside a block, else a paragraph.
_HOLDERS = _names(
    "address article aside body center details div fieldset figcaption figure footer form header "
    "hgroup main section summary"
)
_BLOCKS = (
    frozenset({"p", "blockquote", "dl", "hr", "pre", "table", "li", "dt", "dd"})
    | _LISTS
    | _HOLDERS
    | _HEADINGS.keys()
)
_WEB = frozenset({"http", "https", "mailto"})
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_XLINK_TITLES = ("{*}title", "{*}desc")
_MOST_SPANNED = 50
# Short documents (title page, preface) are read on one page with what follows them.
_WORDS_OF_PAGE = 2500
_WORDS_OF_TEXT = 60
_LONGEST_BOOK = 2_000_000  # characters of HTML
_OPENING_FROM = 40  # words
_OPENING_UPTO = 130
_SHORTEST_LAST = 8  # words; less is a heading in disguise
_TITLE = 160


def read_book(path: Path) -> Reading:
    """What there is to read in this EPUB, in the order of the book. Raises NoPart."""
    notebook = Notebook()
    documents: list[_Document] = []
    with path.open("rb") as stream:
        try:
            archive = open_archive(stream, notebook)
            package = read_package(archive, notebook)
            listed = {item.name: item for item in package.items.values()}
            for name in package.spine:
                if listed[name].is_contents or not listed[name].is_page:
                    continue
                root = read_xml(archive, name, notebook, is_page=True)
                if root is not None:
                    documents.append(_read(root))
        except (Stop, KeyError):
            raise NoPart("This EPUB could not be read.") from None
    documents = _from_the_text_on([one for one in documents if one.words])
    if sum(len(one.html) for one in documents) > _LONGEST_BOOK:
        raise NoPart("This EPUB is too long to be a sample. Upload some of its chapters.")
    return Reading(list(_gathered(documents)), _opening(documents))


@dataclass
class _Document:
    """One file of the book: its blocks, its words, and its headings and paragraphs as text."""

    html: str = ""
    words: int = 0
    told: list[tuple[str, str]] = field(default_factory=list)

    @property
    def title(self) -> str:
        return next((text for kind, text in self.told if kind == "h"), "")


def _from_the_text_on(documents: list[_Document]) -> list[_Document]:
    """Without cover and title page, which say what the shop's own page does."""
    first = next((at for at, one in enumerate(documents) if one.words >= _WORDS_OF_TEXT), 0)
    return documents[first:]


def _gathered(documents: list[_Document]) -> Iterable[Chapter]:
    waiting: list[_Document] = []
    for one in [*documents, None]:
        words = sum(held.words for held in waiting)
        if waiting and (one is None or words + one.words > _WORDS_OF_PAGE):
            longest = max(waiting, key=lambda held: held.words)
            yield Chapter(longest.title, "\n".join(held.html for held in waiting), words)
            waiting = []
        if one is not None:
            waiting.append(one)


def _opening(documents: list[_Document]) -> list[str]:
    """The first heading behind which some paragraphs follow, and as many of them as a look inside
    shows; nothing where there is none."""
    told = [piece for one in documents for piece in one.told]
    for number, (kind, heading) in enumerate(told):
        if kind != "h":
            continue
        found: list[str] = []
        words = 0
        for other, text in told[number + 1 :]:
            words += len(text.split())
            if other != "p" or (found and words > _OPENING_UPTO):
                break
            found.append(text)
        while found and len(found[-1].split()) < _SHORTEST_LAST:
            found.pop()
        if sum(len(text.split()) for text in found) >= _OPENING_FROM:
            return [heading, *found]
    return []


def _read(root: Tree) -> _Document:
    writer = _Writer()
    for body in root.iter("{*}body"):
        writer.document.html += "\n".join(writer.blocks(body))
        break
    language = _language(root)
    if language and writer.document.html:
        writer.document.html = f'<div lang="{language}">\n{writer.document.html}\n</div>'
    writer.document.words = len(_text(writer.plain).split())
    return writer.document


class _Writer:
    """Writes one document; headings begin below those of the page and leave no level out."""

    def __init__(self) -> None:
        self.document = _Document()
        self.plain: list[str] = []
        self._levels: list[int] = []
        self._by_name: dict[str, Callable[[Tree], list[str]]] = {
            "p": self._paragraph,
            "pre": self._preformatted,
            "hr": lambda _rule: ["<hr>"],
            "blockquote": lambda quote: self._around("blockquote", quote),
            "dl": self._terms,
            "table": self._table,
            **dict.fromkeys(_LISTS, self._list),
            **dict.fromkeys(_HEADINGS, self._heading),
        }

    def blocks(self, element: Tree) -> list[str]:
        """What stands in this element, block by block; runs of text between them as paragraphs."""
        written: list[str] = []
        run = [self._words(element.text)]
        for child in element:
            name = _name(child)
            if name in _BLOCKS or (name not in _INLINE and _holds_blocks(child)):
                written += self._as_paragraph(run)
                run = []
                written += self._by_name.get(name, self._held)(child)
            else:
                run.append(self._inline(child))
            run.append(self._words(child.tail))
        return written + self._as_paragraph(run)

    def _held(self, element: Tree) -> list[str]:
        return [] if _name(element) in _LEFT_OUT else self.blocks(element)

    def _as_paragraph(self, run: list[str], attributes: str = "") -> list[str]:
        html = "".join(run).strip()
        if not html:
            return []
        return [f"<p{attributes}>{html}</p>"]

    def _paragraph(self, element: Tree) -> list[str]:
        text = _text([_plain(element)])
        if text:
            self.document.told.append(("p", text))
        return self._as_paragraph([self._within(element)], _attributes(element))

    def _heading(self, element: Tree) -> list[str]:
        html, text = self._within(element).strip(), _text([_plain(element)])
        if not text:
            return []
        level = _HEADINGS[_name(element)]
        while self._levels and self._levels[-1] >= level:
            self._levels.pop()
        self._levels.append(level)
        self.document.told.append(("h", text[:_TITLE]))
        tag = f"h{min(1 + len(self._levels), 6)}"
        return [f"<{tag}{_attributes(element)}>{html}</{tag}>"]

    def _preformatted(self, element: Tree) -> list[str]:
        return [f"<pre>{self._words(_plain(element))}</pre>"]

    def _around(self, tag: str, element: Tree) -> list[str]:
        inside = self._flow(element)
        return [f"<{tag}{_attributes(element)}>{inside}</{tag}>"] if inside else []

    def _flow(self, element: Tree) -> str:
        """The inside of an item or a cell: words, or blocks where there are any."""
        if _holds_blocks(element):
            return "\n".join(self.blocks(element))
        return self._within(element).strip()

    def _list(self, element: Tree) -> list[str]:
        items = [f"<li>{inside}</li>" for one in element if (inside := self._flow_of(one))]
        start = str(element.get("start", ""))
        shown = f' start="{start}"' if _name(element) == "ol" and _is_number(start) else ""
        tag = _name(element)
        return [f"<{tag}{shown}>", *items, f"</{tag}>"] if items else []

    def _flow_of(self, item: Tree) -> str:
        name = _name(item)
        if name in _LEFT_OUT:
            return ""
        return "\n".join(self._list(item)) if name in _LISTS else self._flow(item)

    def _terms(self, element: Tree) -> list[str]:
        parts = [one for one in element.iter() if _name(one) in {"dt", "dd"}]
        parts = [one for one in parts if _nearest(one, "dl") is element]
        if not parts or _name(parts[0]) != "dt" or _name(parts[-1]) != "dd":
            return self.blocks_of(parts)
        written = [f"<{_name(one)}>{self._flow(one)}</{_name(one)}>" for one in parts]
        return ["<dl>", *written, "</dl>"]

    def blocks_of(self, parts: list[Tree]) -> list[str]:
        """The blocks of several elements in a row."""
        return [block for one in parts for block in self.blocks(one)]

    def _table(self, element: Tree) -> list[str]:
        rows = []
        for row in element.iter("{*}tr"):
            cells = [one for one in row if _name(one) in {"td", "th"}]
            if cells and _nearest(row, "table") is element:
                rows.append("<tr>" + "".join(map(self._cell, cells)) + "</tr>")
        caption = next((self._within(one).strip() for one in element.iter("{*}caption")), "")
        head = f"<caption>{caption}</caption>" if caption else ""
        return [f"<table>{head}<tbody>", *rows, "</tbody></table>"] if rows else []

    def _cell(self, cell: Tree) -> str:
        tag, shape = _name(cell), ""
        for name in ("colspan", "rowspan"):
            value = str(cell.get(name, ""))
            if _is_number(value) and 1 < int(value) <= _MOST_SPANNED:
                shape += f' {name}="{int(value)}"'
        if tag == "th" and cell.get("scope") in {"row", "col", "rowgroup", "colgroup"}:
            shape += f' scope="{cell.get("scope")}"'
        return f"<{tag}{shape}>{self._flow(cell)}</{tag}>"

    def _within(self, element: Tree) -> str:
        """What stands in this element as words, whatever blocks it has."""
        parts = [self._words(element.text)]
        for child in element:
            if _name(child) in _BLOCKS:
                parts.append(" ")
            parts += [self._inline(child), self._words(child.tail)]
        return "".join(parts)

    def _inline(self, element: Tree) -> str:
        name = _name(element)
        if name in {"img", "image", "svg", "math"}:
            return escape(_in_words(element, name), quote=False)
        if name in _LEFT_OUT:
            return ""
        if name in {"br", "hr"}:
            return "<br>"
        inside = self._within(element)
        if not inside.strip():
            return inside
        if name == "a" and (address := _address(element)):
            return f'<a href="{escape(address)}">{inside}</a>'
        attributes = _attributes(element)
        if name in _INLINE:
            return f"<{name}{attributes}>{inside}</{name}>"
        return f"<span{attributes}>{inside}</span>" if attributes else inside

    def _words(self, text: str | None) -> str:
        self.plain.append(text or "")
        return escape(text or "", quote=False)


def _name(element: Tree) -> str:
    tag = element.tag
    return tag.rpartition("}")[2].lower() if isinstance(tag, str) else "script"


def _holds_blocks(element: Tree) -> bool:
    return any(_name(one) in _BLOCKS for one in element.iter() if one is not element)


def _nearest(element: Tree, name: str) -> Tree | None:
    return next((one for one in element.iterancestors() if _name(one) == name), None)


def _attributes(element: Tree) -> str:
    language, direction = _language(element), str(element.get("dir", ""))
    shown = f' lang="{language}"' if language else ""
    return f'{shown} dir="{direction}"' if direction in {"ltr", "rtl"} else shown


def _language(element: Tree) -> str:
    said = str(element.get(_XML_LANG) or element.get("lang") or "")
    return said if is_language(said) else ""


def _address(element: Tree) -> str:
    """Where a link leads on the web; nothing of one that stays in the book."""
    href = str(element.get("href", "")).strip()
    try:
        parts = urlsplit(href)
    except ValueError:
        return ""
    leads = parts.scheme in _WEB and (parts.netloc or (parts.scheme == "mailto" and parts.path))
    return href if leads else ""


def _in_words(element: Tree, name: str) -> str:
    """What a picture or a formula is called; nothing of mere ornament."""
    if name == "math":
        return str(element.get("alttext") or _plain(element))
    if element.get("role") in {"presentation", "none"} or element.get("aria-hidden") == "true":
        return ""
    words = element.get("alt") or element.get("aria-label")
    if name == "svg" and not words:
        words = next((str(one.text or "") for one in element.iter(*_XLINK_TITLES)), "")
    words = shorten(words or "")
    return f"[Picture: {words}]" if words else ""


def _plain(element: Tree) -> str:
    inside = ".//text()[not(ancestor::*[local-name()='script' or local-name()='style'])]"
    return "".join(str(one) for one in element.xpath(inside))


def _text(parts: list[str]) -> str:
    return " ".join("".join(parts).split())


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 5
