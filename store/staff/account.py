"""One's own account: password, two-step sign-in, recovery codes."""

from typing import Any

import qrcode
from flask import Blueprint, flash, redirect, render_template, request, session, url_for

from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.forms import status
from store.staff import people, sessions
from store.staff.alerts import Done, tell_of
from store.staff.guard import STAFF, opens_to, signed_in
from store.staff.models import StaffMember
from store.staff.proof import code_faults, password_faults, proves
from store.staff.second_factor import settles_at

bp = Blueprint("account", __name__, url_prefix="/admin/account")


@bp.get("")
@opens_to(STAFF)
def show() -> Any:
    """What stands of this person."""
    person = signed_in()
    return render_template("admin/account.html", person=person, settles_at=settles_at(person))


@bp.route("/password", methods=["GET", "POST"])
@opens_to(STAFF)
def password() -> Any:
    """A new password; ends the person's other sessions."""
    errors = {}
    if request.method == "POST":
        person = signed_in()
        errors = _password_faults(person)
        if not errors:
            _set_password(person)
            flash("Your password is changed. Everywhere else you are signed out.")
            return redirect(url_for("account.show"), 303)
    return render_template("admin/account-password.html", errors=errors), status(errors)


@bp.route("/two-step", methods=["GET", "POST"])
@opens_to(STAFF)
def two_step() -> Any:
    """Connect an authenticator app."""
    person, errors = signed_in(), {}
    if person.has_two_step:
        return redirect(url_for("account.show"), 303)
    secret = session.get("new_secret") or people.codes().generate_totp_secret()
    session["new_secret"] = secret  # encrypted: the cookie can be read by its owner's browser
    if request.method == "POST":
        errors = _connect_faults(person, secret)
        if not errors:
            with transaction():
                recovery = people.turn_on_two_step(person, secret)
                tell_of(person, Done.ON)
            session.pop("new_secret")
            return _show_codes(recovery, is_new=True)
    values = people.codes().fetch_setup_values(secret, person)
    page = render_template(
        "admin/account-two-step.html", errors=errors, key=values["key"], qr=_drawn(values["uri"])
    )
    return page, status(errors)


@bp.route("/two-step/off", methods=["GET", "POST"])
@opens_to(STAFF)
def two_step_off() -> Any:
    """Let the password be enough again."""
    return _with_code(Done.OFF, people.turn_off_two_step)


@bp.route("/recovery-codes", methods=["GET", "POST"])
@opens_to(STAFF)
def recovery_codes() -> Any:
    """Fresh recovery codes in place of the old ones."""
    return _with_code(Done.CODES, people.new_recovery_codes)


def _with_code(done: Done, act: Any) -> Any:
    """The password alone would give whoever has it a code of their own."""
    person, errors = signed_in(), {}
    if not person.has_two_step:
        return redirect(url_for("account.show"), 303)
    if request.method == "POST":
        errors = password_faults(person) or code_faults(person)
        if not errors:
            with transaction():
                made = act(person)
                tell_of(person, done)
            if done is Done.CODES:
                return _show_codes(made, is_new=False)
            flash("Two-step sign-in is off.")
            return redirect(url_for("account.show"), 303)
    page = render_template("admin/account-confirm.html", what=done.name, errors=errors)
    return page, status(errors)


def _show_codes(made: list[str], *, is_new: bool) -> str:
    return render_template("admin/account-codes.html", codes=made, is_new=is_new)


def _password_faults(person: StaffMember) -> dict[str, str]:
    errors = password_faults(person)
    if errors:
        return errors
    try:
        people.checked_password(request.form.get("new_password", ""), person.email)
    except InvalidFields as refusal:
        return {"new_password": refusal.faults["password"]}
    return {}


def _set_password(person: StaffMember) -> None:
    made = people.hashed(request.form["new_password"])
    with transaction():
        person.password = made
        people.end_sessions(person)
        tell_of(person, Done.PASSWORD)
    sessions.begin(person)


def _connect_faults(person: StaffMember, secret: str) -> dict[str, str]:
    errors = password_faults(person)
    if errors:
        return errors
    typed = "".join(request.form.get("code", "").split())

    def accepts() -> bool:
        with transaction():
            return people.codes().verify_totp(typed, secret, person, window=30)

    is_right = proves(f"code of {person.id}", accepts)
    return {} if is_right else {"code": "That code is not right. Wait for the next one and try it."}


def _drawn(uri: str) -> dict[str, Any]:
    """The code to scan as the path of an SVG: a picture in a data address the pages refuse."""
    drawn = qrcode.QRCode(border=2)
    drawn.add_data(uri)
    rows = drawn.get_matrix()
    path = "".join(
        f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark
    )
    return {"size": len(rows), "path": path}
