"""Signing in with password and code, signing out, and proving again who one is in the middle of a
session. Each try is counted before it is judged."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, redirect, render_template, request, session, url_for

from store.kit import clock
from store.kit.database import transaction
from store.kit.formatting import format_moment
from store.kit.forms import Typed, status, typed
from store.kit.happenings import Happening, tell
from store.kit.limits import asking_network, count_try, take_back
from store.kit.mailboxes import address_key
from store.orders.customers import InvalidAddress, parse_address
from store.staff import sessions
from store.staff.acts import Act
from store.staff.audit import record
from store.staff.credentials import accept_code, is_password_of, settles_at
from store.staff.guard import ANYBODY, STAFF, opens_to, signed_in
from store.staff.models import StaffMember
from store.staff.people import end_sessions, staff_by_address, staff_by_sign_in_key

bp = Blueprint("sign_in", __name__, url_prefix="/admin")

# Between password and code.
PATIENCE_SECONDS = 600
WRONG = "The e-mail address or the password is not right."
WRONG_PASSWORD = {"password": "That is not your password."}
WRONG_CODE = {"code": "That code is not right, or it was used already."}
# Tries for one person, and tries for many people from one network.
_FOR_ONE = "5 per minute;30 per hour"
_FROM_ONE_NETWORK = "20 per minute;200 per hour"


@bp.route("/sign-in", methods=["GET", "POST"])
@opens_to(ANYBODY)
def sign_in() -> Any:
    """Address and password."""
    if sessions.person_at_desk() is not None:
        return redirect(url_for("home.home"), 303)
    if request.method != "POST":
        return render_template("admin/sign_in.html", values=Typed(), errors={}, next=_next())
    errors = _missing({"email": "Enter your e-mail address.", "password": "Enter your password."})
    if not errors:
        person = _proven()
        if person is not None and person.has_two_step:
            session.clear()
            session["pending"] = person.sign_in_key
            session["pending_at"] = session["began_at"] = session["seen_at"] = sessions.seconds()
            return redirect(url_for("sign_in.code", next=_next()), 303)
        if person is not None:
            return _let_in(person)
        errors = {"form": WRONG}
    page = render_template("admin/sign_in.html", values=typed(), errors=errors, next=_next())
    return page, 422


@bp.route("/sign-in/code", methods=["GET", "POST"])
@opens_to(ANYBODY)
def code() -> Any:
    """The code of the app, or a recovery code."""
    # Who has given the right password and no code yet.
    key, since = session.get("pending"), session.get("pending_at", 0)
    is_late = sessions.seconds() - since > PATIENCE_SECONDS
    person = staff_by_sign_in_key(key) if key and not is_late else None
    if person is None:
        return redirect(url_for("sign_in.sign_in", next=_next()), 303)
    errors = {}
    if request.method == "POST":
        errors = _missing({"code": "Enter the code."})
        if not errors and _takes_code(f"code of {person.id}", person, request.form["code"]):
            return _let_in(person)
        errors = errors or WRONG_CODE
    page = render_template("admin/sign_in_code.html", errors=errors, next=_next())
    return page, status(errors)


@bp.post("/sign-out")
@opens_to(STAFF)
def sign_out() -> Any:
    """End every session of this person."""
    person = signed_in()
    with transaction():
        record(Act.SIGNED_OUT, person, by=person)
        end_sessions(person)
    sessions.forget()
    return redirect(url_for("sign_in.sign_in"), 303)


def proves(whose: str, judge: Callable[[], bool]) -> bool:
    """Whether the proof holds; what is wrong, or is being judged, counts against `whose` and
    against the network. Refuses (`TooOften`) before it judges. Called outside any transaction."""
    network = asking_network()
    counted = count_try("proof", {whose: _FOR_ONE, f"from {network}": _FROM_ONE_NETWORK})
    is_right = judge()
    if is_right:
        take_back(counted)
    else:
        tell(Happening.SIGN_IN_REFUSED, kind="code" if whose.startswith("code of ") else "password")
    return is_right


def password_faults(person: StaffMember) -> dict[str, str]:
    """The password asked for again in the middle of a session: a sentence where it is wrong, so
    that a desk left open, or a copied cookie, lets nobody guess it."""
    given = request.form.get("password", "")
    is_right = proves(f"person {person.id}", lambda: is_password_of(person, given))
    return {} if is_right else WRONG_PASSWORD


def code_faults(person: StaffMember) -> dict[str, str]:
    """A code asked for in the middle of a session: a sentence where none was given or it is wrong.
    A right one is used up. Opens its own transaction."""
    if not person.has_two_step:
        return {"code": "Turn on two-step sign-in in your account first. Then give a code here."}
    given = request.form.get("code", "")
    if not given.strip():
        return {"code": "Enter the code."}
    return {} if _takes_code(f"person {person.id}", person, given) else WRONG_CODE


def _takes_code(whose: str, person: StaffMember, given: str) -> bool:
    def judge() -> bool:
        with transaction():
            return accept_code(person, given)

    return proves(whose, judge)


def settled_code_faults(person: StaffMember) -> dict[str, str]:
    """The same beside an act that hands something over: also a sentence where the app is so new
    that somebody who has just learnt the password may have connected it."""
    settled = settles_at(person)
    if settled is not None:
        moment = format_moment(settled)
        return {"code": f"Your two-step sign-in is new. Codes are taken here from {moment} on."}
    return code_faults(person)


def _proven() -> StaffMember | None:
    """Who has this address and password and may sign in."""
    found, typed_address = None, request.form.get("email", "")
    try:
        address = address_key(parse_address(typed_address))
    except InvalidAddress:
        address = typed_address.strip().casefold()

    def judge() -> bool:
        nonlocal found
        found = staff_by_address(address)
        return is_password_of(found, request.form["password"]) and found is not None

    # By network, too, so that nobody locks somebody else out.
    is_right = proves(f"{address} from {asking_network()}", judge)
    return found if is_right and found is not None and found.active else None


def _let_in(person: StaffMember) -> Any:
    with transaction():
        person.signed_in_at = clock.now()
        record(Act.SIGNED_IN, person, by=person)
        tell(Happening.SIGN_IN_DONE, staff=person.id)
    sessions.begin(person)
    return redirect(_next() or url_for("home.home"), 303)


def _missing(sentences: dict[str, str]) -> dict[str, str]:
    return {
        name: sentence
        for name, sentence in sentences.items()
        if not request.form.get(name, "").strip()
    }


def _next() -> str | None:
    """Where the person wanted to go; only addresses of the desk are taken."""
    wanted = request.values.get("next", "")
    path = wanted.partition("?")[0]
    is_plain = "\\" not in path and "//" not in path and ".." not in path.split("/")
    return wanted if sessions.is_desk(path) and wanted.isprintable() and is_plain else None
