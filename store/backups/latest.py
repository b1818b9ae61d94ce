"""When the shop was last copied, for whom that is of concern: the desk's home, `/metrics`."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from store.backups.models import Backup
from store.kit import clock
from store.kit.database import db

# A night that was missed is nothing yet.
OLD = timedelta(days=2)


@dataclass(frozen=True)
class LastBackup:
    """The moment (UTC) that a whole backup shows, and its bytes."""

    made_at: datetime
    size: int

    @property
    def is_old(self) -> bool:
        """Whether a person should see to it."""
        return clock.now() - self.made_at > OLD


def last_backup() -> LastBackup | None:
    """The newest one that was whole; None where none ever was."""
    found = db.session.execute(
        sa.select(Backup.made_at, Backup.size)
        .where(Backup.fault == "")
        .order_by(Backup.made_at.desc())
        .limit(1)
    ).first()
    return LastBackup(found.made_at, found.size) if found else None


def last_fault() -> str:
    """Why the newest try was given up; empty where it was whole, or there was none."""
    query = sa.select(Backup.fault).order_by(Backup.id.desc()).limit(1)
    return db.session.scalar(query) or ""


def keep_account(name: str, made_at: datetime, size: int, fault: str = "") -> None:
    """Write down that one was made, or why not, in the caller's transaction."""
    row = Backup(name=name, made_at=made_at, ended_at=clock.now(), size=size, fault=fault[:300])
    db.session.add(row)
    db.session.flush()
