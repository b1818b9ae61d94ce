"""Orders on the command line: show, give, note money by bank, refund, send the letters again."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from store.catalog.publications import publication_by_slug
from store.commands.base import (
    Refused,
    in_shop,
    json_option,
    print_json,
    print_table,
    who_types,
    write_file,
)
from store.entitlements.granting import resend_confirmation
from store.entitlements.order_moves import settle_held
from store.kit import clock, tokens
from store.kit.config import config
from store.kit.database import alongside, db, transaction
from store.kit.formatting import format_moment
from store.kit.money import format_money, parse_price
from store.kit.spreadsheets import to_csv
from store.mail.models import Delivery
from store.orders.gifts import gift_key, give_copy
from store.orders.models import Order
from store.orders.orders import order_by_reference
from store.payments import transfers
from store.payments.cancellation import take_back_gift
from store.payments.checkout import begin_checkout
from store.payments.movements import movements
from store.payments.refunds import refund_order
from store.payments.sums import payments_of, refunded_amount
from store.payments.transfer_lists import unsent_backs
from store.staff import recorded
from store.staff.acts import Act
from store.staff.audit import record, record_once

DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def order() -> None:
    """What was bought."""


@order.command("export")
@click.option("--from", "first", required=True, type=DAY, help="The first day, YYYY-MM-DD.")
@click.option("--to", "last", required=True, type=DAY, help="The last day, YYYY-MM-DD.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file.")
@in_shop
def export(first: datetime, last: datetime, output: Path | None) -> None:
    """Every movement of money, as CSV for the accountant: sales, refunds, lost disputes."""
    if last < first:
        raise Refused("The last day is before the first one.")
    with transaction():
        record(Act.MONEY_EXPORTED, after={"from": first.date(), "to": last.date()})
    write_file((to_csv(piece) for piece in movements(first.date(), last.date())), output)


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
@click.option("--payment", "number", type=click.IntRange(1), help="Which of several payments.")
@click.option("--why", default="", help="Kept with the refund.")
@in_shop
def refund(reference: str, amount: str | None, number: int | None, why: str) -> None:
    """Give money back; all of it ends access at the next request."""
    found = order_by_reference(reference)
    order_id, currency = found.id, found.currency
    payment_id = _numbered(order_id, number) if number else None
    part = parse_price(amount, currency) if amount else None
    already = refunded_amount(order_id)
    # The key names what is asked for: pressing twice asks for the same thing.
    key = f"terminal:{number or 'any'}:{already}:{part or 'all'}"
    who = who_types()
    with alongside(lambda: recorded.refunds_asked(order_id, key)):
        asked = refund_order(
            order_id, amount=part, who=who, why=why, key=key, payment_id=payment_id
        )
    for part_of_it in asked:
        amount_text = format_money(part_of_it.amount, part_of_it.currency)
        click.echo(f"Refund of {amount_text}: {part_of_it.status}. {part_of_it.failure}".strip())


def _numbered(order_id: int, number: int) -> int:
    """The payment that `order show` gives this number."""
    payments = payments_of(order_id)
    if number > len(payments):
        raise click.BadParameter(f"The order has {len(payments)}.", param_hint="--payment")
    return payments[number - 1].id


@order.command("resend")
@click.argument("reference")
@in_shop
def resend(reference: str) -> None:
    """Send the confirmation with its links again, to the address on file."""
    with transaction():
        found = order_by_reference(reference)
        resend_confirmation(found, who_types())
        record(Act.ORDER_RESENT, found)
    click.echo("The confirmation is in the outbox.")


@order.command("settle")
@click.argument("reference")
@click.argument("outcome", type=click.Choice(["back", "stay"]))
@in_shop
def settle(reference: str, outcome: str) -> None:
    """Decide about an order that is held, as the address it was moved from objects."""
    with transaction():
        found = order_by_reference(reference)
        settle_held(found.id, is_given_back=outcome == "back", who=who_types())
        record(Act.ORDER_SETTLED, found, after={"outcome": outcome})
    click.echo("It is given back." if outcome == "back" else "It stays where it is.")


@order.command("give")
@click.argument("slug")
@click.argument("email")
@click.option("--name", default="", help="Whom the copy is for.")
@click.option("--reason", required=True, help="Why it is given; kept with the order.")
@json_option
@in_shop
def give(slug: str, email: str, name: str, reason: str, as_json: bool) -> None:
    """Give somebody a copy: no price, the same letters and editions. Repeated, it stays one."""
    with transaction():
        key = gift_key(slug, email)
        publication = publication_by_slug(slug)
        given = give_copy(
            publication, email=email, name=name, reason=reason, who=who_types(), form_key=key
        )
        record_once(Act.COPY_GIVEN, given)
        order_id, reference = given.id, given.reference
    begin_checkout(order_id)
    if as_json:
        print_json(_told(order_by_reference(reference)))
        return
    click.echo(f"Given as order {reference}. The letter is in the outbox.")


@order.command("take-back")
@click.argument("reference")
@click.option("--reason", required=True, help="Why it is taken back; kept with the order.")
@in_shop
def take_back(reference: str, reason: str) -> None:
    """Take a copy back that was given: its links give no file any more."""
    with transaction():
        found = order_by_reference(reference)
        take_back_gift(found.id, reason=reason, who=who_types())
        record(Act.COPY_TAKEN_BACK, found)
    click.echo("The copy is taken back.")


@order.command("received")
@click.argument("reference")
@click.argument("amount")
@click.option("--on", "on", type=click.DateTime(["%Y-%m-%d"]), help="The day; today unless given.")
@click.option("--note", default="", help="Such as the name on the bank statement.")
@json_option
@in_shop
def received(reference: str, amount: str, on: datetime | None, note: str, as_json: bool) -> None:
    """Note money that came by bank transfer; with the last part the order is paid."""
    found = order_by_reference(reference)
    key = tokens.new_reference()
    with alongside(lambda: recorded.transfer_noted(key)):
        transfers.record_transfer(
            found.id,
            amount=parse_price(amount, found.currency),
            received_on=on.date() if on else clock.today(config().zone),
            note=note,
            who=who_types(),
            form_key=key,
        )
    found = order_by_reference(reference)
    transfer = transfers.awaited_transfer(found)
    if transfer is None:
        raise transfers.NoTransferAwaited
    told = {
        "reference": found.reference,
        "status": found.status.value,
        "received": format_money(transfer.received, transfer.currency),
        "amount": format_money(transfer.amount, transfer.currency),
    }
    if as_json:
        print_json(told)
    else:
        click.echo(f"{told['received']} of {told['amount']} has arrived. Order: {told['status']}.")


@order.command("sent-back")
@click.argument("reference")
@json_option
@in_shop
def sent_back(reference: str, as_json: bool) -> None:
    """Note that the refunds which an order waits for were sent by bank; the customer is told."""
    waiting = unsent_backs(order_id=order_by_reference(reference).id).rows
    if not waiting:
        raise transfers.NothingToSend
    backs = [(back.id, format_money(back.amount, back.currency)) for back, _ in waiting]
    for back_id, _ in backs:
        with alongside(partial(recorded.sent_back, back_id)):
            transfers.mark_sent_back(back_id, who_types())
    if as_json:
        print_json([{"id": back_id, "amount": amount} for back_id, amount in backs])
        return
    for _, amount in backs:
        click.echo(f"{amount} is marked as sent.")


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
        "given_because": found.given_reason,
        "payments": ", ".join(
            f"{number}: {format_money(payment.amount, payment.currency)}"
            for number, payment in enumerate(payments_of(found.id), 1)
        ),
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
