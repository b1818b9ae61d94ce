"""Colours as `#rrggbb`: how well one is read on another, and the nearest that is (WCAG 2.2, 1.4.3)."""

import colorsys
import re
from collections.abc import Iterable

_WRITTEN = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})")
_STEPS = 200  # of lightness, from black to white


def read_colour(text: str) -> str:
    """`#rrggbb` of what was typed, with or without its sign, in three figures or six. Raises
    ValueError."""
    found = _WRITTEN.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(text)
    figures = found[1]
    return "#" + (figures if len(figures) == 6 else "".join(2 * one for one in figures))


def contrast(one: str, other: str) -> float:
    """From 1 (the same) to 21 (black on white)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def mixed(one: str, other: str, share: float) -> str:
    """`one` with this share (0 to 1) of `other` in it."""
    return _written(
        (1 - share) * mine + share * theirs
        for mine, theirs in zip(_parts(one), _parts(other), strict=True)
    )


def turned(colour: str, degrees: int) -> str:
    """The colour so far round the wheel, as light and as strong as it was."""
    hue, light, strength = colorsys.rgb_to_hls(*_parts(colour))
    return _written(colorsys.hls_to_rgb((hue + degrees / 360) % 1, light, strength))


def nearest(colour: str, ground: str, least: float) -> str:
    """The shade of the colour that is nearest to it and has this contrast to `ground`: darker on a
    light ground, lighter on a dark one."""
    hue, light, strength = colorsys.rgb_to_hls(*_parts(colour))
    end = 0 if _luminance(ground) > 0.18 else 1
    for step in range(_STEPS + 1):
        lightness = light + (end - light) * step / _STEPS
        shade = _written(colorsys.hls_to_rgb(hue, lightness, strength))
        if contrast(shade, ground) >= least:
            return shade
    return shade


def _parts(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def _written(parts: Iterable[float]) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)


def _luminance(colour: str) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in _parts(colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
