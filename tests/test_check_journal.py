"""`store check` holds the journal of its machine beside the database: what other machines did and this file does
not tell is named, before a restore would bring it back."""

import re
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask

from store.catalog.models import Publication
from store.cli import main
from store.entitlements.models import News
from store.entitlements.news import news_of
from store.kit.database import db, transaction
from store.mail.heartbeats import Heartbeat
from store.orders.customers import customer_by_address
from store.orders.models import Customer
from store.orders.placing import Details
from tests.admin.sign_in import a_member
from tests.conftest import SECRET, Clock, on_both, on_both_when_long
from tests.editions import a_shop
from tests.letters import send
from tests.links import path_to
from tests.purchases import ANNA, a_paid_order, placed_order
from tests.restored import put_back
from tests.typed import shops_are_closed

BEN, INES = "ben@reader.example", "ines@publisher.example"


@dataclass(frozen=True)
class Machine:
    """A data folder of its own, and the database that all share."""

    data: Path
    url: str
    journal: Path | None = None

    @property
    def file(self) -> Path:
        return self.journal or self.data / "erasures.jsonl"

    def types(self, command: str) -> str:
        """A command there, which is to succeed."""
        return self._run(command, 0)

    def check(self) -> str:
        """What `store check` says of the journal, without the name of the file."""
        said = self._run("check", None)
        (line,) = [line for line in said.splitlines() if " journal: " in line]
        return line.replace(str(self.file), "FILE")

    def _run(self, command: str, code: int | None) -> str:
        given = {"STORE_ENV": "testing", "STORE_SECRET_KEY": SECRET}
        given |= {"STORE_DATA_DIR": str(self.data), "STORE_DATABASE_URL": self.url}
        given |= {"STORE_ERASURE_JOURNAL": str(self.journal)} if self.journal else {}
        with shops_are_closed():
            done = CliRunner().invoke(main, command.split(), env=given)
        assert code is None or done.exit_code == code, done.output
        return done.output


@pytest.fixture
def worker(app: Flask, database_url: str, tmp_path: Path) -> Machine:
    """The machine of the worker, after a pass of its timetable; two readers, and two of staff."""
    publication = a_shop()
    a_paid_order(publication)
    a_paid_order(publication, BEN)
    a_member()
    a_member(INES, "editor")
    machine = Machine(tmp_path, database_url)
    machine.types("tick")
    return machine


@pytest.fixture
def other(worker: Machine, tmp_path: Path) -> Machine:
    """Another machine, which writes a file of its own."""
    return Machine(tmp_path / "other", worker.url)


def _end_things(machine: Machine) -> None:
    """Links of one reader, who is known no more then, and one of staff."""
    machine.types(f"customer end-links {BEN}")
    machine.types(f"staff remove {INES}")
    machine.types(f"customer erase {ANNA} --at-once --yes")
    send()
    machine.types("tick")


@on_both
def test_what_another_machine_wrote_into_a_file_of_its_own_is_named(
    worker: Machine, other: Machine
) -> None:
    assert worker.check().startswith("ok     journal: FILE tells all since ")
    _end_things(other)
    fault = worker.check()
    assert re.match(
        r"fault  journal: FILE lacks \d links that ended and 1 erasure and "
        "1 leaving of staff of the last 30 days: ",
        fault,
    )
    assert "let STORE_ERASURE_JOURNAL name one file on all machines" in fault

    # The way out that it names.
    with worker.file.open("ab") as file:
        file.write(other.file.read_bytes())
    assert worker.check().startswith("ok     journal: ")


@pytest.mark.long
def test_a_choice_of_news_that_another_machine_wrote_down_is_named(
    app: Flask, worker: Machine, other: Machine
) -> None:
    choose(app)
    assert worker.check().startswith("ok     journal: ")
    other.data.mkdir()
    with put_back(other.url, other.data) as shop:
        choose(shop)
    assert "FILE lacks 1 choice of news of the last 30 days: " in worker.check()


def choose(shop: Flask) -> None:
    """A reader chooses in the library."""
    reader, news = customer_by_address(BEN), News.MATTERS
    number = db.session.scalars(sa.select(Publication.id)).one()
    assert reader is not None
    if news_of(reader.id, number) is news:
        news = News.NOTHING
    answer = shop.test_client().post(
        f"{path_to('library', reader.id)}/news", data={"publication": number, "news": news}
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.long
def test_who_is_forgotten_without_being_asked_needs_no_line(
    app: Flask, worker: Machine, frozen: Clock
) -> None:
    with transaction() as session:
        placed_order(
            session.scalars(sa.select(Publication)).one(), Details(email="e@reader.example")
        )
    frozen.advance(days=401)
    worker.types("tick")
    gone = sa.select(Customer.id).where(Customer.erased_at.is_not(None))
    assert len(db.session.scalars(gone).all()) == 1
    assert " erasure" not in worker.check()


def test_machines_that_share_one_file_are_well(worker: Machine, tmp_path: Path) -> None:
    sharing = Machine(tmp_path / "other", worker.url, worker.file)
    _end_things(sharing)
    for machine in (worker, sharing):
        assert machine.check().startswith("ok     journal: FILE tells all since ")
    assert '"customers": [' in worker.file.read_text()


@on_both_when_long
def test_a_machine_that_writes_another_file_than_the_worker_is_named_before_anything_ends(
    worker: Machine, other: Machine
) -> None:
    fault = other.check()
    assert fault.startswith("fault  journal: FILE is not there, and a worker went ")
    other.data.mkdir(exist_ok=True)
    shutil.copy(worker.file, other.file)
    assert other.check().startswith("ok     journal: ")

    with transaction() as session:  # as if the worker had gone on by itself
        (row,) = session.scalars(sa.select(Heartbeat)).all()
        assert row.ran_at is not None
        row.ran_at += timedelta(minutes=6)
    db.session.remove()
    assert "it writes another file" in other.check()


def test_an_older_copy_in_its_place_is_named(worker: Machine) -> None:
    older = worker.file.read_bytes()
    worker.types(f"customer end-links {ANNA}")
    newer = worker.file.read_bytes()
    worker.file.write_bytes(older)
    worker.types("tick")  # which says again that the file tells all
    assert "or an older copy was put here" in worker.check()
    worker.file.write_bytes(newer)
    assert worker.check().startswith("ok     journal: ")


def test_a_journal_that_was_lost_is_begun_with_who_was_erased(worker: Machine) -> None:
    worker.types(f"customer erase {ANNA} --at-once --yes")
    send()
    worker.types("tick")
    (line,) = re.findall(r'\{"customers".*', worker.file.read_text())
    worker.file.unlink()
    assert worker.check().startswith("fault  journal: FILE lacks ")
    worker.types("tick")
    assert line in worker.file.read_text()
    assert worker.check().startswith("ok     journal: ")


def test_the_journal_of_another_shop_is_named(worker: Machine) -> None:
    text = worker.file.read_text()
    worker.file.write_text(text.replace('{"journal": "', '{"journal": "x'))
    assert worker.check().startswith("fault  journal: FILE is another shop's: ")


def test_a_shop_that_has_just_been_made_has_none_yet(
    app: Flask, tmp_path: Path, database_url: str
) -> None:
    found = Machine(tmp_path, database_url).check()
    assert found == "ok     journal: not begun: the first pass of a worker begins it"
