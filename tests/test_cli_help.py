"""The command line as people script against it: its help, its exit codes, its JSON, its streams."""

import json
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from store.app import create_app
from store.catalog.sellers import state_seller
from store.cli import main
from store.demo.seed import edition_files
from store.entitlements.links import open_link
from store.kit import clock
from store.kit.database import db, transaction
from store.orders.models import Order
from store.payments.checkout import begin_checkout
from store.payments.refunds import refund_order
from store.payments.transfers import record_transfer
from store.settings import load
from tests.command_tree import commands_of
from tests.conftest import SECRET
from tests.purchases import an_order
from tests.snapshots import snapshot
from tests.stocked import stock


def _commands(
    command: click.Command = main, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every group and command with the words that lead there, in the order of the alphabet."""
    yield path, command
    if isinstance(command, click.Group):
        for name, below in sorted(commands_of(command).items()):
            yield from _commands(below, (*path, name))


LEAVES = [path for path, command in _commands() if not isinstance(command, click.Group)]
WITH_JSON = {
    " ".join(path)
    for path, command in _commands()
    if any("--json" in parameter.opts for parameter in command.params)
}


def _run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), prog_name="store", terminal_width=100)


@pytest.fixture
def in_shop(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a shop with a migrated database and nothing in it."""
    shutil.copy(sqlite_template, tmp_path / "colophon.db")
    monkeypatch.setenv("STORE_ENV", "testing")
    monkeypatch.setenv("STORE_SECRET_KEY", SECRET)
    monkeypatch.setenv("STORE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("STORE_RELEASE_DELAY", "0")
    return tmp_path


@pytest.fixture
def reference(in_shop: Path) -> str:
    """The shop stocked; the reference of one of its orders."""
    app = create_app(load())
    with app.app_context():
        shop = stock(app)
        found = db.session.get_one(Order, open_link(shop.order, "order").order_id).reference
        db.session.remove()
        db.engine.dispose()
    return found


@pytest.fixture
def by_bank(reference: str) -> tuple[str, str]:
    """References of two orders by bank transfer: one awaited, one whose money is to go back."""
    app = create_app(load())
    with app.app_context():
        with transaction():
            state_seller(bank_details="Sort code 00-00-00, account 00000000")
        order_ids = [an_order(key * 22) for key in "ab"]
        for order_id in order_ids:
            begin_checkout(order_id, "manual")
        day = clock.now().date()
        record_transfer(order_ids[1], amount=1250, received_on=day, who="t", form_key="k")
        refund_order(order_ids[1], who="t", why="", key="k")
        found = [db.session.get_one(Order, order_id).reference for order_id in order_ids]
        db.session.remove()
        db.engine.dispose()
    return found[0], found[1]


def test_the_version_is_that_of_the_package() -> None:
    told = _run("--version")
    assert (told.exit_code, told.output) == (0, f"Colophon {metadata.version('colophon')}\n")


def test_the_help_of_every_command_is_as_it_was() -> None:
    parts = []
    for path, _ in _commands():
        result = _run(*path, "--help")
        assert (result.exit_code, result.stderr) == (0, ""), path
        parts.append(f"$ {' '.join(('store', *path, '--help'))}\n{result.stdout}\n")
    snapshot("help.txt", "".join(parts))


def test_every_command_says_what_it_does() -> None:
    assert [path for path, command in _commands() if not command.help] == []


def test_the_short_way_to_ask_for_help_works_too() -> None:
    assert _run("edition", "release", "-h").stdout == _run("edition", "release", "--help").stdout


@pytest.mark.parametrize(
    "words",
    [
        ["nothing"],
        ["publication", "add", "slug"],
        ["edition", "release", "send", "one"],
        ["edition", "upload", "send"],
        ["staff", "add", "a@b.example", "--role", "king"],
        ["customer", "import", "send", "/nowhere/at.csv"],
        ["serve", "--port", "many"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_and_says_so_on_stderr(in_shop: Path, words: list[str]) -> None:
    result = _run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage: store" in result.stderr


REFUSALS = {
    "publication show nowhere": "We have no publication at this address.",
    "edition coverage nowhere 1": "We have no publication at this address.",
    "edition release send-early-years 9 --yes": "This publication has no edition with that number.",
    "edition withdraw send-early-years 1": (
        "Nobody can be asked here. Pass --yes to go on without a question."
    ),
    "edition coverage send-early-years 1 --customer who@reader.example": (
        "No customer has this address."
    ),
    "order show 2222-2222": "We know no order with that reference.",
    "order give nowhere a@b.example --reason x": "We have no publication at this address.",
    "order sent-back 2222-2222": "We know no order with that reference.",
    "letter retry 999": "There is no letter of this number.",
    "letter preview ransom_note": "There is no letter of the kind “ransom_note”.",
    "customer correct who@reader.example a@b.example": "No customer has this address.",
    "customer end-links who@reader.example": "No customer has this address.",
    "customer merge who@reader.example a@b.example": "No customer has this address.",
    "customer part who@reader.example a@b.example": "No customer has this address.",
    "customer erase who@reader.example --yes": "No customer has this address.",
    "customer erase anna@reader.example": (
        "Nobody can be asked here. Pass --yes to go on without a question."
    ),
    "customer keep who@reader.example": "No customer has this address.",
    "order settle 2222-2222 back": "We know no order with that reference.",
    "publication add Send! --title T --price 1": (
        "The address must be small letters, digits and single hyphens, up to 60."
    ),
}


def test_a_refusal_ends_with_1_and_is_said_on_stderr_alone(reference: str) -> None:
    said = {line: _run(*line.split()) for line in REFUSALS}
    assert {line: (one.exit_code, one.stdout, one.stderr) for line, one in said.items()} == {
        line: (1, "", f"{sentence}\n") for line, sentence in REFUSALS.items()
    }


def test_settings_with_faults_end_every_command_with_1(
    in_shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_COLOUR", "red")
    result = _run("publication", "list")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "STORE_COLOUR is not a setting; see the operator's guide for those that are"
    ]


def test_every_command_that_prints_data_prints_it_as_json(
    reference: str, by_bank: tuple[str, str], tmp_path: Path
) -> None:
    rows = tmp_path / "customers.csv"
    rows.write_text("email,name\nella@reader.example,Ella\nnonsense,\n")
    files = " ".join(str(path) for path in edition_files(2))
    lines = [
        "check --json",
        "seller show --json",
        "publication list --json",
        "discount list --json",
        "publication show send-early-years --json",
        f"order show {reference} --json",
        "order give send-early-years gift@reader.example --reason Review --json",
        f"order received {by_bank[0]} 12.50 --json",
        f"order sent-back {by_bank[1]} --json",
        "letter list --json",
        f"log explain {reference} --json",
        "mail repairs --json",
        "customer erasures list --json",
        "staff list --json",
        f"edition upload send-early-years {files} --json",
        "edition release send-early-years 2 --rehearse --json",
        "edition release send-early-years 2 --yes --json",
        "edition coverage send-early-years 2 --json",
        "edition coverage send-early-years 2 --customer anna@reader.example --json",
        f"customer import send-early-years {rows} --dry-run --json",
        f"backup {tmp_path / 'backups'} --json",
    ]
    for line in lines:
        result = _run(*line.split())
        assert (result.exit_code, result.stderr) == (0, ""), f"{line}: {result.output}"
        assert isinstance(json.loads(result.stdout), dict | list), line
    named = {name for name in WITH_JSON if any(line.startswith(f"{name} ") for line in lines)}
    assert named == WITH_JSON
