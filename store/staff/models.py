"""The table of staff: who may use the desk, and in which role."""

from datetime import datetime
from enum import StrEnum

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
    role: Mapped[Role] = mapped_column(status_type(Role))
    password: Mapped[str] = mapped_column(sa.String(255))  # argon2id
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

    def get_id(self) -> str:
        """What Flask-Login keeps in the session."""
        return self.sign_in_key

    @property
    def is_active(self) -> bool:
        """Whether Flask-Login may let the person in."""
        return self.active

    @property
    def has_two_step(self) -> bool:
        """Whether signing in asks for a code after the password."""
        return self.totp_secret is not None
