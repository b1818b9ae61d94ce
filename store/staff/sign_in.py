"""Signing in with password and code, and signing out."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, session, url_for

from store.kit.database import transaction
from store.kit.forms import Typed, status, typed
from store.kit.limits import asking_network
from store.orders.customers import InvalidAddress, address_key, parse_address
from store.staff import sessions
from store.staff.guard import ANYBODY, STAFF, opens_to, signed_in
from store.staff.models import StaffMember
from store.staff.passwords import is_password_of
from store.staff.people import staff_by_address, staff_by_sign_in_key
from store.staff.proof import proves
from store.staff.second_factor import accept_code

bp = Blueprint("sign_in", __name__, url_prefix="/admin")

# Between password and code.
PATIENCE_SECONDS = 600
WRONG = "The e-mail address or the password is not right."


@bp.route("/sign-in", methods=["GET", "POST"])
@opens_to(ANYBODY)
def sign_in() -> Any:
    """Address and password."""
    if sessions.person_at_desk() is not None:
        return redirect(url_for("home.home"), 303)
    if request.method == "GET":
        return render_template("admin/sign_in.html", values=Typed(), errors={}, next=_next())
    errors = _missing({"email": "Enter your e-mail address.", "password": "Enter your password."})
    if not errors:
        person = _proven()
        if person is not None and person.has_two_step:
            _ask_for_code(person)
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
    person = _pending()
    if person is None:
        return redirect(url_for("sign_in.sign_in", next=_next()), 303)
    errors = {}
    if request.method == "POST":
        errors = _missing({"code": "Enter the code."}) or _code_faults(person)
        if not errors:
            return _let_in(person)
    page = render_template("admin/sign_in_code.html", errors=errors, next=_next())
    return page, status(errors)


@bp.post("/sign-out")
@opens_to(STAFF)
def sign_out() -> Any:
    """End every session of this person."""
    sessions.end(signed_in())
    return redirect(url_for("sign_in.sign_in"), 303)


def _proven() -> StaffMember | None:
    """Who has this address and password and may sign in."""
    address, found = _typed_address(), None

    def judge() -> bool:
        nonlocal found
        found = staff_by_address(address)
        return is_password_of(found, request.form["password"]) and found is not None

    # By network, too, so that nobody locks somebody else out.
    is_right = proves(f"{address} from {asking_network()}", judge)
    return found if is_right and found is not None and found.active else None


def _typed_address() -> str:
    typed = request.form.get("email", "")
    try:
        return address_key(parse_address(typed))
    except InvalidAddress:
        return typed.strip().casefold()


def _ask_for_code(person: StaffMember) -> None:
    session.clear()
    session["pending"] = person.sign_in_key
    session["pending_at"] = session["began_at"] = session["seen_at"] = sessions.seconds()


def _pending() -> StaffMember | None:
    """Who has given the right password and no code yet."""
    key = session.get("pending")
    if not key or sessions.seconds() - session.get("pending_at", 0) > PATIENCE_SECONDS:
        return None
    return staff_by_sign_in_key(key)


def _code_faults(person: StaffMember) -> dict[str, str]:
    def accepts() -> bool:
        with transaction():
            return accept_code(person, request.form["code"])

    is_right = proves(f"code of {person.id}", accepts)
    return {} if is_right else {"code": "That code is not right, or it was used already."}


def _let_in(person: StaffMember) -> Any:
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
    is_ours = sessions.is_desk(path) and wanted.isprintable() and not {"\\", ".."} & set(path)
    return wanted if is_ours and "//" not in path and "/../" not in path else None
