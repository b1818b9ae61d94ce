"""When the shop was last copied, for whom that is of concern: the desk's home, `/metrics`."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from store.backups.models import Backup
from store.kit import clock
from store.kit.config import config
from store.kit.database import db, end_read
from store.kit.formatting import format_moment
from store.mail.models import Restore

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


def last_in_words() -> tuple[str, str]:
    """How the shop is copied, in words, and a note where it never was. Raises where the newest try was
    given up, or a person should see to it."""
    last, fault = last_backup(), last_fault()
    if last is None and not fault:
        note = "none was ever made: `store backup DIR`, and let it be another disk"
        return "none was made yet", note if config().env == "production" else ""
    words = f"the newest whole one is of {format_moment(last.made_at)}" if last else "none is whole"
    if fault:
        raise RuntimeError(f"{words}, and the last try was given up: {fault}")
    if last is not None and last.is_old:
        raise RuntimeError(f"{words}: see why none was made since (`systemctl list-timers`)")
    return words, _on_our_disk()


def _on_our_disk() -> str:
    """That the newest one lies where a broken disk takes it along; nothing where this machine cannot tell."""
    query = sa.select(Backup.folder).where(Backup.fault == "", Backup.folder != "")
    folder = db.session.scalar(query.order_by(Backup.id.desc()).limit(1))
    with suppress(OSError):
        if folder and Path(folder).stat().st_dev == config().data_dir.stat().st_dev:
            return f"{folder} is on the disk of the shop itself: mount another one there"
    return ""


def was_made_in(folder: Path) -> str:
    """The name of the newest whole one that was put into this folder since the last restore; empty where
    none was."""
    restored_at = sa.select(sa.func.max(Restore.restored_at)).scalar_subquery()
    query = sa.select(Backup.name).where(
        Backup.fault == "",
        Backup.folder == _kept(folder),
        sa.or_(restored_at.is_(None), Backup.ended_at > restored_at),
    )
    name = db.session.scalar(query.order_by(Backup.id.desc()).limit(1))
    end_read()
    return name or ""


def keep_account(
    name: str, made_at: datetime, size: int, fault: str = "", folder: Path | None = None
) -> None:
    """Write down that one was made, or why not, in the caller's transaction."""
    row = Backup(name=name, made_at=made_at, ended_at=clock.now(), size=size, fault=fault[:300])
    row.folder = _kept(folder) if folder else ""
    db.session.add(row)
    db.session.flush()


def _kept(folder: Path) -> str:
    return str(folder.absolute())[:500]
