"""Commands about staff."""

import sys

import click

from store.commands.base import in_shop
from store.kit import clock
from store.kit.database import transaction
from store.staff import people
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
