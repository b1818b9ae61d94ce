"""Tables of the files by which customers are brought in."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from store.kit.database import Base, status_type
from store.kit.status import Status


class ImportStatus(Status):
    """A file is looked at, then goes in piece by piece; who stops it may let it go on."""

    LOOKED = "looked"
    RUNNING = "running"
    STOPPED = "stopped"
    FINISHED = "finished"

    @classmethod
    def moves(cls) -> dict["ImportStatus", set["ImportStatus"]]:
        return {
            cls.LOOKED: {cls.RUNNING},
            cls.RUNNING: {cls.STOPPED, cls.FINISHED},
            cls.STOPPED: {cls.RUNNING},
        }


class CustomerImport(Base):
    """One file for one publication: how it is to be read, what stood in it, how far it is in.

    `data` is the file as it came, until it is forgotten; `columns` a heading of the file for each
    meaning; `looked` what the last look found. Rows up to `done_line` are in.
    """

    __tablename__ = "customer_imports"

    id: Mapped[int] = mapped_column(primary_key=True)
    publication_id: Mapped[int] = mapped_column(sa.ForeignKey("publications.id"), index=True)
    staff_id: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"), index=True)
    status: Mapped[ImportStatus] = mapped_column(status_type(ImportStatus))
    file_name: Mapped[str] = mapped_column(sa.String(200))
    data: Mapped[bytes | None] = mapped_column(sa.LargeBinary, deferred=True)
    columns: Mapped[dict[str, Any]]
    item: Mapped[str] = mapped_column(sa.String(200))
    is_notified: Mapped[bool]
    looked: Mapped[dict[str, Any]]
    done_line: Mapped[int]
    done: Mapped[int]
    added: Mapped[int]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class ImportLine(Base):
    """A row of the file that was left out as it went in: of somebody who has the publication."""

    __tablename__ = "import_lines"
    __table_args__ = (sa.UniqueConstraint("import_id", "line"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    import_id: Mapped[int] = mapped_column(sa.ForeignKey("customer_imports.id"))
    line: Mapped[int]
    value: Mapped[str] = mapped_column(sa.String(254))
    reason: Mapped[str] = mapped_column(sa.String(100))
