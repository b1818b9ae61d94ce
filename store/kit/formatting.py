"""How days, moments, sizes and money are written for people, on pages and in letters."""

from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from babel.dates import format_date
from markupsafe import Markup, escape

from store.kit import clock
from store.kit.config import config
from store.kit.markup import plain_lines, render_markdown
from store.kit.money import format_money


def format_day(value: date | datetime) -> str:
    """`3 March 2027`, in the shop's zone."""
    if isinstance(value, datetime):
        value = value.astimezone(config().zone).date()
    return _day(value)


def iso_day(moment: datetime) -> str:
    """`2027-03-03`, in the shop's zone: what machines read beside the words."""
    return moment.astimezone(config().zone).date().isoformat()


@lru_cache(maxsize=1024)
def _day(value: date) -> str:
    return format_date(value, "d MMMM y", locale="en_GB")


def format_weekday(value: date) -> str:
    """`Tuesday 1 December`: a day that is near."""
    return format_date(value, "EEEE d MMMM", locale="en_GB")


def format_moment(value: datetime) -> str:
    """`3 March 2027, 09:00 GMT`, in the shop's zone."""
    local = value.astimezone(config().zone)
    return f"{format_day(value)}, {local:%H:%M %Z}"


def format_near(value: datetime) -> str:
    """A moment as people say it, in the shop's zone: `today, 10:34`, `yesterday, 17:05`, in the six
    days to come `Tuesday 1 December, 09:00`, else `20 November 2026, 11:02`."""
    local = value.astimezone(config().zone)
    days = (local.date() - clock.today(config().zone)).days
    near = {-1: "yesterday", 0: "today", 1: "tomorrow"}.get(days)
    if near is None and 0 < days < 7:
        near = format_weekday(local.date())
    return f"{near or format_day(value)}, {local:%H:%M}"


def format_time(value: datetime) -> str:
    """`14:03`, in the shop's zone."""
    return f"{value.astimezone(config().zone):%H:%M}"


def format_span(seconds: int) -> str:
    """A span to wait, never said too short: "40 seconds", "12 minutes", "1 hour"."""
    if seconds <= 90:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    minutes = -(-seconds // 60)
    if minutes <= 90:
        return "1 hour" if minutes == 60 else f"{minutes} minutes"
    hours = -(-minutes // 60)
    return f"{hours} hours"


def format_until(value: datetime) -> str:
    """How long it is until a moment: `in 4 days 22 hours`, `in 12 minutes`, `at any moment`."""
    minutes = int((value - clock.now()).total_seconds()) // 60
    if minutes < 1:
        return "at any moment"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "day"), (hours, "hour"), (minutes, "minute")]
    first = next(place for place, (count, _) in enumerate(units) if count)
    said = [
        f"{count} {unit}{'s' * (count != 1)}" for count, unit in units[first : first + 2] if count
    ]
    return "in " + " ".join(said)


def format_size(size: int) -> str:
    """`1.9 MB`: decimal, as systems show it."""
    if size < 1_000:
        return f"{size} bytes"
    if size < 999_500:
        return f"{size / 1_000:.0f} kB"
    return f"{size / 1_000_000:.1f} MB"


def breakable(text: str) -> Markup:
    """An address that may be broken after its @ and its dots, where the line is too short for it."""
    return escape(text).replace("@", Markup("@<wbr>")).replace(".", Markup(".<wbr>"))


FILTERS: dict[str, Callable[..., Any]] = {
    "money": format_money,
    "date": format_day,
    "isoday": iso_day,
    "datetime": format_moment,
    "time": format_time,
    "near": format_near,
    "countdown": format_until,
    "weekday": format_weekday,
    "breakable": breakable,
    "filesize": format_size,
    "markdown": lambda text: render_markdown(text, config().base_url),
    "plain": lambda text: plain_lines(text, config().base_url),
}
