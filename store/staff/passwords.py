"""Passwords of staff: which are taken, how they are hashed, and whether one is right."""

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from argon2.profiles import RFC_9106_LOW_MEMORY

from store.kit.errors import InvalidFields
from store.staff.models import StaffMember

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200

HASHER = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)  # argon2id, 64 MiB, three passes


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
    if person is None:
        hashed(typed)
        return False
    try:
        return HASHER.verify(person.password, _normal(typed))
    except VerifyMismatchError:
        return False


def _normal(password: str) -> str:
    """One spelling of each letter, whichever way a keyboard writes it (NIST SP 800-63B)."""
    return unicodedata.normalize("NFKD", password)
