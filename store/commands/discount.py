"""Discounts on the command line: codes and members' prices."""

from pathlib import Path
from typing import Any

import click

from store.commands.base import in_shop, json_option, print_json, print_table
from store.kit.database import transaction
from store.kit.money import format_money
from store.kit.paging import Place
from store.orders import discounts
from store.orders.discounts import Places, places_by_discount
from store.orders.models import Discount
from store.staff import recorded
from store.staff.acts import Act
from store.staff.audit import record

COLUMNS = ("number", "name", "code", "off", "state", "used", "held", "until")


@click.group()
def discount() -> None:
    """Less to pay: by a code, or for members by their address."""


@discount.command("add")
@click.argument("name")
@click.option("--code", default="", help="What buyers type; without one it is for members.")
@click.option("--percent", type=int, help="From 1 to 100.")
@click.option("--amount", help="Such as 2.50, with --currency.")
@click.option("--currency", default="GBP", show_default=True)
@click.option("--publication", help="For this one alone.")
@click.option("--from", "starts_on", help="First day, YYYY-MM-DD.")
@click.option("--until", "ends_on", help="Last day, YYYY-MM-DD.")
@click.option("--max-orders", type=int, help="How many orders in all.")
@click.option("--max-orders-each", type=int, help="How many orders of one customer.")
@click.option("--domains", default="", help="Members: ends of addresses, commas between.")
@click.option(
    "--members",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Members: a file of addresses.",
)
@in_shop
def add(name: str, members: Path | None, **given: Any) -> None:
    """A new discount, from now on unless a first day is given."""
    listed = members.read_text(encoding="utf-8-sig") if members else ""
    with transaction():
        added = discounts.add_discount(name, members=listed, **given)
        recorded.discount_added(added)
        click.echo(f"{added.name} takes off {_off(added)}.")


@discount.command("end")
@click.argument("code_or_number")
@in_shop
def end(code_or_number: str) -> None:
    """From now on it takes nothing off; placed orders keep what they agreed."""
    with transaction():
        found = discounts.discount_by_name(code_or_number)
        discounts.end_discount(found)
        record(Act.DISCOUNT_ENDED, found)
        click.echo(f"{found.name} is ended.")


@discount.command("list")
@click.option("--after", type=int, help="Go on behind the discount of this number.")
@json_option
@in_shop
def list_(after: int | None, as_json: bool) -> None:
    """Every discount, newest first, with the orders that use it or hold a place."""
    found = discounts.list_discounts(Place(after=after)).rows
    places = places_by_discount([one.id for one in found])
    told = [_told(one, places[one.id]) for one in found]
    if as_json:
        print_json(told)
        return
    print_table(
        COLUMNS,
        [tuple(one[key] if one[key] is not None else "" for key in COLUMNS) for one in told],
    )


def _told(one: Discount, places: Places) -> dict[str, Any]:
    last = discounts.last_day(one)
    return {
        "number": one.id,
        "name": one.name,
        "code": one.code,
        "off": _off(one),
        "state": discounts.state_of(one),
        "used": places.used,
        "held": places.held,
        "max_orders": one.max_orders,
        "publication": one.publication.slug if one.publication else None,
        "until": last.isoformat() if last else None,
    }


def _off(one: Discount) -> str:
    if one.percent is not None:
        return f"{one.percent}%"
    return format_money(one.amount or 0, one.currency or "")
