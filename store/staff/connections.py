"""Every outside part of the shop, tried: what it says, or what is wrong with it, in words that hold
no password. `store check` prints it, the settings page shows it."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app

from store.catalog.models import Asset, Sample, Seller
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.kit.space import write_a_little
from store.kit.storage import storage
from store.mail.imap import opened
from store.mail.letters import compose_sample
from store.mail.lines import mail_server
from store.mail.returned_mailbox import mailbox_server
from store.mail.shared_clock import shared_now_of
from store.mail.smtp import Connection
from store.payments.gateways import stripe
from store.payments.gateways.stripe_objects import endpoint_fault

# More than a network is slow, and less than anybody would notice.
CLOCKS_APART_SECONDS = 5


@dataclass(frozen=True)
class Tried:
    """One part, whether it answers, and its words."""

    name: str
    is_well: bool
    words: str


def try_all() -> Iterable[Tried]:
    """Each part in turn; a fault of one keeps no other from being tried."""
    for name, part in PARTS.items():
        yield _tried(name, part)


def discreet(text: str, secrets: Iterable[str]) -> str:
    """The text without a password: none of an address, no key and no secret of the settings."""
    text = re.sub(r"(?<=://)[^/@\s]+@", "***@", text)
    text = re.sub(r"(?i)(?<=[?&])(\w*(?:pass|secret|key|token)\w*)=[^&\s]+", r"\1=***", text)
    for value in secrets:
        text = text.replace(value, "***")
    return text


def in_words(error: Exception, secrets: Iterable[str]) -> str:
    """The first line of a fault, without a password."""
    words = discreet(f"{type(error).__name__}: {error}", secrets)
    return next(iter(words.splitlines()), type(error).__name__)


def _tried(name: str, part: Callable[[], str]) -> Tried:
    try:
        return Tried(name, is_well=True, words=part())
    except Exception as error:  # noqa: BLE001 - it tells what went wrong, whatever it is
        return Tried(name, is_well=False, words=in_words(error, config().secrets))
    finally:
        db.session.rollback()


def _stripe_key() -> str:
    if config().stripe_secret_key is None:
        return "not set: no card payments"
    stripe.endpoints()
    return f"answers, {'live' if stripe.is_live() else 'test'} mode"


def _stripe_webhook() -> str:
    if config().stripe_secret_key is None:
        return "no key set: nothing to hear"
    url = f"{config().base_url}/webhooks/stripe"
    ours = [one for one in stripe.endpoints() if one["url"] == url]
    faults = [endpoint_fault(one, stripe.API_VERSION) for one in ours]
    if not ours:
        raise RuntimeError(f"no endpoint for {url} in the account: make one, see the guide")
    if all(faults):
        raise RuntimeError("; ".join(faults))
    return f"{url} hears every event it needs, as of {stripe.API_VERSION}"


def _database() -> str:
    newest = ScriptDirectory(current_app.extensions["migrate"].directory).get_current_head()
    with db.engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    if present != newest:
        raise RuntimeError(f"is at revision {present}, not {newest}: it waits for its upgrade")
    return f"{db.engine.dialect.name}, up to date"


def _clock() -> str:
    """Machines that share a database find what is due by their own clocks."""
    seconds = (clock.machine_time() - shared_now_of(db.session())).total_seconds()
    if abs(seconds) > CLOCKS_APART_SECONDS:
        where = "ahead of" if seconds > 0 else "behind"
        raise RuntimeError(
            f"{abs(seconds):.0f} seconds {where} the database's: let NTP set the clocks of all machines"
        )
    return "as the database's"


def _storage() -> str:
    storage().answers()
    storage().try_out()
    return "answers, and gives what it has taken"


def _writing() -> str:
    write_a_little()
    return "database, files and data folder take what is written"


def _files() -> str:
    """Each file that an edition or a sample has, by its row, is stored with its size."""
    of_sample = sa.select(Sample.sha256, Sample.size)
    assets = db.session.execute(sa.select(Asset.sha256, Asset.size).union(of_sample)).all()
    found = {sha256: storage().size(f"assets/{sha256}") for sha256, _ in assets}
    wrong = [
        f"{sha256[:12]}… {'is missing' if found[sha256] is None else f'has {found[sha256]} bytes, not {size}'}"
        for sha256, size in assets
        if found[sha256] != size
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise RuntimeError(f"{len(wrong)} of {len(assets)}: {'; '.join(wrong[:5])}{more}")
    return f"{len(assets)} stored, each with its size"


def _letter() -> str:
    """One letter, written as every letter is; it is sent to nobody."""
    if db.session.scalar(sa.select(sa.func.count()).select_from(Seller)) == 0:
        return "nobody has said yet who sells, so none can be written: fill in the seller"
    octets = compose_sample()
    return f"one was composed, {len(octets)} bytes"


def _mail() -> str:
    if not config().mail_server:
        return "no server set: letters are captured"
    connection = Connection(mail_server())
    connection.ready()
    connection.close()
    return f"{config().mail_server} answers"


def _returned_mail() -> str:
    server = mailbox_server()
    if server is None:
        return "no mailbox set"
    with opened(server) as mailbox:
        letters = "1 message" if mailbox.count == 1 else f"{mailbox.count} messages"
        return f"{server.parts.host} answers, {server.parts.folder} has {letters}"


PARTS: dict[str, Callable[[], str]] = {
    "database": _database,
    "clock": _clock,
    "storage": _storage,
    "writing": _writing,
    "files": _files,
    "letter": _letter,
    "mail": _mail,
    "returned mail": _returned_mail,
    "stripe key": _stripe_key,
    "stripe webhook": _stripe_webhook,
}
