"""The tables of staff: who may use the desk, in which role; and the record of acts."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from flask_login import UserMixin
from sqlalchemy.orm import Mapped, mapped_column

from store.kit.database import Base, status_type


class Role(StrEnum):
    """What a member of staff may do; the guard of the desk says which doors each opens."""

    OWNER = "owner"
    EDITOR = "editor"
    SUPPORT = "support"


class StaffMember(UserMixin, Base):  # type: ignore[misc] # Flask-Login has no types
    """A person who may use the desk."""

    __tablename__ = "staff"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(320), unique=True)
    name: Mapped[str] = mapped_column(sa.String(100), default="")
    role: Mapped[Role] = mapped_column(status_type(Role))
    password: Mapped[str] = mapped_column(sa.String(255))  # argon2id; "" opens nothing
    active: Mapped[bool] = mapped_column(default=True)
    # What a session holds instead of the id: a new one ends every session of the person.
    sign_in_key: Mapped[str] = mapped_column(sa.String(64), unique=True)
    totp_secret: Mapped[str | None] = mapped_column(sa.String(255))  # encrypted
    # The time step of the last accepted code: no code counts twice (RFC 6238, 5.2).
    totp_step: Mapped[int | None]
    recovery_codes: Mapped[list[str] | None] = mapped_column(sa.JSON)  # encrypted, unused ones
    # When the app was connected; null: before we kept it.
    two_step_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    signed_in_at: Mapped[datetime | None]
    # The reference of the link that is mailed to somebody who is to choose a password; one at a time.
    invitation: Mapped[str | None] = mapped_column(sa.String(22), unique=True)
    invited_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]
    # Whether "/" leads to the search of the head; who speaks to the computer may turn it off (WCAG 2.1.4).
    has_shortcut: Mapped[bool] = mapped_column(default=True, server_default=sa.true())

    def get_id(self) -> str:
        """What Flask-Login keeps in the session."""
        return self.sign_in_key

    @property
    def known_as(self) -> str:
        """The name, or the address of who gave none."""
        return self.name or self.email

    @property
    def is_active(self) -> bool:
        """Whether Flask-Login may let the person in."""
        return self.active

    @property
    def has_two_step(self) -> bool:
        """Whether signing in asks for a code after the password."""
        return self.totp_secret is not None


class DeskRule(Base):
    """What owners have said that holds for everybody at the desk: one row."""

    __tablename__ = "desk_rules"

    id: Mapped[int] = mapped_column(primary_key=True)
    # Since when nobody works at the desk without a second step; null: the roles of production alone.
    two_step_at: Mapped[datetime | None]


class AuditEntry(Base):
    """One act of staff or of the command line. Only ever added: triggers refuse the rest."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        sa.Index("ix_audit_entries_act", "act", "id"),
        sa.Index("ix_audit_entries_at", "at"),
        sa.Index("ix_audit_entries_entity", "entity", "entity_id", "id"),
        sa.Index("ix_audit_entries_staff_id", "staff_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    act: Mapped[str] = mapped_column(sa.String(40))  # a word of `acts.Act`
    # The table and row it was done to; no foreign key, as the line outlives the row.
    entity: Mapped[str] = mapped_column(sa.String(40))
    entity_id: Mapped[int | None]
    before: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    staff_id: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"))
    operator: Mapped[str] = mapped_column(sa.String(100))  # of a terminal; "" at the desk
    place: Mapped[str] = mapped_column(sa.String(100))  # network at the desk, else the machine
