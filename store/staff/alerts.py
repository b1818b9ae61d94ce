"""Letters about what was done to somebody's way into the desk: to them and to the owners."""

from enum import StrEnum

from store.kit import clock
from store.mail.outbox import alert_staff
from store.staff.models import StaffMember


class Done(StrEnum):
    """What was done, in the words that end the subject of the letter."""

    ON = "turned on two-step sign-in"
    OFF = "turned off two-step sign-in"
    CODES = "made new recovery codes"
    PASSWORD = "changed the password"  # noqa: S105 - words, not a secret
    RESET = "was given a new password at the command line, and two-step sign-in is off"


def tell_of(person: StaffMember, done: Done) -> None:
    """Owe the letters, in the transaction that does it."""
    alert_staff(
        f"{person.email} {done}",
        f"{person.email} {done}.\n\nIf that was not meant, set a new password at once with “store "
        "staff add” on the machine that runs the shop: it ends every session of that account. "
        "Then look at “Customers” and “Bank details” for changes that nobody asked for.",
        f"account:{person.id}:{done.name}:{clock.now().timestamp()}",
        also=person.email,
    )
