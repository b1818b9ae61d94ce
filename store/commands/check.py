"""`store check`: every setting and outside part, one line each; works with bad settings too."""

import sys

import click

from store import settings as store_settings
from store.app import create_app
from store.staff.connections import Tried, discreet, in_words, try_all


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
        shown = discreet(str(value), loaded.secrets)
        click.echo(f"set    {store_settings.PREFIX}{name.upper()} = {shown}")
    try:
        app = create_app(loaded)
    except Exception as error:  # noqa: BLE001 - it tells what went wrong, whatever it is
        click.echo(f"fault  shop: {in_words(error, loaded.secrets)}")
        sys.exit(1)
    with app.app_context():
        results = [_said(one) for one in try_all()]
    sys.exit(0 if all(results) else 1)


def _said(one: Tried) -> bool:
    click.echo(f"{'ok    ' if one.is_well else 'fault '} {one.name}: {one.words}")
    return one.is_well
