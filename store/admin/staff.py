"""Staff, for owners: who may sign in, invited, changed, helped, removed."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from store.admin import audit as record_of_acts
from store.kit.database import transaction
from store.kit.errors import InvalidFields
from store.kit.forms import Typed, status, typed
from store.staff import audit, audit_lines, membership
from store.staff.acts import Act
from store.staff.credentials import demand_of_all, demanded_of_all_at
from store.staff.guard import OWNERS, opens_to, signed_in
from store.staff.membership import MAY
from store.staff.models import Role, StaffMember
from store.staff.sign_in import code_faults, password_faults

bp = Blueprint("staff", __name__, url_prefix="/admin/staff")

SHOWN_ACTS = 6
ROLES = [(role.value, MAY[role][:1].upper() + MAY[role][1:]) for role in reversed(Role)]


@bp.route("", methods=["GET", "POST"])
@opens_to(OWNERS)
def all() -> Any:
    """Who may sign in and whose second step is missing; an invitation to somebody else."""
    values, errors = Typed(role=Role.SUPPORT.value), dict[str, str]()
    if request.method == "POST":
        values = typed()
        try:
            membership.check_invitation(values["email"], values["role"])
            _prove_for_owner(values["role"])
            with transaction():
                person = membership.invite(values["email"], values["role"])
                audit.record(Act.STAFF_INVITED, person, after={"role": person.role})
                told = f"{person.email} gets a letter with a link. It works for 24 hours."
        except InvalidFields as refusal:
            errors = refusal.faults
        else:
            flash(told)
            return redirect(url_for("staff.all"), 303)
    members = membership.members()
    acts = record_of_acts.shown(audit_lines.acts_about_staff(SHOWN_ACTS))
    page = render_template(
        "admin/staff.html",
        members=members,
        without=[one.person for one in members if one.lacks_second_step],
        me=signed_in(),
        what=MAY,
        roles=ROLES,
        demanded_at=demanded_of_all_at(),
        acts=acts,
        values=values,
        errors=errors,
    )
    return page, status(errors)


@bp.post("/second-step")
@opens_to(OWNERS)
def demand() -> Any:
    """Demand the second step of everybody, or no longer."""
    is_on, person = request.form.get("demand") == "yes", signed_in()
    if is_on and not person.has_two_step:
        flash("Turn on your own second step first: the desk would close to you.", "bad")
        return redirect(url_for("staff.all"), 303)
    with transaction():
        was = demanded_of_all_at() is not None
        demand_of_all(is_on=is_on)
        words = {True: "everybody", False: "owners and editors"}
        audit.record(Act.TWO_STEP_DEMANDED, before={"of": words[was]}, after={"of": words[is_on]})
    flash(
        "Who has no second step sets it up before anything else."
        if is_on
        else "The second step is demanded of owners and editors alone."
    )
    return redirect(url_for("staff.all"), 303)


@bp.route("/<int:number>", methods=["GET", "POST"])
@opens_to(OWNERS)
def one(number: int) -> Any:
    """One person: another role, and the ways to what helps or removes them."""
    person = membership.member(number)
    values, errors = Typed(role=person.role.value), dict[str, str]()
    if request.method == "POST":
        values = typed()
        try:
            if person.role is not Role.OWNER:
                _prove_for_owner(values["role"])
            with transaction():
                was = membership.member(number).role
                person = membership.change_role(number, values["role"])
                audit.record(
                    Act.ROLE_CHANGED, person, before={"role": was}, after={"role": person.role}
                )
                told = f"{person.known_as} may {MAY[person.role]} from now on."
        except InvalidFields as refusal:
            errors, person = refusal.faults, membership.member(number)
        else:
            flash(told)
            return redirect(url_for("staff.all"), 303)
    page = render_template(
        "admin/staff_member.html",
        member=person,
        me=signed_in(),
        roles=ROLES,
        values=values,
        errors=errors,
    )
    return page, status(errors)


@bp.post("/<int:number>/link")
@opens_to(OWNERS)
def link(number: int) -> Any:
    """A link by letter, to come in for the first time or to choose another password."""
    with transaction():
        person = membership.send_link(number)
        audit.record(Act.STAFF_INVITED, person)
        told = f"{person.email} gets a letter with a link. It works for 24 hours."
    flash(told)
    return redirect(url_for("staff.all"), 303)


@bp.post("/<int:number>/ask")
@opens_to(OWNERS)
def ask(number: int) -> Any:
    """Ask somebody by letter to turn on the second step."""
    with transaction():
        person = membership.remind(number)
        audit.record(Act.STAFF_REMINDED, person)
        told = f"{person.known_as} is asked by letter to turn on the second step."
    flash(told)
    return redirect(url_for("staff.all"), 303)


@bp.route("/<int:number>/second-step", methods=["GET", "POST"])
@opens_to(OWNERS)
def reset(number: int) -> Any:
    """Reset the second step of somebody who lost the authenticator, with one's own proof."""
    return _proven(
        "reset",
        membership.member(number),
        membership.reset_second_step,
        Act.TWO_STEP_RESET,
        "The password of {} lets in alone now, until a new second step is set up. They and all owners "
        "are told.",
    )


@bp.route("/<int:number>/remove", methods=["GET", "POST"])
@opens_to(OWNERS)
def remove(number: int) -> Any:
    """Remove somebody: they are out at once."""
    return _proven(
        "remove",
        membership.member(number),
        membership.remove,
        Act.STAFF_REMOVED,
        "{} is out. What they did stays on record.",
    )


def _proven(
    what: str,
    person: StaffMember,
    rule: Callable[[int], StaffMember],
    act: Act,
    told: str,
) -> Any:
    """The page of an act that takes the owner's own password, and code where they have one."""
    number, errors, me = person.id, dict[str, str](), signed_in()
    if request.method == "POST":
        errors = _proof_faults(me)
        if not errors:
            with transaction():
                person = rule(number)
                audit.record(act, person)
                said = told.format(person.known_as)
            flash(said)
            return redirect(url_for("staff.all"), 303)
        person = membership.member(number)
    page = render_template("admin/staff_prove.html", what=what, member=person, me=me, errors=errors)
    return page, status(errors)


def _prove_for_owner(role: str) -> None:
    """Refuse (`InvalidFields`) to make somebody an owner without one's own proof: a desk left open
    gives nobody everything for good. Opens its own transaction."""
    if role != Role.OWNER:
        return
    faults = {"password": "An owner may do everything. Enter your own password to make one."}
    if request.form.get("password"):
        faults = _proof_faults(signed_in())
    if faults:
        raise InvalidFields(faults)


def _proof_faults(me: StaffMember) -> dict[str, str]:
    return password_faults(me) or (code_faults(me) if me.has_two_step else {})
