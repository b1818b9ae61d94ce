"""Commands about erasures: asked for, stopped, looked at, and applied again to a database from a backup."""

import click

from store.commands.base import confirm, in_shop, json_option, print_json, print_table, who_types
from store.entitlements.erasures import ask_erasure, open_erasures, stop_erasure
from store.kit.database import transaction
from store.kit.formatting import format_day
from store.orders.customers import known_customer
from store.payments.erasures import apply_journal, paid_back_first, why_it_waits
from store.staff.acts import Act
from store.staff.audit import record

GOES = """\
What goes: their name and addresses, copies, links, letters, notes, networks and browsers.
What stays, for seven years at most: of each order reference, amount, days, country and VAT.
It cannot be undone."""


@click.command()
@click.argument("address")
@click.option(
    "--at-once", is_flag=True, help="Without the seven days: they asked for it by letter."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@in_shop
def erase(address: str, at_once: bool, yes: bool) -> None:
    """Erase all that is known of a customer, seven days from now. Every address of theirs is told, and
    can stop it until then."""
    found = known_customer(address)
    if not yes:
        lines = [GOES]
        for one in paid_back_first(found.id):
            by_hand = ", by bank transfer, by hand" if one.is_by_hand else ""
            lines.append(f"Paid back first{by_hand}: {one.reference}, {one.title}")
        confirm("\n".join([*lines, "Erase them?"]))
    with transaction():
        found = known_customer(address)
        waits = ask_erasure(found, who_types(), is_at_once=at_once)
        record(Act.ERASURE_ASKED, found, after={"due_at": waits.due_at})
        day = format_day(waits.due_at)
    when = "as soon as the letters have left" if at_once else f"on {day}"
    click.echo(f"They are erased {when}, once what is open is settled. Their addresses are told.")


@click.command()
@click.argument("address")
@in_shop
def keep(address: str) -> None:
    """Stop an erasure that was asked for; every address of theirs is told."""
    with transaction():
        found = known_customer(address)
        stop_erasure(found.id, who_types())
        record(Act.ERASURE_STOPPED, found)
    click.echo("Nothing is erased.")


@click.group()
def erasures() -> None:
    """Customers who are to be erased, and those who were."""


@erasures.command("list")
@json_option
@in_shop
def list_(as_json: bool) -> None:
    """Erasures that wait, and what each waits for."""
    rows = [
        {
            "customer": waits.customer_id,
            "asked_at": waits.asked_at.isoformat(),
            "due_at": waits.due_at.isoformat(),
            "by": waits.who,
            "waits_for": getattr(why_it_waits(waits), "value", ""),
        }
        for waits in open_erasures()
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(list(rows[0]) if rows else ["customer"], [list(row.values()) for row in rows])


@erasures.command("apply")
@in_shop
def apply() -> None:
    """Erase again who was erased before the database was put back from a backup, by the journal. Workers
    do so when they start; rows that are newer than the erasure stay."""
    done = apply_journal()
    with transaction():
        record(Act.ERASURES_APPLIED, after={"customers": done})
    click.echo(f"{done} erasures were applied again.")
