"""The cover of a publication that has no picture: drawn from its title, subtitle, author and slug."""

import re
import textwrap
from dataclasses import dataclass
from functools import lru_cache

from store.kit.colours import mixed, nearest, turned

# Ground, two colours of the shape, ink.
PALETTES = (
    ("#0e5a52", "#d8a24a", "#c4572e", "#fdf9ef"),
    ("#223a5e", "#c9b27c", "#7d9bb8", "#fbf7ec"),
    ("#7a2f2b", "#e0b58a", "#c46a4d", "#fdf6ea"),
    ("#3b4a2f", "#c8c08a", "#8a9a55", "#fbf8ea"),
    ("#4a2f52", "#d9a5a0", "#9a6a9c", "#fcf5f1"),
    ("#efe3cb", "#0e5a52", "#c4572e", "#2a241c"),
)
GOLD, RED, SAND, NIGHT, WHITE, INK = (
    "#d8a24a",
    "#c4572e",
    "#efe3cb",
    "#1f2428",
    "#fdf9ef",
    "#2a241c",
)
SHAPES = ("hills", "sun", "town")
WIDTH = 174  # between the margins, of 210
TITLE_HEIGHT = 118
TITLE_SIZES = (27, 23, 20, 17, 15, 13)
LEADING = 1.18
AUTHOR_LETTERS = 34

# What typst's own serif has: Latin, Greek, Cyrillic, and the signs of print.
_IN_PICTURES = re.compile("[\\s!-\u052f\u1e00-\u206f\u20ac\u2122]*")


@dataclass(frozen=True)
class DrawnCover:
    """What the template draws, in units of a sheet of 210 by 297; lines as (y, words)."""

    palette: tuple[str, str, str, str]
    shape: str
    author: str
    title: str
    title_size: int
    title_lines: list[tuple[float, str]]
    subtitle_lines: list[tuple[float, str]]


@lru_cache(maxsize=256)
def draw_cover(slug: str, title: str, subtitle: str, author: str, accent: str = "") -> DrawnCover:
    """One of three shapes in one of six palettes, always the same for a slug and the colour of the
    house; the title as large as fits into its field."""
    palettes = palettes_of(accent)
    number = _number(slug)
    title = title or "Untitled"
    size = next(
        (one for one in TITLE_SIZES if _height(title, one) <= TITLE_HEIGHT), TITLE_SIZES[-1]
    )
    below_title = 46 + min(_height(title, size), TITLE_HEIGHT)
    if len(author) > AUTHOR_LETTERS:
        author = author[: AUTHOR_LETTERS - 1] + "…"
    return DrawnCover(
        palette=palettes[number % len(palettes)],
        shape=SHAPES[number // len(palettes) % len(SHAPES)],
        author=author,
        title=title,
        title_size=size,
        title_lines=_lines(
            title, size, int(TITLE_HEIGHT / size / LEADING), 32 + size, size * LEADING
        ),
        subtitle_lines=_lines(subtitle, 10, 3, below_title + 4, 13),
    )


def has_picture(title: str) -> bool:
    """Whether a drawn cover can be had as a picture: a page draws in the fonts of whoever reads it, a
    picture in one of ours, which has no letters for, say, Japanese."""
    return _IN_PICTURES.fullmatch(title) is not None


@lru_cache(maxsize=16)
def palettes_of(accent: str) -> tuple[tuple[str, str, str, str], ...]:
    """Those of a house with this colour (`#rrggbb`), all of which show it or its neighbours."""
    if not accent:
        return PALETTES
    warm, cool = nearest(turned(accent, 32), WHITE, 6), nearest(turned(accent, -32), WHITE, 6)
    pale, paler = mixed(accent, WHITE, 0.45), mixed(accent, WHITE, 0.7)
    return (
        (accent, GOLD, RED, WHITE),
        (mixed(accent, NIGHT, 0.6), pale, paler, WHITE),
        (warm, mixed(warm, WHITE, 0.6), accent, WHITE),
        (cool, paler, mixed(cool, WHITE, 0.35), WHITE),
        (nearest(mixed(accent, "#808080", 0.5), WHITE, 6), GOLD, paler, WHITE),
        (SAND, accent, RED, INK),
    )


def _number(slug: str) -> int:
    number = 7
    for letter in slug:
        number = (
            number * 31 + "abcdefghijklmnopqrstuvwxyz0123456789-".find(letter) + 2
        ) % 1_000_003
    return number


def _wrapped(words: str, size: int) -> list[str]:
    return textwrap.wrap(
        words, int(WIDTH / (size * _em(words))), expand_tabs=False, replace_whitespace=False
    )


def _em(words: str) -> float:
    """The width of a letter: of Georgia about half an em; Chinese, Japanese and Korean a whole."""
    return 1.05 if any(letter > "⺀" for letter in words) else 0.52


def _height(words: str, size: int) -> float:
    """How much room the words take; endless where one of them is wider than the field."""
    longest = max(map(len, words.split()), default=1)
    if longest * size * _em(words) > WIDTH:
        return float("inf")
    return int(len(_wrapped(words, size)) * size * LEADING)


def _lines(words: str, size: int, most: int, top: float, leading: float) -> list[tuple[float, str]]:
    lines = _wrapped(words, size)
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1] + "…"]
    return [(round(top + index * leading, 1), line) for index, line in enumerate(lines)]
