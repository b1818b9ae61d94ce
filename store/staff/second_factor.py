"""The second factor: who must have one, and from when on its codes hand something over."""

from datetime import datetime, timedelta

from flask_security import current_user

from store.kit import clock
from store.kit.config import config
from store.staff.models import Role, StaffMember

GRACE = timedelta(days=7)
# A stolen password connects an app of the thief's; its owner has a day to read the letter about it.
SETTLES_AFTER = timedelta(hours=24)
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


def settles_at(person: StaffMember) -> datetime | None:
    """From when on a code of this person corrects an address; None where it does already, or
    there is no app."""
    if not person.has_two_step or person.two_step_at is None:
        return None
    settled = person.two_step_at + SETTLES_AFTER
    return settled if settled > clock.now() else None


def due_of_this_person() -> datetime | None:
    """The same for whoever sits at the desk; for templates."""
    return due_at(current_user) if current_user.is_authenticated else None
