"""Staff accounts: Flask-Security-Too for hashing, sessions, codes, with pages of our own.

Its views stay unregistered: they write while they read, which on SQLite fails beside a busy
worker, and every page, text and command that staff see is to be ours.
"""

import base64
import hashlib
import secrets
from contextlib import suppress
from typing import Any, NoReturn, cast

import sqlalchemy as sa
from flask import Flask, current_app
from flask_security import (
    MailUtil,
    RoleMixin,
    Security,
    SQLAlchemyUserDatastore,
    Totp,
    UserMixin,
    hash_password,
)
from passlib.totp import TOTP, AppWallet, TotpMatch

from store.kit import clock
from store.kit.database import db
from store.kit.errors import InvalidFields
from store.mail.outbox import register_alert_recipients
from store.orders.customers import InvalidAddress, address_key, parse_address
from store.staff.models import Role, StaffMember, StaffRole

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200
RECOVERY_CODES = 8


class NoMail(MailUtil):
    """The extension writes to nobody: letters are the outbox's."""

    def send_mail(self, *_args: Any, **_given: Any) -> NoReturn:
        """Refuse to write."""
        raise RuntimeError("Flask-Security sends no letters here")


class StaffCodes(Totp):
    """Codes of an authenticator app; secrets are kept encrypted, and no code counts twice."""

    def __init__(self, secrets: dict[str, str], issuer: str) -> None:
        # Named by the key and not by its place in the list, so that a new key moves no name.
        wallet = AppWallet(secrets, default_tag=next(iter(secrets)))
        self._totp = TOTP.using(issuer=issuer, wallet=wallet)

    def get_last_counter(self, user: UserMixin) -> int | None:
        """The time step of the last code that was accepted."""
        return cast(StaffMember, user).tf_last_counter

    def set_last_counter(self, user: UserMixin, tmatch: TotpMatch) -> None:
        """Keep the time step; the caller's transaction commits it."""
        cast(StaffMember, user).tf_last_counter = tmatch.counter


def init_app(app: Flask) -> None:
    """Make staff known to this application. Nothing of the extension becomes an address."""
    app.config.update(_security_config(app))
    Security(
        app,
        SQLAlchemyUserDatastore(db, StaffMember, StaffRole),
        register_blueprint=False,
        mail_util_cls=NoMail,
        totp_cls=StaffCodes,
    )
    # Without this any page would take the extension's API tokens for a sign-in.
    app.extensions["security"].login_manager.request_loader(lambda _request: None)
    register_alert_recipients(owner_addresses)


def add_staff(email: str, role: str, password: str) -> StaffMember:
    """Add a member of staff, or give one that is there the role and password anew.

    The latter ends their sessions and turns two-step sign-in off: it is the way back for whoever
    lost password or phone. Refuses `InvalidFields`.
    """
    try:
        key = address_key(parse_address(email))
    except InvalidAddress as refusal:
        raise InvalidFields({"email": refusal.sentence}) from None
    made = hashed(checked_password(password, key))
    roles: list[RoleMixin] = [_role(Role(role))]
    person = staff_by_address(key) or StaffMember(email=key, active=True, created_at=clock.now())
    person.roles, person.password = roles, made
    turn_off_two_step(person)
    end_sessions(person)
    db.session.add(person)
    db.session.flush()
    return person


def staff_by_address(email: str) -> StaffMember | None:
    """The member of staff with this address, whether active or not."""
    return db.session.scalars(sa.select(StaffMember).where(StaffMember.email == email)).first()


def owner_addresses() -> list[str]:
    """Where alerts go: the owners."""
    query = sa.select(StaffMember.email).where(
        StaffMember.active, StaffMember.roles.any(StaffRole.name == Role.OWNER)
    )
    return list(db.session.scalars(query.order_by(StaffMember.id)))


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
    return str(hash_password(_normal(password)))


