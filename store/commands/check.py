"""`store check`: every setting and outside part, one line each; works with bad settings too."""

import sys
from collections.abc import Callable

import click
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from store import settings as store_settings
from store.app import create_app, place
from store.kit.database import db
from store.kit.probing import write_a_little
from store.kit.storage import storage
from store.mail.sending import Connection
from store.mail.worker import mail_server
from store.payments.gateways import stripe
from store.payments.gateways.stripe_reading import endpoint_fault


@click.command()
def check() -> None:
    """Look at every setting and every outside part; exit 1 where one does not answer."""
    try:
        loaded = store_settings.load()
    except store_settings.SettingsFault as fault:
        for line in fault.faults:
            click.echo(f"fault  {line}")
        sys.exit(1)
    for name, value in loaded.model_dump().items():
        click.echo(f"set    {store_settings.PREFIX}{name.upper()} = {_shown(name, value)}")
    with create_app(loaded).app_context():
        results = [_look(name, part) for name, part in _parts(loaded).items()]
    sys.exit(0 if all(results) else 1)


def _shown(name: str, value: object) -> object:
    # A database address may hold a password.
    return sa.engine.make_url(str(value)) if name == "database_url" and value else value


def _parts(loaded: store_settings.Settings) -> dict[str, Callable[[], str]]:
    return {
        "database": _database,
        "storage": _storage,
        "writing": _writing,
        "mail": lambda: _mail(loaded),
        "stripe key": lambda: _stripe_key(loaded),
        "stripe webhook": lambda: _stripe_webhook(loaded),
    }


def _look(name: str, part: Callable[[], str]) -> bool:
    try:
        click.echo(f"ok     {name}: {part()}")
    except Exception as error:  # noqa: BLE001 - the command tells what went wrong, whatever it is
        click.echo(f"fault  {name}: {type(error).__name__}: {error}".splitlines()[0])
        return False
    return True


def _stripe_key(loaded: store_settings.Settings) -> str:
    if loaded.stripe_secret_key is None:
        return "not set: no card payments"
    stripe.endpoints()
    return f"answers, {'live' if stripe.is_live() else 'test'} mode"


def _stripe_webhook(loaded: store_settings.Settings) -> str:
    if loaded.stripe_secret_key is None:
        return "no key set: nothing to hear"
    url = f"{loaded.base_url}/webhooks/stripe"
    ours = [one for one in stripe.endpoints() if one["url"] == url]
    faults = [endpoint_fault(one, stripe.API_VERSION) for one in ours]
    if not ours:
        raise RuntimeError(f"no endpoint for {url} in the account: make one, see the guide")
    if all(faults):
        raise RuntimeError("; ".join(faults))
    return f"{url} hears every event it needs, as of {stripe.API_VERSION}"


def _database() -> str:
    newest = ScriptDirectory(str(place("migrations"))).get_current_head()
    with db.engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    if present != newest:
        raise RuntimeError(f"is at revision {present}, not {newest}: run `store db upgrade`")
    return f"{db.engine.dialect.name}, up to date"


def _storage() -> str:
    storage().answers()
    return "answers"


def _writing() -> str:
    write_a_little()
    return "database, files and data folder take what is written"


def _mail(loaded: store_settings.Settings) -> str:
    if not loaded.mail_server:
        return "no server set: letters are captured"
    connection = Connection(mail_server())
    connection.ready()
    connection.close()
    return f"{loaded.mail_server} answers"
