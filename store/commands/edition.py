"""Editions on the command line: upload, release, and everything between the two."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from store.catalog.editions import SEVERITIES, edition_by_number, look_at_notes, upload_edition
from store.catalog.models import Edition, EditionStatus
from store.catalog.publications import publication_by_slug
from store.catalog.uploads import receive_file
from store.commands.base import (
    Refused,
    confirm,
    confirm_people,
    in_shop,
    json_option,
    print_json,
    print_table,
    who_types,
)
from store.distribution import recalling, rehearsal, releasing
from store.distribution.coverage import Coverage, Explanation, coverage_of
from store.distribution.coverage import coverage as coverage_rule
from store.distribution.rehearsal import Rehearsal
from store.kit.clock import parse_moment
from store.kit.config import config
from store.kit.database import transaction
from store.kit.errors import Refusal
from store.kit.formatting import format_moment, format_span, format_until
from store.orders.customers import known_customer
from store.staff import recorded
from store.staff.acts import Act
from store.staff.audit import record

FILE = click.Path(path_type=Path)


@click.group()
def edition() -> None:
    """The states of a publication, each on its way to everybody who bought it."""


@edition.command("upload")
@click.argument("slug")
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--label", help="Such as “Spring 2027”.")
@click.option("--notes", type=FILE, help="Markdown file: what changed.")
@click.option("--severity", type=click.Choice(SEVERITIES))
@json_option
@in_shop
def upload(
    slug: str,
    files: tuple[Path, ...],
    label: str | None,
    notes: Path | None,
    severity: str | None,
    as_json: bool,
) -> None:
    """Put PDF and EPUB into the draft edition, or begin the next one. Nothing is sent."""
    publication_by_slug(slug)
    text = _read_notes(notes)
    received = [receive_file(path, name=path.name) for path in files]
    with transaction():
        publication = publication_by_slug(slug)
        draft = upload_edition(publication, received, label=label, notes=text, severity=severity)
        recorded.edition_uploaded(draft, received)
        told = _told(draft)
    if as_json:
        print_json(told)
        return
    click.echo(f"Edition {told['number']} of {slug} is a draft with these files:")
    print_table(("format", "bytes", "sha256"), [tuple(one.values())[:3] for one in told["files"]])
    for one in told["files"]:
        for sentence in one["warnings"]:
            click.echo(f"{one['format'].upper()}: {sentence}")
    for sentence in told["notes_warnings"]:
        click.echo(sentence)


@edition.command("release")
@click.argument("slug")
@click.argument("number", type=int)
@click.option("--at", help="When: 2027-04-01T09:00, in the shop's zone unless an offset says more.")
@click.option("--rehearse", is_flag=True, help="Show who would get it and the letter; no more.")
@click.option("--test-to", metavar="ADDRESS", help="Send the letter to yourself, marked; no more.")
@click.option("--yes", is_flag=True, help="Release without being asked.")
@json_option
@in_shop
def release(
    slug: str,
    number: int,
    at: str | None,
    rehearse: bool,
    test_to: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Release an edition to everybody who is entitled to it."""
    moment = parse_moment(at, config().zone) if at else None
    if test_to:
        with transaction():
            found = _find(slug, number)
            rehearsal.send_test(found, test_to)
            record(Act.EDITION_TESTED, found, after={"to": test_to})
        click.echo(f"A test letter to {test_to} is in the outbox.")
        return
    seen = rehearsal.rehearse(_find(slug, number))
    if rehearse:
        _print_rehearsal(seen, as_json=as_json)
        return
    if not yes:
        _print_rehearsal(seen, as_json=False)
        click.echo(_when_it_goes(slug, number, moment))
        confirm_people(
            seen.recipients,
            f"Release edition {number} to {seen.recipients} people?",
            f"to release edition {number} to as many people",
            "Nothing was released.",
        )
    _release(slug, number, moment, seen.recipients, as_json=as_json)


@edition.command("recall")
@click.argument("slug")
@click.argument("number", type=int)
@in_shop
def recall(slug: str, number: int) -> None:
    """Take a scheduled release back, or leave out the letters that have not left."""
    with transaction():
        found = _find(slug, number)
        if found.status == EditionStatus.SCHEDULED:
            releasing.take_back(found, who_types())
            record(Act.EDITION_TAKEN_BACK, found)
            click.echo(f"Edition {number} is a draft again; nothing has left.")
            return
        count = recalling.recall(found, who_types())
        record(Act.EDITION_RECALLED, found, after={"letters_left_out": count})
    click.echo(f"{count} letters were recalled before they left.")


@edition.command("pause")
@click.argument("slug")
@click.argument("number", type=int)
@in_shop
def pause(slug: str, number: int) -> None:
    """Hold the letters that have not left."""
    with transaction():
        found = _find(slug, number)
        recalling.pause(found, who_types())
        record(Act.EDITION_PAUSED, found)
    click.echo("The letters are paused.")


@edition.command("resume")
@click.argument("slug")
@click.argument("number", type=int)
@in_shop
def resume(slug: str, number: int) -> None:
    """Let paused letters go on."""
    with transaction():
        found = _find(slug, number)
        recalling.resume(found, who_types())
        record(Act.EDITION_RESUMED, found)
    click.echo("The letters go on.")


