"""Discounts on the command line: codes and members' prices."""

from datetime import date
from pathlib import Path
from typing import Any

import click

from store.catalog.publications import publication_by_slug
from store.commands.base import Refused, in_shop, json_option, print_json, print_table
from store.kit import clock
from store.kit.config import config
from store.kit.database import transaction
from store.kit.money import format_money, parse_price
from store.orders import discount_rows
from store.orders.models import Discount

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
@click.option("--publication", "slug", help="For this one alone.")
@click.option("--from", "first", help="First day, YYYY-MM-DD.")
@click.option("--until", "last", help="Last day, YYYY-MM-DD.")
@click.option("--max-orders", type=int, help="How many orders in all.")
@click.option("--max-orders-each", type=int, help="How many orders of one customer.")
@click.option("--domains", default="", help="Members: ends of addresses, commas between.")
@click.option(
    "--members",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Members: a file of addresses.",
)
@in_shop
def add(
    name: str,
    amount: str | None,
    currency: str,
    slug: str | None,
    first: str | None,
    last: str | None,
    members: Path | None,
    **given: Any,
) -> None:
    """A new discount, from now on unless a first day is given."""
    zone = config().zone
    with transaction():
        added = discount_rows.add_discount(
            name,
            amount=parse_price(amount, currency) if amount else None,
            currency=currency,
            publication=publication_by_slug(slug) if slug else None,
            starts_at=clock.start_of(_day(first), zone) if first else None,
            ends_at=clock.end_of(_day(last), zone) if last else None,
            members=members.read_text(encoding="utf-8-sig") if members else "",
            **given,
        )
        click.echo(f"{added.name} takes off {_off(added)}.")


@discount.command("end")
@click.argument("code_or_number")
@in_shop
def end(code_or_number: str) -> None:
    """From now on it takes nothing off; placed orders keep what they agreed."""
    with transaction():
        found = discount_rows.discount_by_name(code_or_number)
        discount_rows.end_discount(found)
        click.echo(f"{found.name} is ended.")


@discount.command("list")
@click.option("--page", type=int, default=1, show_default=True)
@json_option
@in_shop
def list_(page: int, as_json: bool) -> None:
    """Every discount, newest first, with the orders that use it or hold a place."""
    found = discount_rows.list_discounts(page).rows
    places = discount_rows.places_by_discount([one.id for one in found])
    told = [_told(one, places[one.id]) for one in found]
    if as_json:
        print_json(told)
        return
    print_table(
        COLUMNS,
        [tuple(one[key] if one[key] is not None else "" for key in COLUMNS) for one in told],
    )


def _told(one: Discount, places: discount_rows.Places) -> dict[str, Any]:
    last = discount_rows.last_day(one)
    return {
        "number": one.id,
        "name": one.name,
        "code": one.code,
        "off": _off(one),
        "state": discount_rows.state_of(one),
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


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused(f"“{text}” is not a date like 2027-04-01.") from None
