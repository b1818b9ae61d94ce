"""The page behind a mailed link: a password of one's own, and on to the second step."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for

from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Typed, status, typed
from store.staff import credentials, membership, sessions
from store.staff.acts import Act
from store.staff.audit import record
from store.staff.guard import ANYBODY, opens_to

bp = Blueprint("joining", __name__, url_prefix="/admin/join")


@bp.route("/<token>", methods=["GET", "POST"])
@opens_to(ANYBODY)
def join(token: str) -> Any:
    """Who was invited chooses a password; who has forgotten theirs, another one."""
    person = membership.invited_by(token)
    values, errors = Typed(name=person.name), dict[str, str]()
    if request.method == "POST":
        values, password = typed(), request.form.get("new_password", "")
        errors = _faults(values["name"], password, person.email)
        if not errors:
            made = credentials.hashed(password)
            with transaction():
                person = membership.join(token, values["name"], made)
                record(Act.STAFF_JOINED, person, by=person)
            if person.has_two_step:
                return redirect(url_for("sign_in.sign_in"), 303)
            sessions.begin(person)
            return redirect(url_for("account.two_step"), 303)
    page = render_template("admin/join.html", member=person, values=values, errors=errors)
    return page, status(errors)


def _faults(name: str, password: str, email: str) -> dict[str, str]:
    faults: dict[str, str] = {}
    try:
        membership.checked_name(name)
    except InvalidFields as refusal:
        faults |= refusal.faults
    try:
        credentials.checked_password(password, email)
    except InvalidFields as refusal:
        faults["new_password"] = refusal.faults["password"]
    return faults
