"""Commands about mail: what comes back, and what of it waits for a person."""

import sys

import click

from store.commands.base import in_shop, json_option, print_json, print_table, the_shop
from store.entitlements.open_repairs import open_repairs
from store.kit.database import transaction
from store.mail.matching import take_message
from store.mail.reports import LARGEST_READ, read_report, read_stop

# Mail servers keep what a program leaves with this, and hand it in again (sysexits.h).
TRY_AGAIN = 75


@click.group()
def mail() -> None:
    """What comes back of the mail that was sent."""


@mail.command()
@click.option(
    "--sent-to", metavar="ADDRESS", default="", help="Where the message was delivered to."
)
def returned(sent_to: str) -> None:
    """Read one message that came back on standard input, as a mail server's pipe hands it in.

    Exit 0 also for a message that says nothing of a letter; 75 where the shop cannot take it now, so
    that the mail server hands it in again.
    """
    octets = sys.stdin.buffer.read(LARGEST_READ)
    while sys.stdin.buffer.read(LARGEST_READ):
        pass  # or the writer at the other end of the pipe would fail
    try:
        if read_stop(octets) or read_report(octets, sent_to):
            with the_shop().app_context(), transaction():
                take_message(octets, sent_to)
    except SystemExit:  # the settings are at fault, and were named
        sys.exit(TRY_AGAIN)
    except Exception as fault:  # noqa: BLE001 - whatever it is, the message is not to be lost
        click.echo(f"not taken: {type(fault).__name__}", err=True)
        sys.exit(TRY_AGAIN)


@mail.command()
@click.option("--limit", default=50, show_default=True, help="How many, oldest first.")
@json_option
@in_shop
def repairs(limit: int, as_json: bool) -> None:
    """Letters that came back and wait for a person, oldest first, with the editions still owed."""
    found = open_repairs(size=limit).rows
    if as_json:
        print_json(
            [
                {
                    "id": one.repair.id,
                    "opened_at": one.repair.opened_at,
                    "customer_id": one.repair.customer_id,
                    "address": one.address,
                    "letter": one.letter.kind,
                    "tries": one.tries,
                    "cause": one.cause,
                    "words": one.repair.words,
                    "suggestion": one.suggestion,
                    "owed": one.owed,
                }
                for one in found
            ]
        )
        return
    print_table(
        ("repair", "since", "address", "probably", "still owed"),
        [
            (
                one.repair.id,
                f"{one.repair.opened_at:%Y-%m-%d %H:%M}",
                one.address,
                one.cause,
                "; ".join(one.owed) or "no edition",
            )
            for one in found
        ],
    )
