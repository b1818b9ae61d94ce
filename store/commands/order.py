"""Orders on the command line: show, refund, send the letters again."""

from typing import Any

import click

from store.commands.base import in_shop, json_option, print_json, print_table, who_types
from store.entitlements.resending import resend_confirmation
from store.kit.database import db, transaction
from store.kit.formatting import format_moment
from store.kit.money import format_money, parse_price
from store.mail.models import Delivery
from store.orders.models import Order
from store.orders.ordering import order_by_reference
from store.payments.refunding import refund_order, refunded_amount


@click.group()
def order() -> None:
    """What was bought."""


@order.command("show")
@click.argument("reference")
@json_option
@in_shop
def show(reference: str, as_json: bool) -> None:
    """One order with its lines and letters."""
    found = order_by_reference(reference)
    told = _told(found)
    if as_json:
        print_json(told)
        return
    print_table(("what", ""), [(key, value) for key, value in told.items() if key != "letters"])
    print_table(("letter", "status", "sent"), [tuple(row.values()) for row in told["letters"]])


@order.command("refund")
@click.argument("reference")
@click.option("--amount", help="Part of it, such as 5.00; all of it unless given.")
@click.option("--why", default="", help="Kept with the refund.")
@in_shop
def refund(reference: str, amount: str | None, why: str) -> None:
    """Give money back; all of it ends access at the next request."""
    found = order_by_reference(reference)
    order_id, currency = found.id, found.currency
    part = parse_price(amount, currency) if amount else None
    already = refunded_amount(order_id)
    # The key names what is asked for: pressing twice asks for the same thing.
    key = f"terminal:{already}:{part or 'all'}"
    for part_of_it in refund_order(order_id, amount=part, who=who_types(), why=why, key=key):
        amount_text = format_money(part_of_it.amount, part_of_it.currency)
        click.echo(f"Refund of {amount_text}: {part_of_it.status}.")


@order.command("resend")
@click.argument("reference")
@in_shop
def resend(reference: str) -> None:
    """Send the confirmation with its links again, to the address on file."""
    with transaction():
        resend_confirmation(order_by_reference(reference), who_types())
    click.echo("The confirmation is in the outbox.")


def _told(found: Order) -> dict[str, Any]:
    letters = db.session.query(Delivery).filter_by(order_id=found.id).order_by(Delivery.id)
    return {
        "reference": found.reference,
        "status": found.status.value,
        "placed": format_moment(found.placed_at),
        "email": found.email,
        "name": found.name,
        "publications": ", ".join(line.title for line in found.lines),
        "total": format_money(found.total_amount, found.currency),
        "refunded": format_money(refunded_amount(found.id), found.currency),
        "letters": [
            {
                "kind": letter.kind,
                "status": letter.status.value,
                "sent": format_moment(letter.sent_at) if letter.sent_at else "",
            }
            for letter in letters
        ],
    }
