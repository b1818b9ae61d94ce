"""Commands that start the shop or do one pass of its work."""

import click
import sqlalchemy as sa
from flask_migrate import upgrade as migrate_upward

from store import serving, tasks
from store.app import place
from store.commands.base import Refused, in_shop, load_settings
from store.commands.serve import PORT, free_bind
from store.kit import jobs, revision
from store.kit.database import transaction
from store.kit.errors import Refusal
from store.kit.space import is_busy
from store.mail import heartbeats
from store.settings import Settings
from store.staff.acts import Act
from store.staff.audit import record


@click.group()
def db() -> None:
    """The database's tables."""


@db.command("upgrade")
@in_shop
def db_upgrade() -> None:
    """Bring the tables to the present state."""
    revision.must_keep_all_letters()
    try:
        migrate_upward()
    except sa.exc.OperationalError as fault:
        if not is_busy(fault):
            raise
        raise Refused(
            "Somebody else writes to the database all the time. Nothing was changed: stop every web "
            "server and worker, then run this again."
        ) from None
    with transaction():
        record(Act.DATABASE_UPGRADED)
    click.echo("The database is up to date.")


@click.command()
@PORT
def web(port: int | None) -> None:
    """The web server alone."""
    settings = load_settings()
    _refuse_what_cannot_start(settings)
    serving.run_web(settings, free_bind(settings, port))


@click.command()
def worker() -> None:
    """The worker alone: sends letters, keeps the timetable."""
    settings = load_settings()
    _refuse_what_cannot_start(settings)
    serving.run_worker(settings)


@click.command()
@in_shop
def tick() -> None:
    """One pass of everything that falls due; the worker does it each minute."""
    if fault := revision.tables_fault():
        raise Refused(fault)
    tasks.tick()
    heartbeats.note_pass_by_hand()
    click.echo("Done what was due.")


def _refuse_what_cannot_start(settings: Settings) -> None:
    try:
        jobs.must_be_whole(settings.database, str(settings.data_dir.absolute() / "bell.db"))
    except Refusal as refusal:
        raise Refused(refusal.sentence) from None
    if fault := revision.fault_at(settings.database, str(place("migrations"))):
        raise Refused(fault)
