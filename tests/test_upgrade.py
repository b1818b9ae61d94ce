"""An upgrade: a program whose tables are of another version says so and does nothing; orders that come
while the shop is stopped, or while its tables are renewed under it, are there once or were refused."""

import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from click.testing import CliRunner, Result
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import downgrade, upgrade

from store.app import place
from store.catalog.sellers import state_seller
from store.cli import main
from store.kit import revision
from store.kit.database import db, transaction
from store.kit.revision import NONE
from store.mail.models import Delivery
from store.orders.discounts import add_discount
from store.orders.models import Order
from tests.conftest import SECRET, on_both, on_both_when_long
from tests.databases import drop_database, new_database
from tests.editions import a_shop
from tests.payments.bank import BANK
from tests.serving import answers, environment, free_port, serving, store, until
from tests.trials.shoppers import GIFT, ServerGone, Shopper
from tests.typed import shops_are_closed

RENEWED = """
import time

import sqlalchemy as sa
from alembic import op

revision = "of_tomorrow"
down_revision = "{head}"


def upgrade():
    op.add_column("orders", sa.Column("of_tomorrow", sa.String(10)))
    time.sleep(2)
"""


def _other(app: Flask, to: str) -> None:
    with transaction() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = :to"), {"to": to})
    db.session.remove()


def _run(*words: str, folder: Path, url: str = "") -> Result:
    given = {"STORE_ENV": "testing", "STORE_SECRET_KEY": SECRET, "STORE_DATA_DIR": str(folder)}
    given |= {"STORE_DATABASE_URL": url, "STORE_BIND": f"127.0.0.1:{free_port()}"}
    with shops_are_closed():
        return CliRunner().invoke(main, words, env=given)


@pytest.mark.parametrize("word", ["web", "worker", "tick"])
@on_both_when_long
def test_nothing_starts_on_tables_of_another_version(
    app: Flask, tmp_path: Path, database_url: str, word: str
) -> None:
    url = "" if database_url.startswith("sqlite") else database_url
    _other(app, "0001")
    early = _run(word, folder=tmp_path, url=url)
    _other(app, "of_tomorrow")
    late = _run(word, folder=tmp_path, url=url)
    for done, words in (
        (early, "The tables are of an earlier version (0001, not "),
        (late, "The tables are of a later version of the shop (of_tomorrow, and this one knows "),
    ):
        assert (done.exit_code, done.stderr[: len(words)]) == (1, words)
    assert "run `store db upgrade`" in early.stderr
    assert "install that one, or restore the backup" in late.stderr


def test_the_newest_migration_is_the_one_that_the_library_finds() -> None:
    directory = str(place("migrations"))
    assert revision.newest(directory) == ScriptDirectory(directory).get_current_head()


