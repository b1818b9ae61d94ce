"""Publications on the command line: add, edit, show, list."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from store.catalog import publications
from store.catalog.editions import editions_of
from store.catalog.models import DateMove, Edition, Publication, PublicationStatus, VatTreatment
from store.commands.base import (
    confirm_people,
    in_shop,
    json_option,
    print_json,
    print_table,
    who_types,
)
from store.kit.database import transaction
from store.kit.formatting import format_moment
from store.kit.forms import Reader, Typed
from store.kit.money import format_money, parse_price, to_decimal
from store.payments.date_letters import Rehearsal
from store.payments.date_letters import rehearse as rehearse_move
from store.payments.date_moves import change_date, change_details, is_out, refuse_unfit
from store.payments.promised import WHY_LEFT_OUT, count_promised
from store.staff import recorded
from store.staff.acts import Act
from store.staff.audit import record

MARKDOWN = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def publication() -> None:
    """The titled works on sale."""


def _fields(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.option("--subtitle"),
            click.option("--author"),
            click.option("--language", help="Language code such as en-GB."),
            click.option("--isbn"),
            click.option("--description", type=MARKDOWN, help="Markdown file."),
            click.option("--contents", type=MARKDOWN, help="Markdown file."),
            click.option("--audience", type=MARKDOWN, help="Markdown file: who it is for."),
            click.option("--planned-formats", help="Of a pre-order, such as “PDF and EPUB”."),
            click.option("--planned-length", help="Of a pre-order, such as “about 48 pages”."),
            click.option("--planned-access", help="Of a pre-order: for whom it is accessible."),
            click.option(
                "--expected", help="Date of the first edition, YYYY-MM-DD; “none” clears."
            ),
            click.option(
                "--vat-treatment",
                type=click.Choice(list(VatTreatment)),
                help="What the price holds of VAT.",
            ),
            click.option("--updates-months", type=int, help="How long editions are included."),
        )
    ):
        command = option(command)
    return command


@publication.command("add")
@click.argument("slug")
@click.option("--title", required=True)
@click.option("--price", required=True, help="Such as 12.50, all in.")
@click.option("--currency", default="GBP", show_default=True)
@click.option("--status", type=click.Choice(["draft", "listed"]), default="draft")
@_fields
@in_shop
def add(slug: str, title: str, price: str, currency: str, status: str, **given: Any) -> None:
    """A new publication; a draft unless it is put on sale at once."""
    amount = parse_price(price, currency)
    with transaction():
        added = publications.add_publication(slug, title, amount, currency, **_read(given))
        record(Act.PUBLICATION_ADDED, added, after=recorded.publication_facts(added))
        if status == "listed":
            publications.put_on_sale(added, who_types())
            record(Act.PUBLICATION_LISTED, added)
        click.echo(f"{added.slug} is {_place(added)} at {_price(added)}.")


@publication.command("edit")
@click.argument("slug")
@click.option("--title")
@click.option("--price", help="Such as 12.50, in the publication's currency.")
@click.option("--status", type=click.Choice(["listed", "retired"]), help="Put on sale or retire.")
@_fields
@click.option("--reason", default="", help="Why the date moves, for everybody who was promised it.")
@click.option("--rehearse", is_flag=True, help="Show who would be told of the date; no more.")
@click.option("--yes", is_flag=True, help="Move the date without being asked.")
@in_shop
def edit(
    slug: str,
    title: str | None,
    price: str | None,
    status: str | None,
    reason: str,
    rehearse: bool,
    yes: bool,
    **given: Any,
) -> None:
    """Change what is given; orders keep what they saw. Who was promised another date is told."""
    found, fields = publications.publication_by_slug(slug), _read(given)
    if title is not None:
        fields["title"] = title
    if price is not None:
        fields["price_amount"] = parse_price(price, found.currency)
    people = _look_at_date(found, fields, reason, asks=not (rehearse or yes), shows=not yes)
    if rehearse:
        return
    with transaction():
        found = publications.publication_by_slug(slug)
        _change(found, fields, reason, people)
        if status == "listed":
            publications.put_on_sale(found, who_types())
            record(Act.PUBLICATION_LISTED, found)
        elif status == "retired":
            publications.retire(found, who_types())
            record(Act.PUBLICATION_RETIRED, found)
        who = "1 person is" if people == 1 else f"{people:,} people are"
        told = f" {who} told of the date." if people else ""
        click.echo(f"{found.slug} is {_place(found)} at {_price(found)}.{told}")


def _change(found: Publication, fields: dict[str, Any], reason: str, people: int) -> None:
    """Write the fields; the date first where people are told of it."""
    if people:
        move = change_date(found, fields.pop("expected_on"), reason, who_types())
        recorded.date_moved(move, people)
    was = recorded.publication_facts(found)
    change_details(found, fields, who_types())
    record(Act.PUBLICATION_CHANGED, found, before=was, after=recorded.publication_facts(found))


def _look_at_date(
    found: Publication, fields: dict[str, Any], reason: str, *, asks: bool, shows: bool
) -> int:
    """How many people are told of another date; shown, and asked about, before anything is done."""
    day = fields.get("expected_on", found.expected_on)
    is_moved = day != found.expected_on and not is_out(found.id)
    people = count_promised(found.id) if is_moved else 0
    if people:
        refuse_unfit(found, day, reason)
        if shows:
            _print_move(rehearse_move(found, day, reason))
        if asks:
            confirm_people(
                people,
                f"Move the date and tell {people} people?",
                "to move the date and tell as many people",
                "The date was not moved.",
            )
    elif shows and not asks:
        click.echo("Nobody would be told.")
    return people


def _print_move(seen: Rehearsal) -> None:
    rows = [
        *seen.kinds,
        *((f"left out: {WHY_LEFT_OUT[why]}", people) for why, people in seen.left_out.items()),
        ("will get a letter", seen.people),
    ]
    print_table(("who was promised the date", "people"), rows)
    if seen.due_back:
        click.echo(f"Should all take their money back, that is {' and '.join(seen.due_back)}.")
    if seen.letter:
        click.echo(f"\nThe letter:\n\nSubject: {seen.letter.subject}\n\n{seen.letter.text}")


@publication.command("show")
@click.argument("slug")
@json_option
@in_shop
def show(slug: str, as_json: bool) -> None:
    """One publication with its editions."""
    found = publications.publication_by_slug(slug)
    told = _told(found)
    told["editions"] = [_edition(one) for one in editions_of(found)]
    told["dates"] = [_move(one) for one in publications.moves_of(found.id)]
    if as_json:
        print_json(told)
        return
    editions, moves = told.pop("editions"), told.pop("dates")
    print_table(("field", "value"), told.items())
    click.echo()
    print_table(
        ("edition", "label", "status", "released", "formats"),
        [(*list(one.values())[:4], ", ".join(one["formats"])) for one in editions],
    )
    if moves:
        click.echo()
        print_table(("date moved", "from", "to", "by", "why"), [one.values() for one in moves])


@publication.command("list")
@json_option
@in_shop
def list_(as_json: bool) -> None:
    """Every publication, drafts and retired ones too."""
    found = publications.all_publications()
    if as_json:
        print_json([_told(one) for one in found])
        return
    rows = [(one.slug, one.title, one.status, _price(one)) for one in found]
    print_table(("slug", "title", "status", "price"), rows)


def _read(given: dict[str, Any]) -> dict[str, Any]:
    """Options as the rules take them: files read, the date a date, what is not given left out."""
    fields = {name: value for name, value in given.items() if value is not None}
    for name, value in fields.items():
        if isinstance(value, Path):
            fields[name] = value.read_text(encoding="utf-8-sig")
    expected = fields.pop("expected", None)
    if expected is not None:
        reader = Reader(Typed(expected="" if expected == "none" else expected))
        sentence = f"The expected date “{expected}” is not a date like 2027-04-01."
        fields["expected_on"] = reader.day("expected", sentence, needed=expected != "none")
        reader.check()
    return fields


def _place(found: Publication) -> str:
    return {
        PublicationStatus.DRAFT: "a draft",
        PublicationStatus.LISTED: "on sale",
        PublicationStatus.RETIRED: "retired",
    }[found.status]


def _price(found: Publication) -> str:
    return format_money(found.price_amount, found.currency)


def _told(found: Publication) -> dict[str, Any]:
    return {
        "slug": found.slug,
        "status": found.status,
        "title": found.title,
        "subtitle": found.subtitle,
        "author": found.author,
        "language": found.language,
        "isbn": found.isbn,
        "price": str(to_decimal(found.price_amount, found.currency)),
        "currency": found.currency,
        "vat_treatment": found.vat_treatment,
        "expected": found.expected_on.isoformat() if found.expected_on else None,
        "updates_months": found.updates_months,
        "planned_formats": found.planned_formats,
        "planned_length": found.planned_length,
        "planned_access": found.planned_access,
    }


def _edition(one: Edition) -> dict[str, Any]:
    return {
        "number": one.number,
        "label": one.label,
        "status": one.status,
        "released": format_moment(one.released_at) if one.released_at else None,
        "formats": [asset.format for asset in one.assets],
    }


def _move(one: DateMove) -> dict[str, Any]:
    return {
        "moved": format_moment(one.moved_at),
        "old": one.old_on.isoformat() if one.old_on else None,
        "new": one.new_on.isoformat() if one.new_on else None,
        "by": one.moved_by,
        "reason": one.reason,
    }
