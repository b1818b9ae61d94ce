"""The colour of the house: read on every ground, in light and dark, or refused with one that would be."""

import colorsys
import re

import pytest

from store.catalog import faces
from store.catalog.drawn_covers import palettes_of
from store.kit.colours import contrast


def colours() -> list[str]:
    """Round the wheel, from nearly black to nearly white."""
    return [
        "#"
        + "".join(f"{round(part * 255):02x}" for part in colorsys.hls_to_rgb(hue / 12, light, 0.9))
        for hue in range(12)
        for light in (0.1, 0.3, 0.5, 0.7, 0.9)
    ]


def test_every_colour_that_is_taken_or_named_is_read_in_light_and_dark_and_on_covers() -> None:
    for colour in colours():
        taken, fault = faces._judged(colour)
        if fault:
            (taken,) = re.findall(r"The nearest that would do is (#\w{6})\.", fault)
            assert faces._judged(taken) == (taken, "")
        shades = faces.shades_of(taken)
        read = [
            (taken, faces.PAPER),
            (taken, "#f3ede1"),
            (taken, shades.soft),
            ("#ffffff", taken),
            (shades.dark, faces.DARK_PAPER),
            (shades.dark, shades.dark_soft),
            (shades.dark_ink, shades.dark),
        ]
        assert min(contrast(*pair) for pair in read) >= 4.5, (colour, taken)
        assert min(contrast(ink, ground) for ground, _, _, ink in palettes_of(taken)) >= 4.5, taken


@pytest.mark.parametrize("text", ["green", "#12", "#1234567", "0e5a52;}"])
def test_what_is_no_colour_is_refused(text: str) -> None:
    assert "such as #0e5a52" in faces._judged(text)[1]
