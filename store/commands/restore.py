"""`store restore`: the shop made again from a backup, in an empty place."""

import sys
from pathlib import Path

import click

from store.app import create_app
from store.backups import restoring
from store.backups.after_restore import Begun, begin_after_restore
from store.backups.making import work_room
from store.backups.manifests import Manifest
from store.backups.putting_back import put_back_files
from store.commands.base import Refused, confirm, in_shop, load_settings
from store.commands.copying import FOLDER, passphrase_of, programs_of, tell
from store.kit.database import db, transaction
from store.kit.errors import Refusal
from store.kit.formatting import format_moment, format_size
from store.kit.happenings import Happening, tell_now
from store.kit.system_words import refused_place
from store.staff.acts import Act
from store.staff.audit import record

_BY_NAME = click.option(
    "--name", metavar="NAME", help="Which backup; the newest whole one if not given."
)


@click.command()
@FOLDER
@_BY_NAME
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--other-key",
    is_flag=True,
    help="Go on with another secret key: mailed links lead to a button.",
)
@click.option(
    "--settings-to",
    type=click.Path(path_type=Path, dir_okay=False, readable=False, allow_dash=True),
    metavar="FILE",
    help="Write the settings of the shop that was copied to FILE (-: standard output), and do nothing else.",
)
@click.option(
    "--files-only",
    is_flag=True,
    help="Put back the files that the shop of now lacks or has wrongly, and do nothing else.",
)
def restore(
    folder: Path,
    name: str | None,
    yes: bool,
    other_key: bool,
    settings_to: Path | None,
    files_only: bool,
) -> None:
    """Make the shop again from a backup in DIR, in an empty place.

    That is a database without tables, SQLite or PostgreSQL, whichever it was. All is verified before
    anything is written. Broken off, it is run again. With --files-only the shop may be at work.
    """
    if settings_to:
        _write_settings(folder, name, settings_to)
    elif files_only:
        _put_files_back(folder, name)
    else:
        _restore(folder, name, is_sure=yes, may_have_other_key=other_key)


def _write_settings(folder: Path, name: str | None, target: Path) -> None:
    # There may be no settings yet but the passphrase.
    settings = load_settings(env="testing", secret_key="0" * 64, stripe_secret_key=None)
    try:
        said = restoring.settings_of(restoring.choose(folder, name, passphrase_of(settings)))
    except Refusal as refusal:
        raise Refused(refusal.sentence) from None
    except OSError as fault:
        raise Refused(refused_place(fault) or str(fault)) from None
    if str(target) == "-":
        _print_settings(said)
        return
    try:
        with target.open("x") as file:
            target.chmod(0o600)
            file.write(said)
    except FileExistsError:
        raise Refused(f"{target} is there already. Name another file.") from None
    except OSError as fault:
        raise Refused(refused_place(fault) or str(fault)) from None
    click.echo(f"{target}: {len(said.splitlines())} settings.")


def _print_settings(said: str) -> None:
    # The user of the shop may write no file of root's; who types the command may.
    if sys.stdout.isatty():
        raise Refused(
            "The settings hold secrets. Let them go into a file: > /etc/colophon.env.new, which nobody "
            "else can read (`install -m 600 /dev/null /etc/colophon.env.new` before)."
        )
    click.echo(said, nl=False)


@in_shop
def _put_files_back(folder: Path, name: str | None) -> None:
    chosen = restoring.choose(folder, name, passphrase_of(load_settings()))
    with restoring.alone(), work_room("restore", folder) as room:
        done = put_back_files(chosen, room, tell)
    with transaction():
        record(Act.FILES_PUT_BACK, after={"files": done.put, "lost": len(done.lost)})
    click.echo(f"{done.put:,} of {done.named:,} files were put back.")
    if done.lost:
        more = f" and {len(done.lost) - 5:,} more" if len(done.lost) > 5 else ""
        raise Refused(
            f"{folder} has no copy of {len(done.lost):,} under this passphrase: {', '.join(done.lost[:5])}{more}. "
            "Look into another folder of backups, or upload the edition's files again as a new edition."
        )


@in_shop
def _restore(folder: Path, name: str | None, *, is_sure: bool, may_have_other_key: bool) -> None:
    settings = load_settings()
    programs = programs_of(settings)
    chosen = restoring.choose(folder, name, passphrase_of(settings))
    restoring.judge(chosen, may_have_other_key=may_have_other_key)
    click.echo(_described(chosen.manifest))
    if not is_sure:
        confirm("Make the shop again from it?")
    with restoring.alone(), work_room("restore", folder) as room:
        copy = restoring.verify(chosen, room, programs, tell)
        restoring.put_files(chosen, room, tell)
        url = db.engine.url
        target = Path(url.database or "").absolute() if url.get_backend_name() == "sqlite" else None
        # A file of SQLite's has another name until all is in it.
        elsewhere = {"database_url": f"sqlite:///{target}.restoring"} if target else {}
        with create_app(load_settings(**elsewhere)).app_context():
            restoring.fill_database(chosen, copy, programs, tell)
            begun = begin_after_restore(chosen.manifest.made_at)
            with transaction():
                record(
                    Act.SHOP_RESTORED,
                    after={"name": chosen.manifest.name, "made_at": chosen.manifest.made_at},
                )
            said = _said(begun)
            restoring.finish(target)
            tell_now(Happening.RESTORE_DONE)
    click.echo("\n".join(["The shop is as it was then.", *said]))


def _said(begun: Begun) -> list[str]:
    """What follows from what the shop did since."""
    lines = ["No letter leaves until you say so: store mail go shows what would leave, and asks."]
    if begun.is_another_shops:
        lines.append("The journal is another shop's; nothing of it was applied.")
    if begun.journal_until is None:
        lines.append(
            f"The journal does not tell of all the time since, so {begun.links:,} links have ended; the "
            "button on each mails a fresh one. All staff sign in afresh."
        )
    else:
        until = format_moment(begun.journal_until)
        lines.append(
            f"The journal tells of the time until {until}: {begun.erased:,} customers were erased again, "
            f"{begun.asked:,} erasures asked for or stopped, {begun.links:,} links ended, {begun.news:,} "
            f"choices of news made, {begun.left:,} staff removed."
        )
    if begun.kept_owners:
        lines.append(
            "An owner who had left is the only one here: let another in (store staff add), then remove them."
        )
    return lines


def _described(one: Manifest) -> str:
    missing = f"\nMissing from it: {', '.join(one.missing)}" if one.missing else ""
    orders, customers = one.rows.get("orders", 0), one.rows.get("customers", 0)
    return (
        f"{one.name}: {one.shop}, {one.kind}, as of {format_moment(one.made_at)}; "
        f"{orders:,} orders, {customers:,} customers, {len(one.files):,} files, "
        f"{format_size(one.size)}{missing}"
    )
