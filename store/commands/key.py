"""Commands about the key that signs and encrypts."""

import click

from store.commands.base import Refused, in_shop
from store.kit.database import transaction
from store.staff.acts import Act
from store.staff.audit import record
from store.staff.credentials import encrypt_again


@click.group()
def key() -> None:
    """The key that signs links and encrypts second steps."""


@key.command("renew")
@in_shop
def key_renew() -> None:
    """Encrypt the second steps of staff by the present key.

    To be run while STORE_SECRET_KEY_FALLBACKS has the key before; then that one may be dropped, and
    everybody keeps password and app. Exit 1 where somebody's is kept under neither.
    """
    with transaction():
        done, lost = encrypt_again()
        record(Act.KEY_RENEWED, after={"second steps": len(done), "not read": len(lost)})
        names = ", ".join(person.email for person in lost)
    click.echo(f"{_many(len(done))} encrypted by the present key.")
    if names:
        raise Refused(
            f"{_many(len(lost))} kept under a key that is known no more: {names}. Put that key into "
            "STORE_SECRET_KEY_FALLBACKS and run this again, or give them another way in: "
            "store staff add EMAIL --role ROLE"
        )


def _many(count: int) -> str:
    return "1 second step is" if count == 1 else f"{count} second steps are"
