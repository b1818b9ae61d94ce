"""Who comes to the desk and who leaves it: invited by letter, another role, a lost second step,
removed. Rules lock the owners in one order, so that there always is one."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from store.entitlements import erasure_journal
from store.kit import clock, tokens
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import InvalidFields, NotFound, Refusal
from store.kit.mailboxes import address_key
from store.kit.text import clean_line
from store.mail.letters import Letter, Skip, letter
from store.mail.mime import Mailbox
from store.mail.models import Delivery
from store.mail.outbox import ALERT, owe
from store.orders.customers import InvalidAddress, parse_address
from store.staff import credentials
from store.staff.models import Role, StaffMember
from store.staff.people import (
    Done,
    end_sessions,
    lock_owners,
    refuse_last_owner,
    staff_by_address,
    tell_of,
)

INVITATION = "staff_invitation"
GOOD_FOR = timedelta(hours=24)
LONGEST_NAME = 100
TEST = "You asked for this letter on the page “Settings”. It came: letters of the shop arrive."
REMINDER = (
    "An owner of the shop asks you to turn on two-step sign-in. Open “Your account” at the desk. It takes "
    "two minutes and an authenticator app on your telephone.\n\nWithout it, anybody who learns your "
    "password could write to every customer."
)


class StaffUnknown(NotFound):
    """Nobody of staff has this number or address."""

    sentence = "Nobody of this number may use the desk."


class InvitationOver(Refusal):
    """A link that invites nobody any more."""

    status = 410
    heading = "This invitation is over"
    sentence = (
        "The link works once and for 24 hours. Ask an owner of the shop to send you another one, "
        "or sign in if you have chosen your password already."
    )
    way_out = ("/admin/sign-in", "Sign in")


@dataclass(frozen=True)
class Member:
    """Somebody on the list of staff."""

    person: StaffMember

    @property
    def is_invited(self) -> bool:
        """Whether they have not come yet."""
        return not self.person.active

    @property
    def lacks_second_step(self) -> bool:
        """Whether a password alone lets them in."""
        return self.person.active and not self.person.has_two_step

    @property
    def invitation_ends_at(self) -> datetime | None:
        """When the link of the letter ends."""
        invited = self.person.invited_at
        return invited + GOOD_FOR if invited is not None else None


def members() -> list[Member]:
    """Who may sign in, and who is invited, in the order of coming."""
    query = sa.select(StaffMember).where(StaffMember.removed_at.is_(None))
    return [Member(one) for one in db.session.scalars(query.order_by(StaffMember.id))]


def member(number: int) -> StaffMember:
    """The one of this number who may sign in or is invited. Refuses (`StaffUnknown`)."""
    found = db.session.get(StaffMember, number)
    if found is None or found.removed_at is not None:
        raise StaffUnknown
    return found


def member_by_address(text: str) -> StaffMember:
    """The same by address, however it is spelled. Refuses (`StaffUnknown`)."""
    found = staff_by_address(address_key(text.strip()))
    if found is None or found.removed_at is not None:
        raise StaffUnknown(f"Nobody with the address {text} may use the desk.")
    return found


def check_invitation(email: str, role: str) -> str:
    """The address by which somebody can be invited. Refuses (`InvalidFields`)."""
    key = _checked(email)
    if role not in set(Role):
        raise InvalidFields({"role": "Say what they may do."})
    person = staff_by_address(key)
    if person is not None and person.active:
        raise InvalidFields({"email": f"{key} may use the desk already."})
    return key


def invite(email: str, role: str) -> StaffMember:
    """Owe a letter with a link that lets somebody in; who is invited already gets a new one, and
    the old one ends. Refuses (`InvalidFields`)."""
    key = check_invitation(email, role)
    person = staff_by_address(key)
    if person is None:
        person = StaffMember(email=key, created_at=clock.now())
        db.session.add(person)
    person.role, person.active, person.password = Role(role), False, ""
    if person.removed_at is not None:
        erasure_journal.add_staff(person.id, clock.now(), has_left=False)
    person.removed_at = None
    credentials.turn_off_two_step(person)
    end_sessions(person)
    _mail_link(person)
    tell_of(person, Done.INVITED)
    return person


def send_link(number: int) -> StaffMember:
    """Another link, in place of the one before: for who did not come in time, or has forgotten the
    password, which holds until another one is chosen. Refuses (`StaffUnknown`)."""
    person = _locked(number)
    _mail_link(person)
    return person


def remind(number: int) -> StaffMember:
    """Ask somebody by letter to turn on the second step, once a day. Refuses (`StaffUnknown`)."""
    person = member(number)
    day = clock.today(config().zone).isoformat()
    facts = {"subject": "Please turn on your second step", "text": REMINDER}
    owe(ALERT, f"{ALERT}:second_step:{person.id}:{day}", address=person.email, facts=facts)
    return person


def mail_a_test(person: StaffMember) -> None:
    """Owe a letter that says that letters arrive."""
    facts = {"subject": "A test of the shop’s mail", "text": TEST}
    key = f"{ALERT}:test:{person.id}:{tokens.new_reference()}"
    owe(ALERT, key, address=person.email, facts=facts, priority=0)


def _mail_link(person: StaffMember) -> None:
    person.invitation, person.invited_at = tokens.new_reference(), clock.now()
    db.session.flush()
    facts = {"staff_id": person.id, "invitation": person.invitation}
    key = f"{INVITATION}:{person.invitation}"
    owe(INVITATION, key, address=person.email, facts=facts, priority=0)


def invited_by(token: str) -> StaffMember:
    """Whom a link invites. Refuses (`InvitationOver`)."""
    seconds = int(GOOD_FOR.total_seconds())
    try:
        reference = tokens.read(token, INVITATION, seconds)
    except (tokens.NotValid, tokens.Unreadable):
        raise InvitationOver from None
    person = db.session.scalars(sa.select(StaffMember).filter_by(invitation=reference)).first()
    if person is None or person.removed_at is not None:
        raise InvitationOver
    return person


def join(token: str, name: str, password: str) -> StaffMember:
    """Let in whom a link invites, once, with a password of their own (hashed). Refuses
    (`InvitationOver`, `InvalidFields`)."""
    named = checked_name(name)
    _locked(invited_by(token).id)
    person = invited_by(token)  # somebody may just have followed it, or sent another one
    person.name, person.password = named, password
    person.active, person.invitation, person.signed_in_at = True, None, clock.now()
    end_sessions(person)
    db.session.flush()
    return person


def checked_name(name: str) -> str:
    """The name as it will stand in the record. Refuses (`InvalidFields`)."""
    cleaned = clean_line(name)
    if not cleaned:
        raise InvalidFields({"name": "Enter your name, as your colleagues know you."})
    if len(cleaned) > LONGEST_NAME:
        raise InvalidFields({"name": f"A name has at most {LONGEST_NAME} characters."})
    return cleaned


def change_role(number: int, role: str) -> StaffMember:
    """Another role from the next press on. Refuses (`StaffUnknown`, `LastOwner`, `InvalidFields`)."""
    if role not in set(Role):
        raise InvalidFields({"role": "Say what they may do."})
    person = _locked(number)
    if Role(role) is person.role:
        return person
    refuse_last_owner(person)
    person.role = Role(role)
    db.session.flush()
    tell_of(person, Done.ROLE)
    return person


def remove(number: int) -> StaffMember:
    """Let somebody in no more: their sessions end at once, and so does an invitation. The row stays,
    so that the record keeps the name. Refuses (`StaffUnknown`, `LastOwner`)."""
    person = _locked(number)
    refuse_last_owner(person)
    person.active, person.removed_at = False, clock.now()
    person.password, person.invitation = "", None
    credentials.turn_off_two_step(person)
    end_sessions(person)
    db.session.flush()
    erasure_journal.add_staff(person.id, person.removed_at, has_left=True)
    tell_of(person, Done.REMOVED)
    return person


def reset_second_step(number: int) -> StaffMember:
    """For a lost authenticator: the password lets in alone until a new one is set up, and every
    session ends. They and the owners are told. Refuses (`StaffUnknown`)."""
    person = _locked(number)
    credentials.turn_off_two_step(person)
    end_sessions(person)
    db.session.flush()
    tell_of(person, Done.LOST)
    return person


def _locked(number: int) -> StaffMember:
    """The person, with all owners locked first. Refuses (`StaffUnknown`)."""
    lock_owners()
    query = sa.select(StaffMember).where(StaffMember.id == number).with_for_update()
    found = db.session.scalars(query.execution_options(populate_existing=True)).first()
    if found is None or found.removed_at is not None:
        raise StaffUnknown
    return found


def _checked(email: str) -> str:
    try:
        return address_key(parse_address(email))
    except InvalidAddress as refusal:
        raise InvalidFields({"email": refusal.for_staff}) from None


def invitation_url(person: StaffMember) -> str:
    """The link of the letter, the same each time it is written."""
    token = tokens.sign(person.invitation or "", INVITATION, person.invited_at)
    return f"{config().base_url}/admin/join/{token}"


@letter(
    INVITATION,
    sample=lambda: {"url": "https://shop.example/admin/join/sample", "may": "publish editions"},
)
def invitation(delivery: Delivery) -> Letter | Skip:
    """The link, while it is the newest one and somebody waits for it."""
    facts = delivery.facts or {}
    person = db.session.get(StaffMember, facts.get("staff_id", 0))
    if person is None or person.invitation != facts.get("invitation"):
        return Skip("the invitation was taken back, sent again or followed")
    may = MAY[person.role]
    return Letter(Mailbox(person.email), {"url": invitation_url(person), "may": may})


MAY = {
    Role.OWNER: "do everything, with refunds, staff and settings",
    Role.EDITOR: "publish: editions, releases, dates",
    Role.SUPPORT: "help buyers: orders, customers, letters",
}