def is_password_of(person: StaffMember | None, password: str) -> bool:
    """Whether this is the person's password; takes as long for nobody as for somebody."""
    if person is None:
        hashed(password[:LONGEST_PASSWORD])
        return False
    return bool(person.verify_and_update_password(_normal(password[:LONGEST_PASSWORD])))


def end_sessions(person: StaffMember) -> None:
    """Make every session of the person worthless, a copied cookie too."""
    person.fs_uniquifier = secrets.token_hex(32)


def codes() -> StaffCodes:
    """The maker and judge of authenticator codes."""
    found: StaffCodes = current_app.extensions["security"].totp_factory
    return found


def accept_code(person: StaffMember, code: str) -> bool:
    """Use up a code of the app or a recovery code; the caller's transaction keeps that it is."""
    # Columns alone: PostgreSQL locks no row of the roles that would be joined.
    judged = ["tf_totp_secret", "tf_last_counter", "mf_recovery_codes"]
    db.session.refresh(person, judged, with_for_update=True)
    typed = "".join(code.split()).lower()
    if typed.isdecimal() and len(typed) == 6:
        with suppress(KeyError):  # the key that the secret was kept under is gone
            return codes().verify_totp(typed, person.tf_totp_secret or "", person, window=30)
        return False
    util = current_app.extensions["security"].mf_recovery_codes_util
    letters = typed.replace("-", "")
    spelled = "-".join(letters[start : start + 4] for start in range(0, 12, 4))
    if not util.check_recovery_code(person, spelled):
        return False
    return bool(util.delete_recovery_code(person, spelled))


def turn_on_two_step(person: StaffMember, secret: str) -> list[str]:
    """Ask for codes from now on; returns the recovery codes, to be shown once."""
    person.tf_primary_method = "authenticator"
    person.tf_totp_secret = secret
    person.two_step_at = clock.now()
    return new_recovery_codes(person)


def new_recovery_codes(person: StaffMember) -> list[str]:
    """Fresh recovery codes; older ones are worth nothing any more."""
    made: list[str] = current_app.extensions[
        "security"
    ].mf_recovery_codes_util.create_recovery_codes(person)
    return made


def turn_off_two_step(person: StaffMember) -> None:
    """The password alone is enough again."""
    person.tf_primary_method = None
    person.tf_totp_secret = None
    person.tf_last_counter = None
    person.two_step_at = None
    person.mf_recovery_codes = None


def _normal(password: str) -> str:
    return str(current_app.extensions["security"].password_util.normalize(password))


def _role(role: Role) -> StaffRole:
    found = db.session.scalars(sa.select(StaffRole).where(StaffRole.name == role)).first()
    return found or StaffRole(name=role)


def _security_config(app: Flask) -> dict[str, Any]:
    keys = [app.config["SECRET_KEY"], *app.config["SECRET_KEY_FALLBACKS"]]
    derived = [hashlib.sha256(b"colophon staff codes " + key.encode()).digest() for key in keys]
    return {
        "SECURITY_PASSWORD_HASH": "argon2",
        "SECURITY_PASSWORD_SCHEMES": ["argon2"],
        # Argon2 salts by itself; an HMAC with our key besides would die with that key.
        "SECURITY_PASSWORD_SINGLE_HASH": {"argon2"},
        "SECURITY_TWO_FACTOR": True,
        "SECURITY_TWO_FACTOR_ENABLED_METHODS": ["authenticator"],
        "SECURITY_TOTP_SECRETS": {key.hex()[:8]: key.hex() for key in derived},
        "SECURITY_TOTP_ISSUER": "Colophon desk",
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES": True,
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES_N": RECOVERY_CODES,
        "SECURITY_MULTI_FACTOR_RECOVERY_CODES_KEYS": [
            base64.urlsafe_b64encode(key) for key in derived
        ],
        "SECURITY_FLASH_MESSAGES": False,
        "SECURITY_CLI_USERS_NAME": None,
        "SECURITY_CLI_ROLES_NAME": None,
    }
