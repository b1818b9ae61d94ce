"""What proves a person: a password, and as a second factor codes of an authenticator app (RFC 6238) and
recovery codes; who must have the second factor, and from when on its codes hand something over.

In production it is demanded of owners and editors: seven days after they came, the desk opens to them
only with it, but for the page that turns it on; until then each page of the desk says so. An app that
was connected less than a day ago corrects no address. Turning it off and fresh recovery codes need a
present code; that, turning it on and a new password are told to the person and the owners.

Secrets and recovery codes are kept encrypted by keys that follow from the shop's.
"""

import re
import secrets
import unicodedata
from contextlib import suppress
from datetime import datetime, timedelta

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from argon2.profiles import RFC_9106_LOW_MEMORY
from pyotp import TOTP, random_base32
from pyotp.exceptions import OTPVerificationError

from store.kit import clock
from store.kit.config import config
from store.kit.database import db, insert_once
from store.kit.errors import InvalidFields
from store.staff.kept_codes import KeyIsGone, decrypted, encrypted, number_of_key
from store.staff.models import DeskRule, Role, StaffMember

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200
HASHER = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)  # argon2id, 64 MiB, three passes

RECOVERY_CODES = 8
GRACE = timedelta(days=7)
# A stolen password connects an app of the thief's; its owner has a day to read the letter about it.
SETTLES_AFTER = timedelta(hours=24)
_DEMANDED_OF = {Role.OWNER, Role.EDITOR}


def checked_password(password: str, email: str) -> str:
    """The password as typed, if it can be taken. Refuses `InvalidFields`."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        sentence = f"The password must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters."
        raise InvalidFields({"password": sentence})
    local = email.partition("@")[0].casefold()
    if len(local) > 3 and local in password.casefold():
        raise InvalidFields({"password": "The password must not hold your e-mail address."})
    return password


def hashed(password: str) -> str:
    """The argon2id hash; takes about a tenth of a second, so never inside a transaction's lock
    where others wait."""
    return HASHER.hash(_normal(password))


def is_password_of(person: StaffMember | None, password: str) -> bool:
    """Whether this is the person's password; takes as long for nobody as for somebody."""
    typed = password[:LONGEST_PASSWORD]
    if person is None or not person.password:
        hashed(typed)
        return False
    try:
        return HASHER.verify(person.password, _normal(typed))
    except VerifyMismatchError:
        return False


def _normal(password: str) -> str:
    """One spelling of each letter, whichever way a keyboard writes it (NIST SP 800-63B)."""
    return unicodedata.normalize("NFKD", password)


def new_secret() -> str:
    """A secret for an app, encrypted: a cookie can be read by its owner's browser."""
    return encrypted(random_base32())


def authenticator(secret: str) -> TOTP:
    """What the app with this secret shows. Raises `KeyIsGone` where its key is gone."""
    return TOTP(decrypted(secret), issuer="Colophon desk")


def accept_app_code(person: StaffMember, secret: str, code: str) -> bool:
    """Use up a code of the app with this secret; the caller's transaction keeps that it is."""
    step = matching_step(authenticator(secret), _typed(code), after=person.totp_step)
    if step is not None:
        person.totp_step = step
    return step is not None


def accept_code(person: StaffMember, code: str) -> bool:
    """Use up a code of the person's app or a recovery code, likewise."""
    # Two who send one code at the same moment come one after the other.
    judged = ["totp_secret", "totp_step", "recovery_codes"]
    db.session.refresh(person, judged, with_for_update=True)
    typed = _typed(code)
    if len(typed) != 6:
        return _accept_recovery_code(person, typed)
    with suppress(KeyIsGone):  # the key that the secret was kept under is gone
        return person.totp_secret is not None and accept_app_code(person, person.totp_secret, typed)
    return False


def turn_on_two_step(person: StaffMember, secret: str) -> list[str]:
    """Ask for codes from now on; returns the recovery codes, to be shown once."""
    person.totp_secret = secret
    person.two_step_at = clock.now()
    return new_recovery_codes(person)


def turn_off_two_step(person: StaffMember) -> None:
    """The password alone is enough again."""
    person.totp_secret = None
    person.totp_step = None
    person.two_step_at = None
    person.recovery_codes = None


def new_recovery_codes(person: StaffMember) -> list[str]:
    """Fresh recovery codes, `0123-4567-89ab`; older ones are worth nothing any more."""
    made = [secrets.token_hex(6) for _ in range(RECOVERY_CODES)]
    person.recovery_codes = [encrypted(code) for code in made]
    return ["-".join(re.findall("....", code)) for code in made]


def due_at(person: StaffMember) -> datetime | None:
    """When the desk closes to this person until two-step sign-in is on; None where it is on, or
    not demanded."""
    if person.has_two_step:
        return None
    if (since := demanded_of_all_at()) is not None:
        return since
    if config().env != "production" or person.role not in _DEMANDED_OF:
        return None
    # Who came by an invitation is led from it to the app; the days are for a shop that is set up.
    return person.invited_at or person.created_at + GRACE


def demanded_of_all_at() -> datetime | None:
    """Since when an owner demands the second step of everybody; None where none does."""
    rule = db.session.get(DeskRule, 1)
    return rule.two_step_at if rule is not None else None


def demand_of_all(*, is_on: bool) -> None:
    """Demand it of everybody from now on, or of the roles of production alone."""
    if is_on is (demanded_of_all_at() is not None):
        return
    insert_once(DeskRule, id=1)
    rule = db.session.get_one(DeskRule, 1, with_for_update=True, populate_existing=True)
    rule.two_step_at = (rule.two_step_at or clock.now()) if is_on else None
    db.session.flush()


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


def matching_step(app: TOTP, code: str, *, after: int | None) -> int | None:
    """The time step (this one, the last or the next) whose code this is; None unless it is later than `after`."""
    try:
        step = app.verify_and_get_timecode(code, for_time=clock.now(), valid_window=1)
    except OTPVerificationError:
        return None
    return step if step > (after or 0) else None


def encrypt_again() -> tuple[list[StaffMember], list[StaffMember]]:
    """Encrypt by the present key what staff prove themselves with: whose it is now, and whose was kept
    under a key that is known no more. To be called while the key before is still accepted."""
    done, lost = [], []
    for person in with_second_step():
        db.session.refresh(person, ["totp_secret", "recovery_codes"], with_for_update=True)
        try:
            secret, codes = (
                _again(person.totp_secret),
                [_again(c) for c in person.recovery_codes or []],
            )
        except KeyIsGone:
            lost.append(person)
            continue
        person.totp_secret, person.recovery_codes = secret, codes
        done.append(person)
    db.session.flush()
    return done, lost


def with_second_step() -> list[StaffMember]:
    """Who proves themselves by an app."""
    query = sa.select(StaffMember).where(StaffMember.totp_secret.is_not(None))
    return list(db.session.scalars(query.order_by(StaffMember.id)))


def kept_under(person: StaffMember) -> int | None:
    """Which key the person's app is kept under: 0 is the present one, 1 the one before it; None where
    it is known no more."""
    return number_of_key(person.totp_secret or "")


def _again(kept: str | None) -> str:
    return encrypted(decrypted(kept or ""))


def _accept_recovery_code(person: StaffMember, code: str) -> bool:
    kept = person.recovery_codes or []
    for number, one in enumerate(kept):
        with suppress(KeyIsGone):
            if secrets.compare_digest(decrypted(one).encode(), code.encode()):
                person.recovery_codes = kept[:number] + kept[number + 1 :]
                return True
    return False


def _typed(code: str) -> str:
    return re.sub(r"[\s-]", "", code).lower()
