"""One's own account: password, two-step sign-in, recovery codes."""

import re
from typing import Any

import segno
from flask import Blueprint, flash, redirect, render_template, request, session, url_for

from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Typed, status, typed
from store.staff import credentials, sessions
from store.staff.acts import Act
from store.staff.audit import record
from store.staff.guard import STAFF, opens_to, signed_in
from store.staff.membership import checked_name
from store.staff.models import StaffMember
from store.staff.people import Done, end_sessions, tell_of
from store.staff.sign_in import code_faults, password_faults, proves

bp = Blueprint("account", __name__, url_prefix="/admin/account")


@bp.get("")
@opens_to(STAFF)
def show() -> Any:
    """How this person signs in, and what they may change."""
    person = signed_in()
    return render_template(
        "admin/account.html", person=person, settles_at=credentials.settles_at(person)
    )


@bp.route("/name", methods=["GET", "POST"])
@opens_to(STAFF)
def name() -> Any:
    """The name that stands in the record beside what this person does."""
    person, errors = signed_in(), dict[str, str]()
    values = Typed(name=person.name)
    if request.method == "POST":
        values = typed()
        try:
            wanted = checked_name(values["name"])
        except InvalidFields as refusal:
            errors = refusal.faults
        else:
            with transaction():
                person.name = wanted
                record(Act.STAFF_RENAMED, person)
            flash("Saved.")
            return redirect(url_for("account.show"), 303)
    return render_template("admin/account_name.html", values=values, errors=errors), status(errors)


@bp.post("/shortcut")
@opens_to(STAFF)
def shortcut() -> Any:
    """Whether "/" leads to the search of the head."""
    with transaction():
        person = signed_in()
        person.has_shortcut = typed()["shortcut"] == "on"
        record(Act.SHORTCUT_CHANGED, person)
        is_on = person.has_shortcut
    flash("The key “/” leads to the search now." if is_on else "The key “/” is off.")
    return redirect(url_for("account.show"), 303)


@bp.route("/password", methods=["GET", "POST"])
@opens_to(STAFF)
def password() -> Any:
    """A new password; ends the person's other sessions."""
    errors = {}
    if request.method == "POST":
        person, wanted = signed_in(), request.form.get("new_password", "")
        errors = password_faults(person) or _new_password_faults(person, wanted)
        if not errors:
            made = credentials.hashed(wanted)
            with transaction():
                person.password = made
                end_sessions(person)
                tell_of(person, Done.PASSWORD)
                record(Act.PASSWORD_CHANGED, person)
            sessions.begin(person)
            flash("Your password is changed. Everywhere else you are signed out.")
            return redirect(url_for("account.show"), 303)
    return render_template("admin/account_password.html", errors=errors), status(errors)


@bp.route("/two-step", methods=["GET", "POST"])
@opens_to(STAFF)
def two_step() -> Any:
    """Connect an authenticator app."""
    person, errors = signed_in(), {}
    if person.has_two_step:
        return redirect(url_for("account.show"), 303)
    secret = session["new_secret"] = session.get("new_secret") or credentials.new_secret()
    if request.method == "POST":
        errors = password_faults(person) or _first_code_faults(person, secret)
        if not errors:
            with transaction():
                made = credentials.turn_on_two_step(person, secret)
                tell_of(person, Done.ON)
                record(Act.TWO_STEP_ON, person)
            session.pop("new_secret")
            return render_template("admin/account_codes.html", codes=made, is_new=True)
    app = credentials.authenticator(secret)
    page = render_template(
        "admin/account_two_step.html",
        errors=errors,
        key="-".join(re.findall("....", app.secret)),
        qr=_drawn(app.provisioning_uri(name=person.email)),
    )
    return page, status(errors)


@bp.route("/two-step/off", methods=["GET", "POST"])
@opens_to(STAFF)
def two_step_off() -> Any:
    """Let the password be enough again."""
    return _with_code(Done.OFF)


@bp.route("/recovery-codes", methods=["GET", "POST"])
@opens_to(STAFF)
def recovery_codes() -> Any:
    """Fresh recovery codes in place of the old ones."""
    return _with_code(Done.CODES)


def _with_code(done: Done) -> Any:
    """The password alone would give a thief of it a code of their own."""
    person, errors = signed_in(), {}
    if not person.has_two_step:
        return redirect(url_for("account.show"), 303)
    if request.method == "POST":
        errors = password_faults(person) or code_faults(person)
        if not errors:
            made: list[str] = []
            with transaction():
                if done is Done.CODES:
                    made = credentials.new_recovery_codes(person)
                else:
                    credentials.turn_off_two_step(person)
                tell_of(person, done)
                record(Act.CODES_MADE if done is Done.CODES else Act.TWO_STEP_OFF, person)
            if made:
                return render_template("admin/account_codes.html", codes=made, is_new=False)
            flash("Two-step sign-in is off.")
            return redirect(url_for("account.show"), 303)
    page = render_template("admin/account_confirm.html", what=done.name, errors=errors)
    return page, status(errors)


def _new_password_faults(person: StaffMember, wanted: str) -> dict[str, str]:
    try:
        credentials.checked_password(wanted, person.email)
    except InvalidFields as refusal:
        return {"new_password": refusal.faults["password"]}
    return {}


def _first_code_faults(person: StaffMember, secret: str) -> dict[str, str]:
    def accepts() -> bool:
        with transaction():
            return credentials.accept_app_code(person, secret, request.form.get("code", ""))

    is_right = proves(f"code of {person.id}", accepts)
    return {} if is_right else {"code": "That code is not right. Wait for the next one and try it."}


def _drawn(uri: str) -> dict[str, Any]:
    """The code to scan as the path of an SVG: a picture in a data address the pages refuse."""
    rows = list(segno.make_qr(uri, error="m").matrix_iter(border=2))
    path = "".join(
        f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark
    )
    return {"size": len(rows), "path": path}
