"""The table of backups."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from store.kit.database import Base


class Backup(Base):
    """One that was made, or a try that was given up: then `fault` says why and `size` is 0.

    `made_at` is the moment that the copy shows; `size` the bytes that it consists of, files that it
    shares with earlier ones included. `folder` is where it was put; empty of those from before this was kept.
    """

    __tablename__ = "backups"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40))
    made_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    size: Mapped[int] = mapped_column(sa.BigInteger)
    fault: Mapped[str] = mapped_column(sa.String(300))
    folder: Mapped[str] = mapped_column(sa.String(500), server_default="")
