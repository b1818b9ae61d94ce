"""Every outside part of the shop, tried: what it says, or what is wrong with it, in words that hold
no password. `store check` prints it, the settings page shows it.

A part returns its words, or its words and a note: what is worth a look and no fault.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import sqlalchemy as sa

from store.catalog.models import Seller
from store.kit import clock, revision
from store.kit.away import StoreAway
from store.kit.config import config
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.space import write_a_little
from store.kit.storage import storage
from store.kit.system_words import is_damaged, refused_database, refused_place
from store.mail import heartbeats
from store.mail.imap import opened
from store.mail.letters import compose_sample, compose_test
from store.mail.lines import mail_server
from store.mail.returned_mailbox import mailbox_server
from store.mail.shared_clock import shared_now_of
from store.mail.smtp import Connection, OutcomeKind
from store.orders.customers import mask
from store.payments.gateways.stripe_objects import endpoint_fault
from store.staff import front, journal_here, kept_files, surroundings
from store.staff.credentials import kept_under, with_second_step

# More than a network is slow, and less than anybody would notice.
CLOCKS_APART_SECONDS = 5
NTP = "let NTP set the clocks of all machines"

_TAKEN = sa.text(
    "SELECT current_setting('max_connections')::int"
    " - current_setting('superuser_reserved_connections')::int"
)


@dataclass(frozen=True)
class Wanted:
    """What is tried beside the ordinary: how many files are read (None: all) and who is told how far it
    is, where a test letter goes, who is asked about names and about which DKIM key, and our address."""

    read: int | None = 0
    progress: kept_files.Progress = field(default=lambda _done, _all: None)
    mail_to: str = ""
    resolver: str = ""
    dkim: str = ""
    url: str = ""


@dataclass(frozen=True)
class Tried:
    """One part, whether it answers, and its words."""

    name: str
    is_well: bool
    words: str
    note: str = ""


Said = str | tuple[str, str]


def try_all(wanted: Wanted = Wanted(), more: "Parts | None" = None) -> Iterable[Tried]:
    """Each part in turn, and those that a higher room has `more`; a fault of one keeps no other from being
    tried, but for what asks the tables."""
    has_tables = True
    for name, part in (PARTS | (more or {})).items():
        if name in ASK_TABLES and not has_tables:
            yield Tried(name, is_well=True, words="", note="not looked at: first the database")
            continue
        tried = _tried(name, lambda part=part: part(wanted))  # type: ignore[misc]
        has_tables = has_tables and (name != "database" or tried.is_well)
        yield tried
    for name, (asked, part) in ON_REQUEST.items():
        if asked(wanted):
            yield _tried(name, lambda part=part: part(wanted))  # type: ignore[misc]


def discreet(text: str, secrets: Iterable[str]) -> str:
    """The text without a password: none of an address, no key and no secret of the settings."""
    text = re.sub(r"(?<=://)[^/@\s]+@", "***@", text)
    text = re.sub(r"(?i)(?<=[?&])(\w*(?:pass|secret|key|token)\w*)=[^&\s]+", r"\1=***", text)
    for value in secrets:
        text = text.replace(value, "***")
    return text


def in_words(error: Exception, secrets: Iterable[str]) -> str:
    """The first line of a fault, without a password: its sentence where it has one, else with its name."""
    words = refused_place(error) or refused_database(error) or damaged_database(error)
    if not words:
        is_sentence = isinstance(error, (RuntimeError, Refusal, StoreAway)) and str(error)
        words = str(error) if is_sentence else f"{type(error).__name__}: {error}"
    return next(iter(discreet(words, secrets).splitlines()), type(error).__name__)


def damaged_database(error: BaseException) -> str:
    """The sentence about a file of SQLite's that is none any more; empty where the fault is another."""
    if not is_damaged(error):
        return ""
    fault = getattr(error, "orig", None) or error
    return (
        f"the database is damaged ({fault}): stop the shop, move the file away with those of its name beside "
        "it, and restore the newest backup"
    )


