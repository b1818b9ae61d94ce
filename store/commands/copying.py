"""What `store backup` and `store restore` share: passphrase, programs, and how far it has come."""

import sys
from pathlib import Path

import click

from store.backups.programs import Programs
from store.commands.base import Refused
from store.settings import Settings


def passphrase_of(settings: Settings) -> str:
    """The passphrase of backups, from its setting or its file; empty where neither is set. Refuses
    (`Refused`) where both are, or the file is empty or cannot be read."""
    given, path = settings.backup_passphrase, settings.backup_passphrase_file
    if given and path:
        raise Refused("Set STORE_BACKUP_PASSPHRASE or STORE_BACKUP_PASSPHRASE_FILE, not both.")
    if path is None:
        return given.get_secret_value() if given else ""
    try:
        said = path.read_text().strip()
    except (OSError, ValueError) as fault:
        why = getattr(fault, "strerror", None) or "it is no text"
        raise Refused(f"The passphrase in {path} cannot be read: {why}.") from None
    if not said:
        raise Refused(f"There is no passphrase in {path}.")
    return said


def programs_of(settings: Settings) -> Programs:
    """Where PostgreSQL's programs are."""
    return Programs(settings.postgresql_programs)


def tell(what: str, done: int, of: int) -> None:
    """Say how far it has come, to who sits at a terminal."""
    if sys.stderr.isatty():
        click.echo(f"\r{what}: {100 * done // max(of, 1)} %", nl=done >= of, err=True)


FOLDER = click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
