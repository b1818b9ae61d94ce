"""`store backup`: the whole shop into a folder, while it sells."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from pydantic import SecretStr

from store.backups.latest import keep_account
from store.backups.making import Made, Setting, make_backup
from store.commands.base import Refused, in_shop, json_option, load_settings, print_json
from store.commands.copying import FOLDER, passphrase_of, programs_of, tell
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.errors import Refusal
from store.kit.formatting import format_moment, format_size
from store.kit.happenings import Happening, tell_now
from store.kit.space import is_full
from store.mail import outbox
from store.settings import PREFIX, Settings
from store.staff.acts import Act
from store.staff.audit import record
from store.staff.connections import in_words

_NEVER_KEPT = "backup_passphrase"
_MAY_HOLD_A_PASSWORD = "database_url"  # noqa: S105 - the name of a setting


@click.command()
@FOLDER
@click.option(
    "--keep",
    type=click.IntRange(1),
    metavar="NUMBER",
    help="Remove older backups but for so many, once the new one is whole.",
)
@click.option(
    "--begin", is_flag=True, help="Earlier backups that were made in DIR are gone: go on without."
)
@json_option
@in_shop
def backup(folder: Path, keep: int | None, begin: bool, as_json: bool) -> None:
    """Copy database, files and settings to DIR while the shop sells.

    Encrypted where a passphrase is set. Broken off, it is run again and goes on with its files. Exit 1,
    and a letter to staff, where the backup is not whole.
    """
    settings = load_settings()
    began_at = clock.now()
    try:
        made = make_backup(
            folder,
            settings_as_given(settings),
            passphrase=passphrase_of(settings),
            keep=keep,
            begins=begin,
            programs=programs_of(settings),
            tell=tell,
        )
    except Exception as fault:  # noqa: BLE001 - whatever it is, staff are to hear of it
        words = _fault_in_words(fault, folder, settings)
        _owe_alert(words)
        with contextlib.suppress(Exception), transaction():
            keep_account("", began_at, 0, words)
        raise Refused(words) from None
    _say(made, folder, as_json=as_json)
    faults = [*_missing(made), *([made.stuck] if made.stuck else [])]
    _write_down(made, folder)
    if not faults:
        tell_now(Happening.BACKUP_DONE, bytes=made.manifest.size)
    if faults:
        _owe_alert(" ".join(faults))
        raise Refused("\n".join(faults))


def _write_down(made: Made, folder: Path) -> None:
    one, lacks = made.manifest, " ".join(_missing(made))
    try:
        with transaction():
            keep_account(one.name, one.made_at, 0 if lacks else one.size, lacks, folder)
            after = {"name": one.name, "files": len(one.files), "size": one.size}
            record(Act.BACKUP_MADE, after=after)
    except sa.exc.DBAPIError as fault:
        if is_full(fault):
            raise
        click.echo(
            "The desk cannot be told of it: the tables are of another version. Run store db upgrade.",
            err=True,
        )


def settings_as_given(settings: Settings) -> Iterator[Setting]:
    """Every setting that is not as it is by itself, as the environment would have it."""
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if name == _NEVER_KEPT or value == field.get_default(call_default_factory=True):
            continue
        is_secret = name == _MAY_HOLD_A_PASSWORD or "SecretStr" in str(field.annotation)
        yield Setting(PREFIX + name.upper(), _text(value), is_secret)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_text, value))
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _say(made: Made, folder: Path, *, as_json: bool) -> None:
    one = made.manifest
    if as_json:
        said = {"name": one.name, "made_at": one.made_at, "is_whole": one.is_whole}
        said |= {"size": one.size, "files": len(one.files), "written": made.written}
        said |= {"rows": one.rows, "missing": one.missing, "removed": made.gone}
        print_json(said)
        return
    state = "Encrypted" if one.is_sealed else "Not encrypted; no secret of the settings is in it"
    click.echo(
        f"{folder / one.name}: {sum(one.rows.values()):,} rows, {len(one.files):,} files "
        f"({made.written:,} of them new), {format_size(one.size)}, as of {format_moment(one.made_at)}. "
        f"{state}."
    )
    if made.gone:
        click.echo(f"Removed: {', '.join(made.gone)}.")


def _missing(made: Made) -> list[str]:
    lost = made.manifest.missing
    if not lost:
        return []
    more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
    words = (
        f"The backup is not whole: {len(lost)} of {len(lost) + len(made.manifest.files)} files that the "
        f"database names are missing from the storage or are not what was stored ({', '.join(lost[:3])}"
        f"{more}). Put them back from an older backup."
    )
    return [words]


def _fault_in_words(fault: Exception, folder: Path, settings: Settings) -> str:
    if isinstance(fault, Refusal):
        return fault.sentence
    if isinstance(fault, Refused):
        return fault.message
    if is_full(fault):
        return f"There is no space left for the backup, in {folder} or in the data folder."
    words = in_words(fault, settings.secrets)
    return f"The backup was broken off: {words}"


def _owe_alert(words: str) -> None:
    """Staff hear of it once a day, where the database still takes a letter."""
    db.session.rollback()
    tell_now(Happening.BACKUP_FAILED, cause=words.splitlines()[0][:200])
    try:
        with transaction():
            outbox.alert_staff(
                "The backup is not whole",
                f"{words}\n\nRun store backup again once that is mended.",
                f"backup:{clock.now():%Y-%m-%d}",
            )
    except Exception as fault:  # noqa: BLE001 - the reason itself may be the database
        click.echo(f"No letter to staff could be written: {type(fault).__name__}", err=True)
        sys.stderr.flush()