def _tried(name: str, part: Callable[[], Said]) -> Tried:
    try:
        said = part()
        words, note = said if isinstance(said, tuple) else (said, "")
        return Tried(name, is_well=True, words=words, note=discreet(note, config().secrets))
    except Exception as error:  # noqa: BLE001 - it tells what went wrong, whatever it is
        return Tried(name, is_well=False, words=in_words(error, config().secrets))
    finally:
        db.session.rollback()


def _stripe_key(_: Wanted) -> str:
    if config().stripe_secret_key is None:
        return "not set: no card payments"
    from store.payments.gateways import stripe  # noqa: PLC0415 - see `gateways.registry`

    stripe.endpoints()
    surroundings.compare_clock(stripe.time_there(), "Stripe's, and what it signs holds for minutes")
    return f"answers, {'live' if stripe.is_live() else 'test'} mode"


def _stripe_webhook(_: Wanted) -> str:
    if config().stripe_secret_key is None:
        return "no key set: nothing to hear"
    from store.payments.gateways import stripe  # noqa: PLC0415

    url = f"{config().base_url}/webhooks/stripe"
    ours = [one for one in stripe.endpoints() if one["url"] == url]
    faults = [endpoint_fault(one, stripe.API_VERSION) for one in ours]
    if not ours:
        raise RuntimeError(f"no endpoint for {url} in the account: make one, see the guide")
    if all(faults):
        raise RuntimeError("; ".join(faults))
    return f"{url} hears every event it needs, as of {stripe.API_VERSION}"


def _database(_: Wanted) -> str:
    if fault := revision.tables_fault():
        raise RuntimeError(fault)
    return f"{db.engine.dialect.name}, up to date{_room_for_us()}"


def _room_for_us() -> str:
    """Whether PostgreSQL takes as many connections as this machine may want. Raises where it does not."""
    if db.engine.dialect.name == "sqlite":
        return ""
    with db.engine.connect() as connection:
        taken = int(connection.scalar(_TAKEN) or 0)
    ours = config().database_connections
    words = f"{ours} connections at most for web server and worker of a machine, of {taken}"
    if ours > taken:
        raise RuntimeError(
            f"{words}: raise max_connections, or lower STORE_WEB_WORKERS or STORE_WEB_THREADS"
        )
    return f"; {words}"


def _clock(_: Wanted) -> str:
    """Machines that share a database find what is due by their own clocks."""
    seconds = (clock.machine_time() - shared_now_of(db.session())).total_seconds()
    if abs(seconds) > CLOCKS_APART_SECONDS:
        raise RuntimeError(f"{surroundings.clock_words(seconds)} the database's: {NTP}")
    return "as the database's"


def _storage(_: Wanted) -> str:
    storage().answers()
    storage().try_out()
    words = "answers, and gives what it has taken"
    host = storage().host_in_front() if config().accel_redirect else ""
    return f"{words}; nginx fetches from {host}" if host else words


def _disk(_: Wanted) -> str:
    return surroundings.disk()


def _permissions(_: Wanted) -> Said:
    return surroundings.permissions()


def _writing(_: Wanted) -> str:
    write_a_little()
    return "database, files and data folder take what is written"


def _files(wanted: Wanted) -> Said:
    """Each file that a row names is stored: an edition's, a sample's, a cover, a picture of the house."""
    found = kept_files.compare(wanted.read, wanted.progress)
    if found.faults:
        raise RuntimeError(found.wrong())
    return found.said(), found.noted()


def _journal(_: Wanted) -> str:
    return journal_here.look()


def _workers(_: Wanted) -> Said:
    """A worker takes what another process of its name left for dead, where that is none of this machine."""
    there, seen = heartbeats.workers(), heartbeats.not_running_here()
    words = f"{there.at_work or 'none'} at work"
    if not there.at_work and seen is None and config().env == "production":
        return (
            words,
            "no letter leaves and nothing falls due until one is: `systemctl start colophon`",
        )
    if seen is None:
        return words, ""
    name = heartbeats.host_name()
    return words, (
        f"one of {name} was seen {seen.seconds} seconds ago and does not run here: where it was not killed "
        f"just now, another machine or container is called {name}, too, and each takes the other's letters "
        "that are under way for left behind. Give each a host name of its own"
    )


