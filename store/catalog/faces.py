"""The house's own face: a logo, one colour, a line about the house, and the picture that is shown
where a page of the shop is shared.

It stands in one row and is not part of who sells (`sellers`): an order keeps the seller that it saw,
and shows the face of today. The record of acts has what it was before.
"""

import hashlib
from functools import lru_cache
from typing import Any, NamedTuple

from store.catalog.models import Face
from store.kit.colours import contrast, mixed, nearest, read_colour
from store.kit.database import db, insert_once
from store.kit.errors import InvalidFields
from store.kit.text import clean_line, length_faults

GREEN = "#0e5a52"
LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3
LONGEST_LINE = 160
# The grounds of the stylesheet, of each look the one on which a colour is read worst.
PAPER, _BAND = "#fbf8f2", "#f3ede1"
DARK_PAPER, _DARK_SHEET = "#171a1b", "#222829"
# A link in dark text is read as well as in daylight.
_DARK_CONTRAST = 7
_SOFT, _DARK_SOFT, _DARK_INK = 0.1, 0.16, 0.86  # shares of paper and black


class Shades(NamedTuple):
    """What a stylesheet needs of one colour, in light and dark."""

    accent: str
    soft: str
    dark: str
    dark_soft: str
    dark_ink: str


_OWN = Shades(GREEN, "#e3eeea", "#7cc7ba", "#1c322e", "#0d1f1c")


class HouseFace(NamedTuple):
    """The face as plain values: every page and letter has it. An empty accent is our own green."""

    accent: str = ""
    line: str = ""
    logo_sha256: str = ""
    logo_width: int = 0
    logo_height: int = 0
    logo_has_name: bool = False
    social_sha256: str = ""

    @property
    def shades(self) -> Shades:
        return shades_of(self.accent)

    @property
    def style_path(self) -> str:
        """Of the stylesheet that sets the colour and shows the logo; none where there is neither."""
        return stylesheet_path(self.accent) if self.accent or self.logo_sha256 else ""

    @property
    def logo_path(self) -> str:
        return f"/face/{self.logo_sha256}.png" if self.logo_sha256 else ""

    @property
    def social_path(self) -> str:
        return f"/face/{self.social_sha256}.jpg" if self.social_sha256 else ""


COLUMNS = tuple(getattr(Face, name) for name in HouseFace._fields)
PLAIN = HouseFace()


def face_of(values: Any) -> HouseFace:
    """The face of a row, or of its columns in order; the plain one where there is no row."""
    if isinstance(values, Face):
        values = [getattr(values, name) for name in HouseFace._fields]
    return PLAIN if values is None or values[0] is None else HouseFace(*values)


def change_face(**values: Any) -> tuple[HouseFace, HouseFace]:
    """Set what is given of the face, and return it as it was and as it is. Refuses (`InvalidFields`)
    a colour that could not be read on the page, with the nearest that could, and a line too long."""
    faults: dict[str, str] = {}
    if "accent" in values:
        values["accent"], fault = _judged(values["accent"])
        faults |= {"accent": fault} if fault else {}
    if "line" in values:
        values["line"] = clean_line(values["line"])
        faults |= length_faults(values, {"line": (LONGEST_LINE, "The line")})
    if faults:
        raise InvalidFields(faults)
    shown = face_of(db.session.get(Face, 1))
    if shown == shown._replace(**values):
        return shown, shown
    insert_once(Face, id=1)
    face = db.session.get_one(Face, 1, with_for_update=True, populate_existing=True)
    before = face_of(face)
    for name, value in values.items():
        setattr(face, name, value)
    db.session.flush()
    db.session.info.pop("seller", None)
    return before, face_of(face)


@lru_cache(maxsize=64)
def shades_of(accent: str) -> Shades:
    """The colour beside what is derived from it; of none our own."""
    if accent in ("", GREEN):
        return _OWN
    dark = nearest(accent, _DARK_SHEET, _DARK_CONTRAST)
    return Shades(
        accent,
        mixed(PAPER, accent, _SOFT),
        dark,
        mixed(DARK_PAPER, dark, _DARK_SOFT),
        mixed(dark, "#000000", _DARK_INK),
    )


@lru_cache(maxsize=64)
def stylesheet(accent: str) -> str:
    """Of one colour (`#rrggbb`, or none for our own): what the face sets beside the shop's own. A logo
    may be dark ink on nothing, so that it keeps its paper in the dark."""
    light, soft, dark, dark_soft, dark_ink = shades_of(accent)
    return (
        f":root{{--accent:{light};--accent-soft:{soft}}}\n"
        ".name img{width:auto;height:2.2rem;max-width:12.5rem;object-fit:contain}\n"
        "@media screen and (prefers-color-scheme:dark){"
        f":root{{--accent:{dark};--accent-ink:{dark_ink};--accent-soft:{dark_soft}}}"
        f".name img{{padding:.15rem;border-radius:3px;background:{PAPER}}}}}\n"
    )


def stylesheet_path(accent: str) -> str:
    """Where it stands: another one where the colour, or what we derive from it, changes."""
    digest = hashlib.sha256(stylesheet(accent).encode()).hexdigest()[:8]
    return f"/face/{accent[1:] or GREEN[1:]}-{digest}.css"


def _judged(text: str) -> tuple[str, str]:
    """A colour as it is kept, and what is wrong with it."""
    if not text.strip():
        return "", ""
    try:
        accent = read_colour(text)
    except ValueError:
        return text, "Write the colour as a sign and six figures or letters, such as #0e5a52."
    worst = _worst(accent)
    if worst >= LEAST_CONTRAST:
        return ("" if accent == GREEN else accent), ""
    return accent, (
        f"This colour is too pale to be read: its contrast is {worst:.1f} to 1, and "
        f"{LEAST_CONTRAST} is needed. The nearest that would do is {_nearest(accent)}."
    )


def _worst(accent: str) -> float:
    """As text on the darkest paper, on its own soft ground, and under white."""
    return min(contrast(accent, ground) for ground in (_BAND, mixed(PAPER, accent, _SOFT)))


def _nearest(accent: str) -> str:
    least = LEAST_CONTRAST
    while _worst(shade := nearest(accent, _BAND, least)) < LEAST_CONTRAST:
        least += 0.05
    return shade
