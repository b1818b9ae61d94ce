"""Commands about staff."""

import sys

import click

from store.commands.base import in_shop, json_option, print_json, print_table
from store.kit import clock
from store.kit.database import transaction
from store.staff import membership, people
from store.staff.acts import Act
from store.staff.audit import record
from store.staff.models import Role
from store.staff.people import Done, tell_of


@click.group()
def staff() -> None:
    """Who may use the desk."""


@staff.command("add")
@click.argument("email")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@in_shop
def staff_add(email: str, role: str, password_stdin: bool) -> None:
    """Let a person into the desk.

    Somebody who is staff already gets this role and password, is signed out everywhere and
    has two-step sign-in turned off: the way back for a lost password or phone.
    """
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    began = clock.now()
    with transaction():
        person = people.add_staff(email, role, password)
        if person.created_at < began:
            tell_of(person, Done.RESET)
            record(Act.STAFF_RESET, person, after={"role": role})
        else:
            record(Act.STAFF_ADDED, person, after={"role": role})
        said = f"{person.email} may sign in at /admin/ as {role}."
    click.echo(said)


@staff.command("list")
@json_option
@in_shop
def staff_list(as_json: bool) -> None:
    """Who may sign in, who is invited, and whose second step is missing."""
    found = membership.members()
    told = [
        {
            "email": one.person.email,
            "name": one.person.name,
            "role": one.person.role.value,
            "invited": one.is_invited,
            "second_step": one.person.has_two_step,
            "signed_in_at": one.person.signed_in_at,
        }
        for one in found
    ]
    if as_json:
        print_json(told)
        return
    print_table(
        ("address", "name", "role", "second step", "last here"),
        [
            (
                one.person.email,
                one.person.name,
                one.person.role,
                "invited" if one.is_invited else "on" if one.person.has_two_step else "off",
                f"{one.person.signed_in_at:%Y-%m-%d %H:%M}" if one.person.signed_in_at else "",
            )
            for one in found
        ],
    )


@staff.command("remove")
@click.argument("email")
@in_shop
def staff_remove(email: str) -> None:
    """Let a person in no more: their sessions end at once. The last owner stays."""
    with transaction():
        person = membership.remove(membership.member_by_address(email).id)
        record(Act.STAFF_REMOVED, person)
        said = f"{person.email} is out. What they did stays on record."
    click.echo(said)
