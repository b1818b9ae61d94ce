"""`store serve`: judges the settings, then becomes a parent that has none of the shop in its memory."""

import click

from store.children import become_parent, is_free
from store.commands.base import Refused, load_settings
from store.settings import Settings

PORT = click.option(
    "--port", type=click.IntRange(1, 65_535), help="Another port than STORE_BIND names."
)


@click.command()
@PORT
def serve(port: int | None) -> None:
    """Web server and worker together, for one machine."""
    become_parent(free_bind(load_settings(), port))


def free_bind(settings: Settings, port: int | None) -> str:
    """Where to listen: the address of the settings, at this port if one is given. Refuses (`Refused`)
    where somebody else does."""
    bind = f"{settings.bind.rpartition(':')[0]}:{port}" if port else settings.bind
    if not is_free(bind):
        raise Refused(
            f"{bind} is taken, or is no address of this machine; choose another port with --port, "
            "or another address with STORE_BIND."
        )
    return bind
