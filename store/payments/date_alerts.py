"""Staff are reminded of what was promised: 7 and 2 days before an expected date, and once it has passed."""

from datetime import timedelta

import sqlalchemy as sa

from store.catalog.models import Publication
from store.catalog.publications import WARNED_DAYS, dates_due, overdue_publications
from store.kit import clock
from store.kit.config import config
from store.kit.database import db, transaction
from store.kit.formatting import format_day
from store.mail import outbox
from store.payments.promised import count_promised


def warn_of_dates() -> int:
    """Tell staff of a date that comes near, 7 and 2 days before, for the timetable; returns of how
    many. Opens its own transactions, none where there is nothing to say."""
    today = clock.today(config().zone)
    found = [one.id for one in dates_due() if _is_to_be_told(one)]
    for publication_id in found:
        with transaction():
            publication = _locked(publication_id)
            expected = publication.expected_on
            if expected is None or not _is_to_be_told(publication):
                continue
            publication.warned_on = today
            days = (expected - today).days
            when = {0: "today", 1: "tomorrow"}.get(days, f"in {days} days")
            outbox.alert_staff(
                f"{publication.title} is promised for {format_day(expected)}",
                f"“{publication.title}” is promised for {format_day(expected)}, {when}, and no "
                f"release of it is scheduled. {_who_waits(publication.id)}\n\nRelease the edition, "
                f"or move the date, which tells everybody who waits: {_page(publication)}",
                f"near:{publication.id}:{expected.isoformat()}:{days}",
            )
    return len(found)


def _is_to_be_told(publication: Publication) -> bool:
    """Whether one of the days to warn on has come since staff were warned last."""
    today, expected = clock.today(config().zone), publication.expected_on
    if expected is None or expected < today:
        return False
    come = [expected - timedelta(days=days) for days in WARNED_DAYS]
    last = max((day for day in come if day <= today), default=None)
    return last is not None and (publication.warned_on is None or publication.warned_on < last)


def alert_overdue() -> int:
    """Tell staff of publications whose promised day is over without a release, once for each day
    promised, for the timetable; returns how many. Opens its own transactions, none where there is
    nothing to say."""
    found = [publication.id for publication in overdue_publications()]
    for publication_id in found:
        with transaction():
            publication = _locked(publication_id)
            expected = publication.expected_on
            if expected is None:
                continue
            publication.overdue_alerted_on = expected
            outbox.alert_staff(
                "A promised date has passed",
                f"“{publication.title}” was expected on {format_day(expected)} and is not released. "
                f"{_who_waits(publication.id)}\n\nThe date is no longer shown. Say a new one, which "
                f"tells everybody who waits, or release the edition: {_page(publication)}",
                f"overdue:{publication.id}:{expected.isoformat()}",
            )
    return len(found)


def _locked(publication_id: int) -> Publication:
    query = sa.select(Publication).where(Publication.id == publication_id).with_for_update()
    return db.session.scalars(query.execution_options(populate_existing=True)).one()


def _who_waits(publication_id: int) -> str:
    people = count_promised(publication_id)
    if not people:
        return "Nobody has ordered it yet."
    return "1 person waits for it." if people == 1 else f"{people:,} people wait for it."


def _page(publication: Publication) -> str:
    return f"{config().base_url}/admin/publications/{publication.slug}/date"
