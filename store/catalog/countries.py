"""Where the shop sells to."""

import re
from functools import lru_cache

from babel import Locale

from store.catalog.models import Seller


def countries_sold_to(seller: Seller) -> list[tuple[str, str]]:
    """Code (ISO 3166) and English name of each country that the shop sells to, as staff list them."""
    return [(code, country_name(code)) for code in seller.countries.split(",") if code]


@lru_cache(maxsize=512)
def country_name(code: str) -> str:
    """`United Kingdom` for `GB`; the code itself where it is unknown."""
    return str(Locale("en", "GB").territories.get(code, code))


def read_countries(text: str | None, before: Seller | None) -> tuple[str, dict[str, str]]:
    """Codes as they are stored, and what is wrong with what was typed; None keeps what stood."""
    if text is None:
        return (before.countries if before else "GB"), {}
    codes = list(dict.fromkeys(re.split(r"[\s,]+", text.strip().upper())))
    unknown = [code for code in codes if len(code) != 2 or country_name(code) == code]
    if unknown:
        said = f"“{unknown[0]}” is not the code of a country" if unknown[0] else "Name a country"
        return ",".join(codes), {"countries": f"{said}. Write codes such as GB, IE."}
    return ",".join(codes), {}
