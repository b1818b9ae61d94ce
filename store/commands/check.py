"""`store check`: every outside part and every setting, what matters first; works with bad settings too."""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn
from urllib.parse import urlsplit

import click

from store import settings as store_settings
from store.app import create_app
from store.backups.latest import last_in_words
from store.commands.base import json_option, print_json
from store.kit.database import transaction
from store.kit.mailboxes import AddressUnwritable, wire_recipient
from store.staff.acts import Act
from store.staff.audit import record
from store.staff.connections import Tried, Wanted, discreet, in_words, try_all
from store.staff.kept_files import SAMPLE_FILES

FAULT, NOTE, WELL = "fault", "note", "ok"
# The part whose faults name their variable themselves.
SETTINGS = "settings"


def _mailbox(_context: click.Context, _option: click.Parameter, value: str) -> str:
    try:
        return wire_recipient(value) and value if value else ""
    except AddressUnwritable:
        raise click.BadParameter("that is no e-mail address") from None


def _address(_context: click.Context, _option: click.Parameter, value: str) -> str:
    parts = urlsplit(value)
    if value and (
        parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/")
    ):
        raise click.BadParameter("name the shop's address, as in https://shop.example.org")
    return value.rstrip("/")


@click.command()
@click.option(
    "--files",
    type=click.Choice(["some", "all"]),
    default="some",
    help=f"Read some {SAMPLE_FILES} stored files, or all; that all are there is always looked at.",
)
@click.option("--mail-to", default="", callback=_mailbox, help="Send a test letter there.")
@click.option("--url", default="", callback=_address, help="Ask the shop there what it sees.")
@click.option(
    "--resolver", default="", help="Ask this server about names, as in 9.9.9.9 or [::1]:53."
)
@click.option("--dkim", default="", help="The selector of the key that your relay signs with.")
@json_option
def check(files: str, mail_to: str, url: str, resolver: str, dkim: str, as_json: bool) -> None:
    """Look at every outside part and every setting; exit 1 where something is at fault."""
    end = _as_json if as_json else _in_lines
    try:
        loaded = store_settings.load()
    except store_settings.SettingsFault as fault:
        _end(end, [Tried(SETTINGS, is_well=False, words=line) for line in fault.faults], {})
    shown = {
        f"{store_settings.PREFIX}{name.upper()}": discreet(str(value), loaded.secrets)
        for name, value in loaded.model_dump().items()
    }
    try:
        app = create_app(loaded)
    except Exception as error:  # noqa: BLE001 - it tells what went wrong, whatever it is
        _end(end, [Tried("shop", is_well=False, words=in_words(error, loaded.secrets))], shown)
    read = SAMPLE_FILES if files == "some" else None
    with app.app_context():
        tried = list(_tried(Wanted(read, _progress, mail_to, resolver, dkim, url)))
    _end(end, tried, shown)


def _tried(wanted: Wanted) -> Iterable[Tried]:
    for one in try_all(wanted, {"backup": lambda _: last_in_words()}):
        if one.name == "test letter" and one.is_well:
            with transaction():
                record(Act.MAIL_TRIED, after={"to": wanted.mail_to})
        yield one


def _progress(done: int, all_files: int) -> None:
    """Said to a person who waits; scripts read the end alone."""
    if sys.stderr.isatty():
        click.echo(f"\rReading files: {done} of {all_files}", nl=done == all_files, err=True)


def _state(one: Tried) -> str:
    return (NOTE if one.note else WELL) if one.is_well else FAULT


def _end(end: "Ending", tried: list[Tried], shown: Mapping[str, str]) -> NoReturn:
    """Say it all, what is wrong first, and leave."""
    order = {FAULT: 0, NOTE: 1, WELL: 2}
    end(sorted(tried, key=lambda one: order[_state(one)]), shown)
    sys.exit(0 if all(one.is_well for one in tried) else 1)


def _in_lines(tried: list[Tried], shown: Mapping[str, str]) -> None:
    click.echo(_summary(tried))
    for one in tried:
        name = "" if one.name == SETTINGS else f"{one.name}: "
        if one.words:
            click.echo(f"{FAULT if not one.is_well else WELL:<6} {name}{one.words}")
        if one.note:
            click.echo(f"{NOTE:<6} {name}{one.note}")
    for name, value in shown.items():
        click.echo(f"set    {name} = {value}")


def _as_json(tried: list[Tried], shown: Mapping[str, str]) -> None:
    parts = [
        {"part": one.name, "state": _state(one), "words": one.words, "note": one.note}
        for one in tried
    ]
    print_json({"well": all(one.is_well for one in tried), "parts": parts, "settings": shown})


def _summary(tried: list[Tried]) -> str:
    faults = sum(not one.is_well for one in tried)
    notes = sum(one.is_well and bool(one.note) for one in tried)
    looked = "1 thing was" if len(tried) == 1 else f"{len(tried)} things were"
    told = [_many(count, word) for count, word in ((faults, FAULT), (notes, NOTE)) if count]
    return f"{' and '.join(told) or 'All is well'}; {looked} looked at."


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


Ending = Callable[[list[Tried], Mapping[str, str]], None]
