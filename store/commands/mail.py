"""Commands about mail: what comes back, what of it waits for a person, and what a restore holds."""

import sys
from typing import TextIO

import click

from store.backups.after_restore import end_all_links, let_letters_go
from store.backups.left_before import note_left
from store.commands.base import (
    confirm,
    in_shop,
    json_option,
    print_json,
    print_table,
    the_shop,
    who_types,
)
from store.entitlements.open_repairs import open_repairs
from store.kit.database import transaction
from store.kit.formatting import format_moment
from store.mail import restores
from store.mail.matching import take_message
from store.mail.models import Restore
from store.mail.relay_logs import read_log
from store.mail.reports import LARGEST_READ, read_report, read_stop
from store.staff.acts import Act
from store.staff.audit import record

# Mail servers keep what a program leaves with this, and hand it in again (sysexits.h).
TRY_AGAIN = 75


@click.group()
def mail() -> None:
    """What comes back of the mail that was sent, and what a restore holds."""


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


@mail.command()
@click.option(
    "--end-links",
    is_flag=True,
    help="First end every link that opens something, as without a journal: the shop was open after its last line.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@in_shop
def go(end_links: bool, yes: bool) -> None:
    """Let letters leave after a restore; says what would leave, and how many may have left before."""
    restore = restores.holding()
    if restore is None:
        raise restores.NothingHeld
    click.echo(_what_holds(restore))
    print_table(
        ("letters", "due now", "may have left before"),
        [(one.kind, one.letters, one.twice) for one in restores.waiting_letters()],
    )
    if not yes:
        confirm("Let them leave?")
    if end_links:
        count = end_all_links()
        with transaction():
            record(Act.ALL_LINKS_ENDED, after={"links": count})
        click.echo(f"{count} links have ended; the button on each mails a fresh one.")
    with transaction():
        for held in let_letters_go(who_types()):
            record(Act.LETTERS_LET_GO, held)
    click.echo("Letters leave again.")


@mail.command("sent-after")
@click.argument("file", type=click.File(errors="replace"))
@click.option(
    "--arrived",
    is_flag=True,
    help="Every letter that the file names has arrived, whatever it says.",
)
@in_shop
def sent_after(file: TextIO, arrived: bool) -> None:
    """Say which letters left between a backup and its restore: by FILE, a log of Postfix, or any text
    with Message-IDs of ours ("-": standard input).

    What the log says was sent does not leave again. Of what it only names, and of a list, nobody knows
    whether it arrived: that leaves again, marked as possibly twice.
    """
    named = read_log(file)
    if arrived:
        named.taken |= named.doubtful
        named.doubtful.clear()
    done = note_left(named)
    facts = {"sent": done.taken, "twice": done.twice, "unknown": done.unknown}
    with transaction():
        record(Act.LETTERS_SENT_BEFORE, after=facts)
    click.echo(f"{done.taken:,} letters had been sent and do not leave again.")
    click.echo(f"{done.twice:,} may have been sent: they leave again, marked as possibly twice.")
    click.echo(f"{done.unknown:,} were written after the backup, which does not know them.")


def _what_holds(restore: Restore) -> str:
    told = (
        f"The journal tells what ended until {format_moment(restore.journal_until)}. If the shop was open after "
        "that, say no and end all links first: store mail go --end-links."
        if restore.journal_until
        else "No journal told what had ended since: all links ended, and staff sign in afresh."
    )
    return f"This shop was restored from the backup of {format_moment(restore.made_at)}. {told}"
