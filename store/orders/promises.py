"""Dates and terms of an order in words, the same on pages and in letters."""

from datetime import date, timedelta

from babel.dates import format_date

from store.kit.formatting import format_day


def promise_in_words(day: date) -> str:
    """`by the end of March 2027` for the last day of a month, else `on 12 March 2027`."""
    is_month_end = (day + timedelta(days=1)).day == 1
    if is_month_end:
        return f"by the end of {format_date(day, 'MMMM y', locale='en_GB')}"
    return f"on {format_day(day)}"


def term_in_words(months: int | None) -> str:
    """How long later editions are included: `for 2 years`, `for 18 months`, without end."""
    if months is None:
        return "for as long as we publish it"
    years, rest = divmod(months, 12)
    if rest == 0:
        return "for 1 year" if years == 1 else f"for {years} years"
    return "for 1 month" if months == 1 else f"for {months} months"
