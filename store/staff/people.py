"""The people of the desk: added, let in again, found; told of what was done to their way in."""

import secrets
from enum import StrEnum

import sqlalchemy as sa

from store.kit import clock
from store.kit.database import db
from store.kit.errors import InvalidFields
from store.kit.mailboxes import address_key
from store.mail.outbox import alert_staff
from store.orders.customers import InvalidAddress, parse_address
from store.staff.credentials import checked_password, hashed, turn_off_two_step
from store.staff.models import Role, StaffMember


class Done(StrEnum):
    """What was done, in the words that end the subject of the letter."""

    ON = "turned on two-step sign-in"
    OFF = "turned off two-step sign-in"
    CODES = "made new recovery codes"
    PASSWORD = "changed the password"  # noqa: S105 - words, not a secret
    RESET = "was given a new password at the command line, and two-step sign-in is off"


def add_staff(email: str, role: str, password: str) -> StaffMember:
    """Add a member of staff, or give one who is there another role and password.

    The latter ends their sessions and turns two-step sign-in off: it is the way back for somebody
    who lost password or phone. Refuses `InvalidFields`.
    """
    try:
        key = address_key(parse_address(email))
    except InvalidAddress as refusal:
        raise InvalidFields({"email": refusal.sentence}) from None
    made = hashed(checked_password(password, key))
    person = staff_by_address(key) or StaffMember(email=key, active=True, created_at=clock.now())
    person.role, person.password = Role(role), made
    turn_off_two_step(person)
    end_sessions(person)
    db.session.add(person)
    db.session.flush()
    return person


def end_sessions(person: StaffMember) -> None:
    """Make every session of the person worthless, a copied cookie too."""
    person.sign_in_key = secrets.token_hex(32)


def staff_by_address(email: str) -> StaffMember | None:
    """The member of staff with this address, whether active or not."""
    return db.session.scalars(sa.select(StaffMember).where(StaffMember.email == email)).first()


def staff_by_sign_in_key(key: str) -> StaffMember | None:
    """The active member of staff to whom a session belongs."""
    query = sa.select(StaffMember).where(StaffMember.sign_in_key == key, StaffMember.active)
    return db.session.scalars(query).first()


def owner_addresses() -> list[str]:
    """Where alerts go: the owners."""
    query = sa.select(StaffMember.email).where(StaffMember.active, StaffMember.role == Role.OWNER)
    return list(db.session.scalars(query.order_by(StaffMember.id)))


def tell_of(person: StaffMember, done: Done) -> None:
    """Owe the letters about it, to the person and the owners, in the transaction that does it."""
    alert_staff(
        f"{person.email} {done}",
        f"{person.email} {done}.\n\nIf that was not meant, set a new password at once with “store "
        "staff add” on the machine that runs the shop: it ends every session of that account. "
        "Then look at “Customers” and “Bank details” for changes that nobody asked for.",
        f"account:{person.id}:{done.name}:{clock.now().timestamp()}",
        also=person.email,
    )
