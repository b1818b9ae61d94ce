"""Commands about mail: what comes back."""

import sys

import click

from store.commands.base import the_shop
from store.kit.database import transaction
from store.mail.matching import take_report
from store.mail.reports import LARGEST_READ, read_report

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
        pass  # or whoever writes into the pipe would fail
    try:
        report = read_report(octets, sent_to)
        if report is not None:
            with the_shop().app_context(), transaction():
                take_report(report)
    except SystemExit:  # the settings are at fault, and were named
        sys.exit(TRY_AGAIN)
    except Exception as fault:  # noqa: BLE001 - whatever it is, the message is not to be lost
        click.echo(f"not taken: {type(fault).__name__}", err=True)
        sys.exit(TRY_AGAIN)
