"""Promised dates that pass without a release: staff hear of each once, the day it has passed."""

import sqlalchemy as sa

from store.catalog.models import Publication
from store.catalog.publications import overdue_publications
from store.kit.database import db, transaction
from store.kit.formatting import format_day
from store.mail.outbox import alert_staff


def alert_overdue() -> int:
    """Alert staff of publications whose expected day is over without a release, for the
    timetable; returns how many. Opens its own transactions, none where there is nothing to say."""
    found = [publication.id for publication in overdue_publications()]
    for publication_id in found:
        with transaction():
            publication = db.session.scalars(
                sa.select(Publication).where(Publication.id == publication_id).with_for_update()
            ).one()
            _alert(publication)
    return len(found)


def _alert(publication: Publication) -> None:
    expected = publication.expected_on
    if expected is None:
        return
    publication.overdue_alerted_on = expected
    alert_staff(
        "A promised date has passed",
        f"“{publication.title}” was expected on {format_day(expected)} and is not released.\n\n"
        "The date is no longer shown. Set a new one, or release the edition.",
        f"overdue:{publication.id}:{expected.isoformat()}",
    )
