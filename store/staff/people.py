"""The people of the desk: added, let in again, found; told of what was done to their way in."""

import secrets
from collections.abc import Sequence
from enum import StrEnum

import sqlalchemy as sa

from store.entitlements import erasure_journal
from store.kit import clock
from store.kit.database import db
from store.kit.errors import InvalidFields, Refusal
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
    INVITED = "was invited to the desk"
    ROLE = "has another role at the desk"
    REMOVED = "was removed from the staff"
    LOST = "has no second step any more: an owner reset it, as the authenticator was lost"
    RESET = "was given a new password at the command line, and two-step sign-in is off"


class LastOwner(Refusal):
    """The one who alone may do everything."""

    status = 409
    heading = "The last owner stays"
    sentence = (
        "This is the only owner. Make somebody else an owner first, so that the shop is never "
        "without one."
    )
    way_out = ("/admin/staff", "Back to staff")


def add_staff(email: str, role: str, password: str) -> StaffMember:
    """Add a member of staff, or give one who is there another role and password.

    The latter ends their sessions and turns two-step sign-in off: it is the way back for somebody
    who lost password or phone. Refuses `InvalidFields`, `LastOwner`.
    """
    try:
        key = address_key(parse_address(email))
    except InvalidAddress as refusal:
        raise InvalidFields({"email": refusal.for_staff}) from None
    made = hashed(checked_password(password, key))
    person = staff_by_address(key) or StaffMember(email=key, active=True, created_at=clock.now())
    if person.id is not None and Role(role) is not Role.OWNER:
        lock_owners()
        refuse_last_owner(person)
    if person.removed_at is not None:
        erasure_journal.add_staff(person.id, clock.now(), has_left=False)
    person.role, person.password = Role(role), made
    person.active, person.invitation, person.removed_at = True, None, None
    turn_off_two_step(person)
    end_sessions(person)
    db.session.add(person)
    db.session.flush()
    return person


def lock_owners() -> None:
    """Lock all owners, in the order of their numbers: of two who remove each other at once one is
    refused."""
    owners = sa.select(StaffMember.id).where(StaffMember.active, StaffMember.role == Role.OWNER)
    db.session.execute(owners.order_by(StaffMember.id).with_for_update()).all()


def refuse_last_owner(person: StaffMember) -> None:
    """Refuse (`LastOwner`) to let the only owner go; called with the owners locked."""
    if person.role is not Role.OWNER or not person.active:
        return
    others = sa.select(sa.func.count()).where(
        StaffMember.active, StaffMember.role == Role.OWNER, StaffMember.id != person.id
    )
    if not db.session.scalar(others):
        raise LastOwner


def end_sessions(person: StaffMember) -> None:
    """Make every session of the person worthless, a copied cookie too."""
    person.sign_in_key = secrets.token_hex(32)


def end_every_session() -> None:
    """The same for everybody: all sign in afresh, by the ways that they have."""
    for person in everybody():
        end_sessions(person)
    db.session.flush()


def staff_by_address(email: str) -> StaffMember | None:
    """The member of staff with this address, whether active or not."""
    return db.session.scalars(sa.select(StaffMember).where(StaffMember.email == email)).first()


def staff_by_sign_in_key(key: str) -> StaffMember | None:
    """The active member of staff to whom a session belongs."""
    query = sa.select(StaffMember).where(StaffMember.sign_in_key == key, StaffMember.active)
    return db.session.scalars(query).first()


def everybody() -> Sequence[StaffMember]:
    """All who ever were staff, in the order of coming."""
    return db.session.scalars(sa.select(StaffMember).order_by(StaffMember.id)).all()


def owner_addresses() -> list[str]:
    """Where alerts go: the owners."""
    query = sa.select(StaffMember.email).where(StaffMember.active, StaffMember.role == Role.OWNER)
    return list(db.session.scalars(query.order_by(StaffMember.id)))


def tell_of(person: StaffMember, done: Done) -> None:
    """Owe the letters about it, to the person and the owners, in the transaction that does it."""
    alert_staff(
        f"{person.email} {done}",
        f"{person.email} {done}.\n\nIf that was not meant, an owner removes that account under “Staff” "
        "at once, which ends its sessions, and looks at the “Record of acts” for what nobody asked for. "
        "Where no owner can sign in, “store staff add” on the machine that runs the shop lets one in "
        "again.",
        f"account:{person.id}:{done.name}:{clock.now().timestamp()}",
        also=person.email if done is not Done.INVITED else "",
    )
