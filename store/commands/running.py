"""Commands that start the shop or do one pass of its work."""

import click
from flask_migrate import upgrade as migrate_upward

from store import serving, tasks
from store.commands.base import Refused, in_shop, load_settings

PORT = click.option("--port", default=8000, show_default=True, help="Port on this machine.")


@click.group()
def db() -> None:
    """The database's tables."""


@db.command("upgrade")
@in_shop
def db_upgrade() -> None:
    """Bring the tables to the present state."""
    migrate_upward()
    click.echo("The database is up to date.")


@click.command()
@PORT
def serve(port: int) -> None:
    """Web server and worker together, for one machine."""
    load_settings()
    _must_be_free(port)
    raise SystemExit(serving.serve(port))


@click.command()
@PORT
def web(port: int) -> None:
    """The web server alone."""
    settings = load_settings()
    _must_be_free(port)
    serving.run_web(settings, port)


@click.command()
def worker() -> None:
    """The worker alone: sends letters, keeps the timetable."""
    serving.run_worker(load_settings())


@click.command()
@in_shop
def tick() -> None:
    """One pass of everything that falls due; the worker does it each minute."""
    tasks.tick()
    click.echo("Done what was due.")


def _must_be_free(port: int) -> None:
    if not serving.port_is_free(port):
        raise Refused(f"Port {port} is taken; choose another with --port.")
