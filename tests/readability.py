"""How hard a text is to read: the Flesch-Kincaid grade, and the text of a page or letter."""

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from tests.pages import Page

# Each of these ends a thought, so that a heading does not run into the sentence below it.
BLOCKS = {
    "p",
    "li",
    "h1",
    "h2",
    "h3",
    "dt",
    "dd",
    "label",
    "legend",
    "button",
    "th",
    "td",
    "summary",
}
UNREAD = {"script", "style", "svg", "title", "pre", "code", "input"}
# What nobody reads as words: addresses, references, sums, dates and checksums.
FIGURES = re.compile(
    r"\S+@\S+|https?://\S+|/\S+|\b[2-9A-HJKMNP-Z]{4}-[2-9A-HJKMNP-Z]{4}\b|£?\d[\d.,:]*|[^\w\s.!?,;:'’-]"
)
VOWELS = re.compile(r"[aeiouy]+")
HEARD = re.compile(r"(?:[sxzcg]|sh|ch|[^aeiouy]l)es$|[dt]ed$|[^aeiouy]le$")
SILENT = re.compile(r"e[sd]?$")


def syllables(word: str) -> int:
    """How many syllables an English word has, near enough for an average."""
    word = re.sub(r"[^a-z]", "", word.casefold())
    if len(word) > 2 and not HEARD.search(word):
        word = SILENT.sub("", word)
    return max(1, len(VOWELS.findall(word)))


def sentences(text: str) -> list[list[str]]:
    """The words of each sentence; lines that are no sentence count by themselves."""
    found = []
    for part in re.split(r"[.!?:]+(?=\s|$)|\n+", FIGURES.sub(" ", text)):
        words = re.findall(r"[^\W\d_][\w'’-]*", part)
        if words:
            found.append(words)
    return found


def grade(text: str) -> float:
    """The Flesch-Kincaid grade: years at school needed, by long sentences and long words.

    Kincaid and others 1975: 0.39 × words a sentence + 11.8 × syllables a word − 15.59.
    """
    split = sentences(text)
    words = [word for sentence in split for word in sentence]
    if not words:
        return 0.0
    return 0.39 * len(words) / len(split) + 11.8 * sum(map(syllables, words)) / len(words) - 15.59


def text_of(html: str, tag: str = "main", leave_out: tuple[str, ...] = ()) -> str:
    """The words under the first such element, a line for each block; `leave_out` is not ours."""
    text = "".join(_words(Page(html).all(tag)[0]))
    for foreign in leave_out:
        text = text.replace(foreign, "it")
    return text


def prose_of(html: str, tag: str = "main", leave_out: tuple[str, ...] = ()) -> str:
    """Only what is a sentence: labels of two words make every page look easy."""
    lines = text_of(html, tag, leave_out).split("\n")
    return "\n".join(line for line in lines if re.search(r"\w{2,}.*[.?!]\W*$", line.strip()))


def _words(element: Element) -> Iterator[str]:
    if not isinstance(element.tag, str) or element.tag.rsplit("}")[-1] in UNREAD:
        return
    is_block = element.tag in BLOCKS
    yield "\n" if is_block else ""
    yield " ".join((element.text or "").split()) + " "
    for child in element:
        yield from _words(child)
        yield " ".join((child.tail or "").split()) + " "
    yield "\n" if is_block else ""
