"""Rehearsal and coverage as they are printed."""

from dataclasses import asdict

import click

from store.commands.base import print_json, print_table
from store.distribution.coverage import Coverage, Explanation
from store.distribution.rehearsal import Rehearsal


def print_rehearsal(seen: Rehearsal, *, as_json: bool) -> None:
    """Who would get it, who not and why, what is odd, and the letter."""
    if as_json:
        print_json(asdict(seen) | {"concerned": seen.concerned})
        return
    print_table(("recipients", "people"), _rows(seen))
    for warning in seen.warnings:
        click.echo(f"Note: {warning}")
    whose = f"as {seen.letter_to} would get it" if seen.letter_to else "with sample values"
    click.echo(f"\nThe letter, {whose}:\n\nSubject: {seen.letter.subject}\n\n{seen.letter.text}")


def print_coverage(seen: Coverage, *, as_json: bool) -> None:
    """The account of a release."""
    if as_json:
        print_json(seen.as_dict())
        return
    rows: list[tuple[str, int]] = [
        ("handed over", seen.handed_over),
        ("waiting", seen.waiting),
        ("held", seen.held),
        ("undeliverable", seen.undeliverable),
        *((f"left out: {why}", people) for why, people in seen.left_out.items()),
        ("missing", seen.missing),
        ("recipients at the release", seen.total),
    ]
    print_table(("column", "people"), rows)
    click.echo(f"\nBought it later: {seen.later}. Possibly sent twice: {seen.possibly_twice}.")
    sums = "match" if seen.sums_match else "do NOT match"
    whole = "complete" if seen.is_complete else "not complete yet"
    click.echo(f"The sums {sums}; the release is {whole}.")


def print_explanation(found: Explanation, *, as_json: bool) -> None:
    """Why one customer did or did not get it."""
    if as_json:
        print_json(asdict(found))
        return
    click.echo(f"Column: {found.column.replace('_', ' ')}")
    for sentence in found.sentences:
        click.echo(sentence)


def _rows(seen: Rehearsal) -> list[tuple[str, int]]:
    rows = [
        ("own an earlier edition", seen.owners),
        ("pre-ordered", seen.preorders),
        *((f"left out: {why}", people) for why, people in seen.left_out.items()),
        ("will get a letter", seen.recipients),
    ]
    if seen.waiting:
        rows.append(("of them later, when their 14 days are over", seen.waiting))
    return rows
