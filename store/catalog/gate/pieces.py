"""What comes of taking a part of a file."""

from dataclasses import dataclass, field


class NoPart(Exception):
    """The file gives no such part; the reason as a sentence."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True)
class BookPart:
    """A document of a book that can be chosen: its number in the order of the book, and its name."""

    number: int
    title: str
    words: int


@dataclass(frozen=True)
class Chapter:
    """Some pages of a book, one after another: what they are called, and HTML of our own making."""

    title: str
    html: str
    words: int


@dataclass(frozen=True)
class Reading:
    """An EPUB to be read in a page; `opening` is a heading and the first paragraphs behind it."""

    chapters: list[Chapter]
    opening: list[str] = field(default_factory=list)