def test_a_database_that_cannot_keep_all_letters_is_refused_before_it_has_tables(
    postgres: str, tmp_path: Path
) -> None:
    url = new_database(postgres, clause="ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    for words in (["db", "upgrade"], ["web"], ["worker"], ["tick"], ["check"]):
        done = _run(*words, folder=tmp_path, url=url)
        assert done.exit_code == 1
        assert "The database is in SQL_ASCII, which cannot keep the letters of all" in done.output
        assert isinstance(done.exception, SystemExit)
    drop_database(postgres, url)


@pytest.mark.parametrize("word", ["web", "worker", "tick", "check"])
def test_a_database_that_is_away_is_said_in_words(tmp_path: Path, word: str) -> None:
    url = f"postgresql://shop:hunter2@127.0.0.1:{free_port()}/shop"
    done = _run(word, folder=tmp_path, url=url)
    assert done.exit_code == 1
    assert "The database does not let us in: connection failed: " in done.output
    assert isinstance(done.exception, SystemExit)
    assert "hunter2" not in done.output


def test_a_damaged_queue_is_taken_for_no_other_file(app: Flask, tmp_path: Path) -> None:
    bell = tmp_path / "bell.db"
    for file in tmp_path.glob("bell.db*"):
        file.unlink()
    bell.write_bytes(b"no database, and long enough to be looked at" * 100)
    for word in ("web", "worker", "tick", "check"):
        done = _run(word, folder=tmp_path)
        assert done.exit_code == 1
        assert (
            f"{bell} is damaged (file is not a database). It only wakes workers early"
            in done.output
        )
        assert isinstance(done.exception, SystemExit)
    bell.unlink()
    assert _run("tick", folder=tmp_path).exit_code == 0


def test_nothing_starts_without_tables_and_a_file_is_not_made(tmp_path: Path) -> None:
    for word in ("web", "worker"):
        done = _run(word, folder=tmp_path)
        assert (done.exit_code, done.stderr) == (1, f"{NONE}\n")
    assert not (tmp_path / "colophon.db").exists()


@on_both_when_long
def test_a_process_that_saw_other_tables_answers_nothing_but_how_it_is(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revision, "LOOK_SECONDS", 0.01)
    a_shop()
    seen = threading.Event()
    assert client.get("/readyz").get_json()["tables"] is True
    _other(app, "of_tomorrow")
    revision.watch(app, seen.set)
    assert seen.wait(10)
    page = client.get("/publications/send-early-years")
    assert (page.status_code, page.headers["Retry-After"]) == (503, "60")
    assert "The shop is being renewed" in page.text
    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert (ready.status_code, ready.get_json()["tables"]) == (503, False)


@dataclass
class Crowd:
    """Buyers who each press until the shop has said that it has their order."""

    port: int
    is_on: bool = True
    is_over: bool = False
    told: list[str] = field(default_factory=list)
    begun: int = 0
    threads: list[threading.Thread] = field(default_factory=list)

    def work(self, first: int) -> None:
        """One buyer after the other; who has begun is served before this ends."""
        number = first
        while self.is_on:
            self.begun += 1
            way = ("transfer", "free")[number % 2]
            shopper = Shopper(way, number, self.port, "/publications/send-early-years")
            while not self._has_ordered(shopper):
                if self.is_over:
                    return
                time.sleep(0.1)
            self.told.append(shopper.address)
            number += 1

    def _has_ordered(self, shopper: Shopper) -> bool:
        # No answer, or one that says that nothing was done.
        with suppress(ServerGone, AssertionError, OSError):
            shopper.order()
            return True
        return False


@contextmanager
def _crowd(port: int) -> Iterator[Crowd]:
    crowd = Crowd(port)
    crowd.threads = [
        threading.Thread(target=crowd.work, args=[1 + 10_000 * one], daemon=True)
        for one in (0, 1, 2)
    ]
    for thread in crowd.threads:
        thread.start()
    try:
        yield crowd
    finally:
        crowd.is_on, crowd.is_over = False, True


def _a_shop() -> None:
    a_shop()
    with transaction():
        state_seller(bank_details=BANK)
        add_discount("A gift", code=GIFT, percent=100)
    db.session.remove()


def _ended(shop: Any) -> tuple[int, str]:
    said = shop.communicate(timeout=90)[0]
    return shop.returncode, said


def _is_there_once(crowd: Crowd) -> None:
    """Each order that the shop said it has, with its one letter."""
    db.session.rollback()
    found = list(db.session.scalars(sa.select(Order.email)))
    assert sorted(found) == sorted(set(found))
    assert set(crowd.told) <= set(found)
    orders = db.session.scalars(sa.select(Order).where(Order.email.in_(crowd.told))).all()
    letters = list(db.session.scalars(sa.select(Delivery.order_id)))
    assert [letters.count(order.id) for order in orders] == [1] * len(crowd.told)
    db.session.rollback()


@pytest.mark.long
@pytest.mark.timeout(300)
@on_both
def test_an_upgrade_by_the_guide_loses_no_order_that_comes_meanwhile(
    app: Flask, tmp_path: Path, database_url: str
) -> None:
    _a_shop()
    port = free_port()
    given = {"STORE_DATABASE_URL": database_url, "STORE_TRUSTED_PROXIES": "1"}
    env = environment(tmp_path, port, **given)
    with _crowd(port) as crowd:
        with serving(tmp_path, port, **given) as shop:
            until(lambda: len(crowd.told) >= 10, "ten orders")
            shop.terminate()
            assert _ended(shop)[0] == 0
        downgrade(revision="-1")  # the tables of the version before
        db.session.remove()
        db.engine.dispose()
        code, said = _ended(store("serve", "--port", str(port), env=env))
        assert code == 1
        assert "run `store db upgrade`" in said
        assert _ended(store("db", "upgrade", env=env)) == (0, "The database is up to date.\n")
        code, said = _ended(store("check", env=env))
        assert code == 0, said
        before = len(crowd.told)
        with serving(tmp_path, port, **given):
            until(lambda: len(crowd.told) >= before + 10, "ten more orders")
            crowd.is_on = False
            for thread in crowd.threads:
                thread.join(60)
            until(lambda: _letters_left() == 0, "every letter has left")
    assert len(crowd.told) == crowd.begun
    _is_there_once(crowd)


def _letters_left() -> int:
    db.session.rollback()
    query = sa.select(sa.func.count()).select_from(Delivery).where(Delivery.status == "queued")
    count = db.session.scalar(query) or 0
    db.session.rollback()
    return count


def _renew(app: Flask, folder: Path) -> Callable[[], None]:
    """What the next version's `store db upgrade` does: a table that is in use gets a column."""
    copy = folder / "migrations-of_tomorrow"
    shutil.copytree(place("migrations"), copy, ignore=shutil.ignore_patterns("__pycache__"))
    head = revision.newest(str(copy))
    (copy / "versions" / "9999_of_tomorrow.py").write_text(RENEWED.format(head=head))

    def run() -> None:
        with app.app_context():
            upgrade(directory=str(copy))
            db.session.remove()

    return run


@pytest.mark.long
@pytest.mark.timeout(300)
@on_both
def test_processes_that_were_not_stopped_refuse_once_their_tables_are_renewed(
    app: Flask, tmp_path: Path, database_url: str
) -> None:
    _a_shop()
    port = free_port()
    env = environment(tmp_path, port, STORE_DATABASE_URL=database_url, STORE_TRUSTED_PROXIES="1")
    web, worker = store("web", "--port", str(port), env=env), store("worker", env=env)
    try:
        until(lambda: answers(port) == 200, "the shop answers")
        with _crowd(port) as crowd:
            until(lambda: len(crowd.told) >= 10, "ten orders")
            _renew(app, tmp_path)()
            page = until(lambda: _page(port), "pages are refused", 30)
            assert "The shop is being renewed" in page
            assert answers(port, "/readyz") == 503
            code, said = _ended(worker)
            assert code == 1
            assert "this process does nothing any more: The tables are of a later version" in said
            told = list(crowd.told)
    finally:
        for process in (web, worker):
            process.kill()
            process.communicate()
    found = _emails()
    assert set(told) <= set(found)
    assert sorted(found) == sorted(set(found))


def _emails() -> list[str]:
    with db.engine.connect() as connection:
        return list(connection.execute(sa.text("SELECT email FROM orders")).scalars())


def _page(port: int) -> str:
    """The words of a page that is refused for now; "" while it opens."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60).close()
    except urllib.error.HTTPError as error:
        return error.read().decode() if error.code == 503 else ""
    return ""
