"""Covers that are drawn: always the same for a slug, and every title in its field."""

import pytest

from store.catalog.drawn_covers import PALETTES, SHAPES, draw_cover


def test_a_slug_has_its_own_cover_and_keeps_it() -> None:
    drawn = draw_cover("send-early-years", "Effective SEND Practice", "Next Steps", "Sample Press")
    draw_cover.cache_clear()
    again = draw_cover("send-early-years", "Another title", "", "")
    assert (drawn.palette, drawn.shape) == (again.palette, again.shape)


def test_slugs_share_out_every_palette_and_shape() -> None:
    drawn = [draw_cover(f"publication-{number}", "A title", "", "") for number in range(200)]
    assert {one.palette for one in drawn} == set(PALETTES)
    assert {one.shape for one in drawn} == set(SHAPES)


@pytest.mark.parametrize(
    ("title", "size", "lines"),
    [
        ("Guide", 27, ["Guide"]),
        ("Effective SEND Practice in the Early Years", 23, 4),
        ("Donaudampfschifffahrtsgesellschaft", 13, 2),
        ("早期教育における特別支援の実践", 13, 2),
        ("", 27, ["Untitled"]),
    ],
)
def test_a_title_is_as_large_as_its_field_lets_it_be(
    title: str, size: int, lines: list[str] | int
) -> None:
    drawn = draw_cover("slug", title, "", "")
    shown = [words for _, words in drawn.title_lines]
    assert drawn.title_size == size
    assert (len(shown) if isinstance(lines, int) else shown) == lines
    assert max(y for y, _ in drawn.title_lines) <= 32 + 118


def test_what_is_too_long_ends_in_dots() -> None:
    drawn = draw_cover("slug", "word " * 60, "under " * 60, "author " * 10)
    assert [words[-1] for words in (drawn.title_lines[-1][1], drawn.subtitle_lines[-1][1])] == [
        "…",
        "…",
    ]
    assert (len(drawn.subtitle_lines), len(drawn.author)) == (3, 34)