@edition.command("withdraw")
@click.argument("slug")
@click.argument("number", type=int)
@click.option("--why", default="", help="Kept in the history.")
@click.option("--yes", is_flag=True, help="Withdraw without being asked.")
@in_shop
def withdraw(slug: str, number: int, why: str, yes: bool) -> None:
    """Take a wrong edition away for good: links lead to the newest other one."""
    if not yes:
        confirm(f"Withdraw edition {number} for good?")
    with transaction():
        found = _find(slug, number)
        count = recalling.withdraw(found, who_types(), why)
        record(Act.EDITION_WITHDRAWN, found, after={"why": why, "letters_left_out": count})
    click.echo(f"Edition {number} is withdrawn; {count} letters were left out.")


@edition.command("coverage")
@click.argument("slug")
@click.argument("number", type=int)
@click.option("--customer", metavar="EMAIL", help="Why this one did or did not get it.")
@json_option
@in_shop
def coverage(slug: str, number: int, customer: str | None, as_json: bool) -> None:
    """Where everybody stands who is entitled; ends with 1 if the sums do not match."""
    found = _find(slug, number)
    if customer:
        _print_explanation(coverage_of(found, known_customer(customer)), as_json=as_json)
        return
    seen = coverage_rule(found)
    _print_coverage(seen, as_json=as_json)
    if not seen.sums_match:
        raise Refused("The columns do not add up to the recipients. Please report this.")


def _find(slug: str, number: int) -> Edition:
    return edition_by_number(publication_by_slug(slug), number)


def _release(
    slug: str, number: int, moment: datetime | None, people: int, *, as_json: bool
) -> None:
    with transaction():
        found = _find(slug, number)
        at = releasing.schedule_release(found, moment, who_types())
        record(Act.EDITION_RELEASED, found, after={"at": at, "people": people})
    releasing.release_due()
    found = _find(slug, number)
    is_out = found.status == EditionStatus.RELEASED
    if as_json:
        print_json({"number": number, "status": found.status, "release_at": at.isoformat()})
    elif is_out:
        waiting = coverage_rule(found).waiting
        click.echo(f"Edition {number} is released; {waiting} letters are on their way.")
    else:
        click.echo(
            f"Edition {number} will be released {format_until(at)}, on {format_moment(at)} "
            f"({at:%Y-%m-%d %H:%M} UTC). The worker does it: nothing waits here. "
            f"Until then `store edition recall {slug} {number}` takes it back."
        )


def _when_it_goes(slug: str, number: int, moment: datetime | None) -> str:
    """What is to be known before the question: how long it waits, and the way back."""
    delay = config().release_delay
    if moment is None and not delay:
        return "It goes out at once after a yes. Until then nothing is done: Ctrl-C ends this."
    when = f"on {format_moment(moment)}" if moment else f"{format_span(delay)} after a yes"
    return (
        f"It goes out {when}, by the worker; until then `store edition recall {slug} {number}` takes "
        "it back. Before a yes nothing is done: Ctrl-C ends this."
    )


def _read_notes(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise Refusal(f"The notes {path.name} cannot be read as UTF-8 text.") from None


def _told(found: Edition) -> dict[str, Any]:
    return {
        "number": found.number,
        "status": found.status,
        "notes_warnings": look_at_notes(found.notes),
        "files": [
            {
                "format": asset.format,
                "size": asset.size,
                "sha256": asset.sha256,
                "warnings": [one["sentence"] for one in asset.findings if one["level"] == "warn"],
            }
            for asset in found.assets
        ],
    }


def _print_rehearsal(seen: Rehearsal, *, as_json: bool) -> None:
    """Who would get it, who not and why, what looks wrong, and the letter."""
    if as_json:
        print_json(asdict(seen) | {"concerned": seen.concerned})
        return
    rows = [
        ("own an earlier edition", seen.owners),
        ("pre-ordered", seen.preorders),
        *((f"left out: {why}", people) for why, people in seen.left_out.items()),
        ("will get a letter", seen.recipients),
    ]
    if seen.waiting:
        rows.append(("of them later, when their 14 days are over", seen.waiting))
    print_table(("recipients", "people"), rows)
    for warning in seen.warnings:
        click.echo(f"Note: {warning}")
    whose = f"as {seen.letter_to} would get it" if seen.letter_to else "with sample values"
    click.echo(f"\nThe letter, {whose}:\n\nSubject: {seen.letter.subject}\n\n{seen.letter.text}")


def _print_coverage(seen: Coverage, *, as_json: bool) -> None:
    """The account of a release."""
    if as_json:
        print_json(seen.as_dict())
        return
    rows: list[tuple[str, int]] = [
        ("handed over", seen.handed_over),
        ("waiting", seen.waiting),
        ("held", seen.held),
        ("undeliverable", seen.undeliverable),
        ("came back", seen.came_back),
        *((f"left out: {why}", people) for why, people in seen.left_out.items()),
        ("missing", seen.missing),
        ("recipients at the release", seen.total),
    ]
    print_table(("column", "people"), rows)
    click.echo(f"\nBought it later: {seen.later}. Possibly sent twice: {seen.possibly_twice}.")
    sums = "match" if seen.sums_match else "do NOT match"
    whole = "complete" if seen.is_complete else "not complete yet"
    click.echo(f"The sums {sums}; the release is {whole}.")


def _print_explanation(found: Explanation, *, as_json: bool) -> None:
    """Why one customer did or did not get it."""
    if as_json:
        print_json(asdict(found))
        return
    click.echo(f"Column: {found.column.replace('_', ' ')}")
    for sentence in found.sentences:
        click.echo(sentence)
