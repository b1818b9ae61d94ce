"""Customers on the command line: import, export, correct an address."""

import sys
from pathlib import Path

import click

from store.catalog.publications import publication_by_slug
from store.commands import erasures
from store.commands.base import in_shop, json_option, print_json, who_types, write_file
from store.distribution.csv_columns import FileUnclear
from store.distribution.customers_csv import read_customers
from store.distribution.import_export import ImportReport, export_customers, import_customers
from store.entitlements.addresses import correct_address, merge_customers
from store.entitlements.fresh_links import end_links
from store.entitlements.own_data import copy_of
from store.entitlements.parting import merge_with, part_customers
from store.kit.database import alongside, transaction
from store.orders.customers import known_customer, parse_address
from store.payments.charge import is_money_under_way
from store.payments.sums import left_by_order
from store.staff import recorded
from store.staff.acts import Act
from store.staff.audit import record

_NAMING = (
    "Columns are named with --column email=HEADING (also name, first_name, last_name, item) and "
    "--ordered-on HEADING."
)


@click.group()
def customer() -> None:
    """The people who bought, or were given a copy."""


customer.add_command(erasures.erase)
customer.add_command(erasures.keep)
customer.add_command(erasures.erasures)


@customer.command("import")
@click.argument("slug")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--notify", is_flag=True, help="Tell them of the newest edition.")
@click.option(
    "--column", "columns", multiple=True, metavar="email=HEADING", help="Also name=…, item=…"
)
@click.option("--ordered-on", metavar="HEADING", help="The column with the day of the order.")
@click.option("--item", default="", help="What it is called there; else its title here.")
@json_option
@in_shop
def import_(
    slug: str,
    file: Path,
    dry_run: bool,
    notify: bool,
    columns: tuple[str, ...],
    ordered_on: str | None,
    item: str,
    as_json: bool,
) -> None:
    """Give a copy to customers who bought elsewhere, from a CSV file. Safe to repeat."""
    publication = publication_by_slug(slug)
    chosen = _columns(columns) | ({"ordered_on": ordered_on} if ordered_on else {})
    try:
        given = read_customers(file.read_bytes(), chosen, item or publication.title)
    except FileUnclear as fault:
        raise FileUnclear(f"{fault.sentence}\n{_NAMING}") from None
    with alongside(lambda: recorded.customers_imported(slug, given.total)):
        report = import_customers(
            publication, given, notify=notify, dry_run=dry_run, progress=_progress
        )
    if as_json:
        print_json(report.as_dict() | {"dry_run": dry_run})
    else:
        _print(report, dry_run=dry_run)


@customer.command("export")
@click.argument("slug")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file.")
@in_shop
def export(slug: str, output: Path | None) -> None:
    """Who holds the publication, as CSV that a spreadsheet opens with every letter whole."""
    with transaction():
        record(Act.CUSTOMERS_EXPORTED, publication_by_slug(slug))
    write_file(export_customers(publication_by_slug(slug), left_by_order), output)


@customer.command("data")
@click.argument("address")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file.")
@in_shop
def data(address: str, output: Path | None) -> None:
    """All that is held about a customer, as JSON: what they fetch behind their library link."""
    with transaction():
        found = known_customer(address)
        record(Act.DATA_COPIED, found)
        customer_id = found.id
    write_file(copy_of(customer_id), output, begins=b"")


@customer.command("correct")
@click.argument("old")
@click.argument("new")
@in_shop
def correct(old: str, new: str) -> None:
    """Put a wrong address right; old links die, what was missed is sent to the new one. The old
    address is told, and can undo it for 14 days."""
    with transaction():
        found = known_customer(old)
        was = found.email
        correct_address(found, parse_address(new), who_types(), has_money=is_money_under_way)
        recorded.address_corrected(found, was)
    click.echo("The address is corrected.")


@customer.command("end-links")
@click.argument("address")
@in_shop
def end_links_(address: str) -> None:
    """End every link that was mailed to a customer; fresh ones go to the address on file."""
    with transaction():
        found = known_customer(address)
        end_links(found, who_types())
        record(Act.LINKS_ENDED, found)
    click.echo("The old links have ended. Fresh ones are in the outbox.")


@customer.command("merge")
@click.argument("gone")
@click.argument("kept")
@in_shop
def merge(gone: str, kept: str) -> None:
    """Bring two customers together: all that is GONE's becomes KEPT's, and GONE is told."""
    with transaction():
        merged, found = known_customer(gone), known_customer(kept)
        merge_customers(merged, found, who_types())
        record(Act.CUSTOMERS_MERGED, found, after={"merged": merged.id})
    click.echo("They are one customer now. Fresh links are in the outbox.")


@customer.command("part")
@click.argument("kept")
@click.argument("gone")
@in_shop
def part(kept: str, gone: str) -> None:
    """Part two customers who became one within 14 days: what was GONE's goes back, and both have
    fresh links."""
    with transaction():
        found = known_customer(kept)
        number = merge_with(found.id, parse_address(gone)).id
        parted, _ = part_customers(number, found.id, who_types())
        record(Act.CUSTOMERS_PARTED, found, after={"parted": parted.id})
    click.echo("They are two customers again. Fresh links are in the outbox.")


def _columns(given: tuple[str, ...]) -> dict[str, str]:
    columns = {}
    for text in given:
        name, sign, heading = text.partition("=")
        if (
            name not in {"email", "name", "first_name", "last_name", "item"}
            or not sign
            or not heading
        ):
            raise click.UsageError(
                f"--column {text}: say email=, name=, first_name=, last_name= or item=."
            )
        columns[name] = heading
    return columns


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{done:,} of {of:,} rows", nl=done == of, err=True)


def _print(report: ImportReport, *, dry_run: bool) -> None:
    for one in report.left_out:
        shown = f" “{one.value}”" if one.value else ""
        click.echo(f"line {one.line}:{shown} left out: {one.reason}")
    for one in report.remarks:
        click.echo(f"line {one.line}: “{one.value}” {one.reason}")
    verb = "would be added" if dry_run else "added"
    click.echo(f"{report.total} rows: {report.added} {verb}, {len(report.left_out)} left out.")
