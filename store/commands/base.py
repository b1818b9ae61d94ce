"""What the commands share: the shop's context, refusals as exit codes, tables and JSON.

The shop itself is imported where it is needed: `store serve` judges the settings without it.
"""

import codecs
import functools
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ParamSpec, TypeVar

import click

from store import settings as store_settings
from store.kit import logs

if TYPE_CHECKING:
    from flask import Flask

P = ParamSpec("P")
R = TypeVar("R")


def load_settings(**given: Any) -> store_settings.Settings:
    """The settings of this process; with faults it says all of them and ends with 1."""
    try:
        found = store_settings.load(**given)
    except store_settings.SettingsFault as fault:
        for line in fault.faults:
            click.echo(line, err=True)
        sys.exit(1)
    logs.as_told(found.log_format, found.log_levels, found.secrets)
    return found


def the_shop() -> "Flask":
    """The application of this process."""
    from store.app import create_app  # noqa: PLC0415 - see above

    return create_app(load_settings())


def in_shop(command: Callable[P, R]) -> Callable[P, R]:
    """Run a command inside the shop; a refusal is said on stderr and ends with 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from store.kit.away import StoreAway  # noqa: PLC0415 - see above
        from store.kit.errors import Refusal  # noqa: PLC0415
        from store.kit.space import NoSpace, is_full  # noqa: PLC0415
        from store.kit.system_words import refused_database, refused_place  # noqa: PLC0415

        try:
            with the_shop().app_context():
                return command(*args, **kwargs)
        except click.ClickException:  # said already, whatever it comes from
            raise
        except Refusal as refusal:
            raise Refused(refusal.sentence) from None
        except StoreAway as fault:
            raise Refused(f"The files of the shop cannot be reached: {fault}.") from None
        except Exception as fault:
            if is_full(fault):
                raise Refused(NoSpace.sentence) from None
            if words := refused_place(fault) or refused_database(fault):
                raise Refused(words) from None
            raise

    return run


class Refused(click.ClickException):
    """A refusal in words on stderr, exit 1."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        click.echo(self.message, err=True, file=file)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(data: Any) -> None:
    """Data for scripts, one document."""
    click.echo(json.dumps(data, ensure_ascii=False, indent=2, default=str))


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Data for people: columns as wide as they need."""
    table = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def who_types() -> str:
    """Who the history names for what is done in a terminal."""
    return "command line"


def confirm(question: str) -> None:
    """Ask whether to go on. Refuses (`Refused`) at a no, and where nobody can be asked."""
    _need_terminal()
    if not click.confirm(question):
        raise Refused("Nothing was done.")


def confirm_people(people: int, question: str, to_do: str, undone: str) -> None:
    """Ask with `question` before so many people are written to; where they are many, their number
    is to be typed `to_do` so, and `undone` says that it was not done. Refuses as `confirm`."""
    from store.distribution.rehearsal import TYPED_ABOVE  # noqa: PLC0415 - see above

    if people <= TYPED_ABOVE:
        confirm(question)
        return
    _need_terminal()
    typed = click.prompt(f"Type {people} {to_do}")
    if typed.replace(",", "").strip() != str(people):
        raise Refused(undone)


def _need_terminal() -> None:
    if not sys.stdin.isatty():
        raise Refused("Nobody can be asked here. Pass --yes to go on without a question.")


def write_file(pieces: Iterable[str], output: Path | None, begins: bytes = codecs.BOM_UTF8) -> None:
    """Write a CSV piece by piece to a file, or to standard output; what is no CSV `begins` with
    nothing."""
    if output is None:
        _write(pieces, sys.stdout.buffer, begins)
        return
    # So that what breaks off leaves no half of a list under the name that was asked for. It names
    # people, so that nobody else on the machine may read it, nor say where it goes by a link.
    part = output.with_name(f"{output.name}.part")
    part.unlink(missing_ok=True)
    with part.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        _write(pieces, file, begins)
    part.replace(output)


def _write(pieces: Iterable[str], file: BinaryIO, begins: bytes) -> None:
    file.write(begins)
    file.writelines(piece.encode() for piece in pieces)
