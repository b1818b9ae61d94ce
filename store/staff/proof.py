"""Proving who one is, by password or code: each try is counted before it is judged."""

from collections.abc import Callable

from flask import request

from store.kit.database import transaction
from store.kit.formatting import format_moment
from store.kit.limits import asking_network, count_try, take_back
from store.staff.models import StaffMember
from store.staff.passwords import is_password_of
from store.staff.second_factor import accept_code, settles_at

# Tries for one person, and tries for many people from one network.
_FOR_ONE = "5 per minute;30 per hour"
_FROM_ONE_NETWORK = "20 per minute;200 per hour"
WRONG_PASSWORD = {"password": "That is not your password."}


def proves(whose: str, judge: Callable[[], bool]) -> bool:
    """Whether the proof holds; what is wrong, or is being judged, counts against `whose` and
    against the network. Refuses (`TooOften`) before it judges. Called outside any transaction."""
    network = asking_network()
    counted = count_try("proof", {whose: _FOR_ONE, f"from {network}": _FROM_ONE_NETWORK})
    is_right = judge()
    if is_right:
        take_back(counted)
    return is_right


def password_faults(person: StaffMember) -> dict[str, str]:
    """The password asked for again in the middle of a session: a sentence where it is wrong, so
    that a desk left open, or a copied cookie, lets nobody guess it."""
    typed = request.form.get("password", "")
    is_right = proves(f"person {person.id}", lambda: is_password_of(person, typed))
    return {} if is_right else WRONG_PASSWORD


def code_faults(person: StaffMember) -> dict[str, str]:
    """A code asked for in the middle of a session: a sentence where none was given or it is wrong.
    A right one is used up. Opens its own transaction."""
    if not person.has_two_step:
        return {"code": "Turn on two-step sign-in in your account first. Then give a code here."}
    typed = request.form.get("code", "")
    if not typed.strip():
        return {"code": "Enter the code."}

    def judge() -> bool:
        with transaction():
            return accept_code(person, typed)

    is_right = proves(f"person {person.id}", judge)
    return {} if is_right else {"code": "That code is not right, or it was used already."}


def settled_code_faults(person: StaffMember) -> dict[str, str]:
    """The same beside an act that hands something over: also a sentence where the app is so new
    that somebody who has just learnt the password may have connected it."""
    settled = settles_at(person)
    if settled is not None:
        moment = format_moment(settled)
        return {"code": f"Your two-step sign-in is new. Codes are taken here from {moment} on."}
    return code_faults(person)
