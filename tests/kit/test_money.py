"""Prices are read exactly or refused, never rounded."""

import pytest

from store.kit.money import InvalidPrice, format_money, parse_price


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("19.99", 1999),
        ("8.20", 820),
        ("8.29", 829),
        ("7.77", 777),
        ("5.10", 510),
        ("1.15", 115),
        ("4.35", 435),
        ("32.80", 3280),
        ("12", 1200),
    ],
)
def test_a_price_in_pounds_is_read_to_the_penny(text: str, minor: int) -> None:
    assert parse_price(text, "GBP") == minor


def test_every_price_up_to_a_hundred_pounds_comes_back_as_it_was_written() -> None:
    for minor in range(1, 10_001):
        text = f"{minor // 100}.{minor % 100:02}"
        assert parse_price(text, "GBP") == minor
        assert format_money(minor, "GBP") == f"£{text}"


def test_a_currency_without_minor_units_keeps_its_figure() -> None:
    assert parse_price("1500", "JPY") == 1500
    assert format_money(1500, "JPY") == "¥1,500"


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("12.50", "JPY"),
        ("12,50", "GBP"),
        ("1.005", "GBP"),
        ("1.5", "GBP"),
        ("1e3", "GBP"),
        ("-1", "GBP"),
        ("NaN", "GBP"),
        ("0", "GBP"),
        ("", "GBP"),
        ("£12", "GBP"),
        ("12.50", "XYZ1"),
        ("٣", "GBP"),
        ("999999999", "GBP"),
    ],
)
def test_what_is_no_plain_price_is_refused_in_words(text: str, currency: str) -> None:
    with pytest.raises(InvalidPrice) as refused:
        parse_price(text, currency)
    assert refused.value.sentence.startswith(("The price “", "The currency “"))
