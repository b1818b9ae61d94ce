"""The one clock, and the way between UTC and local time."""

import calendar
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from store.kit.errors import Refusal

MINUTE = timedelta(minutes=1)


class UnclearTime(Refusal):
    """A local time that the clocks skip or show twice, or that cannot be read at all."""

    status = 422
    sentence = "Enter a date and time like 2027-04-01T09:00."
    # The same for who picks a day and a time, and cannot say an offset.
    in_picker = "Enter a date and a time."


def machine_time() -> datetime:
    """What this machine's clock shows, whatever tests put in its place."""
    return datetime.now(UTC)


# Tests put another function here; nothing else does.
read: Callable[[], datetime] = machine_time


def now() -> datetime:
    """The present moment, aware and in UTC."""
    return read()


def today(zone: ZoneInfo) -> date:
    """The date that a calendar on the wall in `zone` shows."""
    return now().astimezone(zone).date()


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """The moment at which `day` begins in `zone`, in UTC."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def parse_moment(text: str, zone: ZoneInfo) -> datetime:
    """Read an ISO 8601 moment; without an offset it is meant in `zone`. Returns UTC.

    Refuses (`UnclearTime`) what cannot be read, what the clocks skip, and what they show twice,
    and names the moments that could be meant.
    """
    try:
        given = datetime.fromisoformat(text.strip())
        if given.tzinfo is not None:
            return given.astimezone(UTC)
        early, late = (given.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except (ValueError, OverflowError):
        raise UnclearTime from None
    if early == late:
        return early
    # With a gap, fold 1 gives the earlier moment; with a repeat, fold 0 does (PEP 495).
    what = "does not exist" if early > late else "comes twice"
    choices = " or ".join(m.astimezone(zone).isoformat() for m in sorted((early, late)))
    why = f"{given:%d %B %Y, %H:%M} {what} in {zone.key}, because the clocks change."
    refusal = UnclearTime(f"{why} Say {choices}.")
    refusal.in_picker = f"{why} Choose a time an hour before or after."
    raise refusal


def add_months(day: date, months: int) -> date:
    """The same day `months` later; where that month is shorter, its last day (29 to 28 February)."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last))


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """The moment at which `day` is over in `zone`, in UTC."""
    return start_of(day + timedelta(days=1), zone)
