"""The journal of this machine, held beside what every machine wrote into the database. Where they differ, a
restore would bring back what had ended."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from store.entitlements.erasure_journal import journal_path
from store.entitlements.journal_after_restore import is_another_shops
from store.entitlements.journal_compared import Compared, compare
from store.kit import clock
from store.kit.database import db
from store.kit.formatting import format_moment
from store.mail.heartbeats import LATE, workers
from store.staff.models import StaffMember

# Older backups are hardly restored any more.
LOOKED_BACK = timedelta(days=30)
_ONE_FILE = (
    "let STORE_ERASURE_JOURNAL name one file on all machines, and append what is in the others to it; where "
    "they cannot share one, end all links after a restore (`store mail go --end-links`)"
)


def look() -> str:
    """What it tells, in words. Raises where it is another shop's, lacks what ended, or is not the one
    that workers write."""
    if is_another_shops():
        raise RuntimeError(
            f"{journal_path()} is another shop's: put this one's there, or name another file by "
            "STORE_ERASURE_JOURNAL"
        )
    passed = workers().ran_at
    left = _who_left(clock.now() - LOOKED_BACK)
    found = compare(clock.now() - LOOKED_BACK)
    if lacking := _lacking(found, left):
        raise RuntimeError(
            f"{journal_path()} lacks {lacking} of the last {LOOKED_BACK.days} days: another machine writes "
            f"a file of its own, or an older copy was put here. So {_ONE_FILE}"
        )
    if passed and (found.until is None or passed - found.until > LATE):
        if found.until:
            known, why = (
                f"tells all until {format_moment(found.until)}",
                "it writes another file. So ",
            )
        else:
            known = "is not there"
            why = (
                "it was lost since, and a worker of this machine begins it again within a minute, or "
                "workers write another file. If so, "
            )
        raise RuntimeError(
            f"{journal_path()} {known}, and a worker went through the timetable at "
            f"{format_moment(passed)}: {why}{_ONE_FILE}"
        )
    if found.since is None or found.until is None:
        return "not begun: the first pass of a worker begins it"
    return f"{journal_path()} tells all since {format_moment(found.since)}"


def _who_left(moment: datetime) -> dict[int, datetime]:
    query = sa.select(StaffMember.id, StaffMember.removed_at)
    rows = db.session.execute(query.where(StaffMember.removed_at >= moment)).all()
    return {number: removed_at for number, removed_at in rows if removed_at is not None}


def _lacking(found: Compared, left: dict[int, datetime]) -> str:
    gone = [number for number, at in left.items() if found.since is None or at >= found.since]
    counted = (
        (found.links, "link that ended", "links that ended"),
        (found.choices, "choice of news", "choices of news"),
        (found.erased, "erasure", "erasures"),
        (len({*gone} - found.told.left), "leaving of staff", "leavings of staff"),
    )
    return " and ".join(
        f"{count} {one if count == 1 else many}" for count, one, many in counted if count
    )
