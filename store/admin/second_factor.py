"""The second factor that owners and editors must have in production, a week after they came."""

from datetime import datetime, timedelta

from flask_security import current_user

from store.admin.models import Role, StaffMember
from store.kit import clock
from store.kit.config import config

GRACE = timedelta(days=7)
_DEMANDED_OF = {Role.OWNER, Role.EDITOR}


def due_at(person: StaffMember) -> datetime | None:
    """When the desk closes to this person until two-step sign-in is on; None where it is on, or
    not demanded."""
    if config().env != "production" or person.has_two_step:
        return None
    return person.created_at + GRACE if _DEMANDED_OF & person.role_names() else None


def is_overdue(person: StaffMember) -> bool:
    """Whether only the page opens that turns it on."""
    due = due_at(person)
    return due is not None and due <= clock.now()


def due_of_this_person() -> datetime | None:
    """The same for whoever sits at the desk; for templates."""
    return due_at(current_user) if current_user.is_authenticated else None