def _letter(_: Wanted) -> str:
    """One letter, written as every letter is; it is sent to nobody."""
    if db.session.scalar(sa.select(sa.func.count()).select_from(Seller)) == 0:
        return "nobody has said yet who sells, so none can be written: fill in the seller"
    octets = compose_sample()
    return f"one was composed, {len(octets)} bytes"


def _mail(_: Wanted) -> str:
    if not config().mail_server:
        return "no server set: letters are captured"
    connection = Connection(mail_server())
    connection.ready()
    connection.close()
    return f"{config().mail_server} answers"


def _returned_mail(_: Wanted) -> str:
    server = mailbox_server()
    if server is None:
        return "no mailbox set"
    with opened(server) as mailbox:
        letters = "1 message" if mailbox.count == 1 else f"{mailbox.count} messages"
        return f"{server.parts.host} answers, {server.parts.folder} has {letters}"


def _mail_names(wanted: Wanted) -> Said:
    from store.staff import mail_names  # noqa: PLC0415 - 2.5 MB of each process, for this question alone

    domain = mail_names.sender_domain()
    if not wanted.resolver and (config().env != "production" or mail_names.is_local(domain)):
        return f"nobody is asked about {domain} here; --resolver says whom"
    try:
        found = mail_names.look(mail_names.Names(wanted.resolver), wanted.dkim)
    except mail_names.NoResolver as fault:
        return "not looked at", f"{fault}: nobody knows whether {domain} may send"
    if found.faults:
        raise RuntimeError("; ".join([*found.faults, *found.notes]))
    return "; ".join(found.well), "; ".join(found.notes)


def _test_letter(wanted: Wanted) -> str:
    """A letter handed to the mail server at once, past the outbox: no worker is needed."""
    if not config().mail_server:
        raise RuntimeError("STORE_MAIL_SERVER is not set: no letter leaves")
    envelope, octets = compose_test(wanted.mail_to)
    db.session.rollback()
    line = Connection(mail_server())
    outcome = line.send(envelope, octets)
    line.close()
    if outcome.kind is not OutcomeKind.ACCEPTED:
        raise RuntimeError(f"it was not taken: {outcome.reply}")
    return (
        f"one to {mask(wanted.mail_to)} was taken: {outcome.reply}. Look at its head for spf=pass, "
        "dkim=pass and dmarc=pass, and for spam"
    )


def _our_address(wanted: Wanted) -> Said:
    return front.ask(wanted.url)


def _second_steps(_: Wanted) -> Said:
    """Staff whose app no key of the settings can read cannot sign in."""
    under = [kept_under(person) for person in with_second_step()]
    lost, early = under.count(None), sum(bool(number) for number in under)
    if lost:
        raise RuntimeError(
            f"{lost} of {len(under)} are kept under a key that is known no more: put it into "
            "STORE_SECRET_KEY_FALLBACKS and run `store key renew`, or give these people another way in "
            "by `store staff add`"
        )
    note = f"{early} are kept under an earlier key: run `store key renew` before you drop it"
    return f"{len(under)} are kept under the present key or an accepted one", note if early else ""


Parts = dict[str, Callable[[Wanted], Said]]
PARTS: Parts = {
    "database": _database,
    "clock": _clock,
    "storage": _storage,
    "writing": _writing,
    "disk": _disk,
    "permissions": _permissions,
    "files": _files,
    "journal": _journal,
    "workers": _workers,
    "second steps": _second_steps,
    "letter": _letter,
    "mail": _mail,
    "mail names": _mail_names,
    "returned mail": _returned_mail,
    "stripe key": _stripe_key,
    "stripe webhook": _stripe_webhook,
}
# What these say where the database is at fault is no news of theirs.
ASK_TABLES = {"writing", "files", "journal", "workers", "second steps", "letter", "backup"}
ON_REQUEST: dict[str, tuple[Callable[[Wanted], str], Callable[[Wanted], Said]]] = {
    "test letter": (lambda wanted: wanted.mail_to, _test_letter),
    "our address": (lambda wanted: wanted.url, _our_address),
}
