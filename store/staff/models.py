"""Tables of staff: who may use the desk, and in which role."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from flask_security import RoleMixin, UserMixin
from sqlalchemy.ext.mutable import MutableList
from sqlalchemy.orm import Mapped, mapped_column, relationship

from store.kit.database import Base


class Role(StrEnum):
    """What a member of staff may do; the guard of the desk says which doors each opens."""

    OWNER = "owner"
    EDITOR = "editor"
    SUPPORT = "support"


staff_role_members = sa.Table(
    "staff_role_members",
    Base.metadata,
    sa.Column("staff_id", sa.ForeignKey("staff.id"), primary_key=True),
    sa.Column("role_id", sa.ForeignKey("staff_roles.id"), primary_key=True),
)


class StaffRole(RoleMixin, Base):
    """A role as Flask-Security wants it: a row with a name."""

    __tablename__ = "staff_roles"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(20), unique=True)


class StaffMember(UserMixin, Base):
    """A person who may use the desk; names of columns are those that Flask-Security knows."""

    __tablename__ = "staff"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(320), unique=True)
    password: Mapped[str] = mapped_column(sa.String(255))  # argon2id
    active: Mapped[bool] = mapped_column(default=True)
    # What a session holds instead of the id: made anew it ends every session of the person.
    fs_uniquifier: Mapped[str] = mapped_column(sa.String(64), unique=True)
    tf_primary_method: Mapped[str | None] = mapped_column(sa.String(20))
    tf_totp_secret: Mapped[str | None] = mapped_column(sa.String(255))  # encrypted
    # The time step of the last accepted code: no code counts twice (RFC 6238, 5.2).
    tf_last_counter: Mapped[int | None]
    mf_recovery_codes: Mapped[list[str] | None] = mapped_column(MutableList.as_mutable(sa.JSON()))
    # When the app was connected; null: before we kept it.
    two_step_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    roles: Mapped[list[RoleMixin]] = relationship(StaffRole, secondary=staff_role_members)

    @property
    def has_two_step(self) -> bool:
        """Whether signing in asks for a code after the password."""
        return bool(self.tf_primary_method and self.tf_totp_secret)

    def role_names(self) -> set[str]:
        """The names of the person's roles."""
        return {role.name for role in self.roles}
