"""Hours that the clocks skip or show twice, and months of unequal length."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from store.kit import clock

LONDON = ZoneInfo("Europe/London")


def test_an_hour_that_the_clocks_skip_is_refused_with_both_ways_out() -> None:
    with pytest.raises(clock.UnclearTime) as refused:
        clock.parse_moment("2027-03-28T01:30", LONDON)
    assert refused.value.sentence == (
        "28 March 2027, 01:30 does not exist in Europe/London, because the clocks change. "
        "Say 2027-03-28T00:30:00+00:00 or 2027-03-28T02:30:00+01:00."
    )


def test_an_hour_that_comes_twice_asks_which() -> None:
    with pytest.raises(clock.UnclearTime) as refused:
        clock.parse_moment("2027-10-31T01:30", LONDON)
    assert refused.value.sentence == (
        "31 October 2027, 01:30 comes twice in Europe/London, because the clocks change. "
        "Say 2027-10-31T01:30:00+01:00 or 2027-10-31T01:30:00+00:00."
    )


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2027-10-31T01:30+01:00", datetime(2027, 10, 31, 0, 30, tzinfo=UTC)),
        ("2027-10-31T01:30+00:00", datetime(2027, 10, 31, 1, 30, tzinfo=UTC)),
        ("2027-04-01T09:00", datetime(2027, 4, 1, 8, 0, tzinfo=UTC)),
        ("2027-12-01 09:00", datetime(2027, 12, 1, 9, 0, tzinfo=UTC)),
    ],
)
def test_what_is_clear_is_read(text: str, utc: datetime) -> None:
    assert clock.parse_moment(text, LONDON) == utc


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "2027-02-29T09:00", "2027-13-01", "0001-01-01T00:00+14:00"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(clock.UnclearTime):
        clock.parse_moment(text, LONDON)


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        (date(2028, 2, 29), 12, date(2029, 2, 28)),
        (date(2028, 2, 29), 72, date(2034, 2, 28)),
        (date(2028, 2, 29), 48, date(2032, 2, 29)),
        (date(2027, 1, 31), 1, date(2027, 2, 28)),
        (date(2027, 12, 15), 1, date(2028, 1, 15)),
    ],
)
def test_a_month_that_is_shorter_gives_its_last_day(day: date, months: int, later: date) -> None:
    assert clock.add_months(day, months) == later


def test_a_day_begins_and_ends_by_the_clock_on_the_wall() -> None:
    day = date(2027, 3, 28)
    assert clock.start_of(day, LONDON) == datetime(2027, 3, 28, 0, 0, tzinfo=UTC)
    assert clock.end_of(day, LONDON) == datetime(2027, 3, 28, 23, 0, tzinfo=UTC)
