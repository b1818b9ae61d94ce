"""Commands that start the shop or do one pass of its work."""

import click
from flask_migrate import upgrade as migrate_upward

from store import serving, tasks
from store.commands.base import in_shop, load_settings
from store.commands.serve import PORT, free_bind
from store.kit.database import transaction
from store.mail import heartbeats
from store.staff.acts import Act
from store.staff.audit import record


@click.group()
def db() -> None:
    """The database's tables."""


@db.command("upgrade")
@in_shop
def db_upgrade() -> None:
    """Bring the tables to the present state."""
    migrate_upward()
    with transaction():
        record(Act.DATABASE_UPGRADED)
    click.echo("The database is up to date.")


@click.command()
@PORT
def web(port: int | None) -> None:
    """The web server alone."""
    settings = load_settings()
    serving.run_web(settings, free_bind(settings, port))


@click.command()
def worker() -> None:
    """The worker alone: sends letters, keeps the timetable."""
    serving.run_worker(load_settings())


@click.command()
@in_shop
def tick() -> None:
    """One pass of everything that falls due; the worker does it each minute."""
    tasks.tick()
    heartbeats.note_pass_by_hand()
    click.echo("Done what was due.")
