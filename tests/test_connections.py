"""How many connections to PostgreSQL a machine's processes hold at most: as many as the guide's table counts,
when every thread of them waits for the database at once."""

import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from flask import Flask

from store.kit.database import db
from store.mail.heartbeats import workers
from store.mail.models import Delivery
from tests.conftest import SECRET, on_postgresql
from tests.editions import a_shop
from tests.mail.scripted_server import ScriptedServer, Talk
from tests.mail.shops import owe_to, readers
from tests.races import at_work
from tests.serving import answers, environment, free_port, store, until
from tests.tables import Note

pytestmark = [pytest.mark.long, on_postgresql]

GUIDE = (Path(__file__).parent.parent / "docs" / "operators-guide.md").read_text(encoding="utf-8")
GIVEN = {"STORE_WEB_WORKERS": 2, "STORE_WEB_THREADS": 4, "STORE_MAIL_CONNECTIONS": 2}
COUNT = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'client backend'"
)
# What every page, letter, sign of life and pass of the timetable asks.
TABLES = "publications, sellers, deliveries, heartbeats, measures, troubles, rate_counts"


def _in_the_table(process: str) -> int:
    """What the guide counts for a process, with these settings."""
    (row,) = re.findall(rf"^\| {process} \| (.+?) \|", GUIDE, re.MULTILINE)
    for name, value in GIVEN.items():
        row = row.replace(f"`{name}`", str(value))
    assert re.fullmatch(r"[\d +×()]+", row), row
    return int(eval(row.replace("×", "*")))


def _asked(port: int) -> AbstractContextManager[None]:
    """By more readers at once than there are threads."""
    return at_work(*[lambda: answers(port, "/publications/send-early-years")] * 24)


def _most(url: str, seconds: float) -> int:
    """The most connections that are open at once, while whoever asks must wait."""
    most, ends = 0, time.monotonic() + seconds
    with psycopg.connect(url) as holding, psycopg.connect(url, autocommit=True) as looking:
        holding.execute(f"LOCK TABLE {TABLES} IN ACCESS EXCLUSIVE MODE")  # type: ignore[arg-type]
        while time.monotonic() < ends:
            found = looking.execute(COUNT).fetchone()
            assert found is not None
            most = max(most, found[0] - 2)
            time.sleep(0.05)
    return most


def _sent() -> int:
    found = db.session.scalar(sa.select(sa.func.count(Delivery.id)).filter_by(status="sent"))
    db.session.rollback()
    return found or 0


def _at_work() -> int:
    found = workers().at_work
    db.session.rollback()
    return found


def _slow(_talk: Talk, verb: str, _line: str) -> None:
    if verb == ".":
        time.sleep(0.2)


@pytest.fixture
def env(app: Flask, database_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The settings of a shop whose letters take long."""
    a_shop()
    port = free_port()
    with ScriptedServer(_slow) as mail:
        given = {
            "STORE_ENV": "testing",
            "STORE_SECRET_KEY": SECRET,
            "STORE_BIND": f"127.0.0.1:{port}",
        }
        given |= {"STORE_DATABASE_URL": database_url, "STORE_MAIL_SERVER": "127.0.0.1"}
        given |= {
            "STORE_MAIL_PORT": str(mail.port),
            **{name: str(one) for name, one in GIVEN.items()},
        }
        yield environment(tmp_path, port, **given)


@pytest.mark.parametrize("process", ["web", "worker"])
def test_no_process_holds_more_connections_than_the_guide_counts(
    app: Flask, database_url: str, env: dict[str, str], process: str, note: Note
) -> None:
    port = int(env["STORE_BIND"].rpartition(":")[2])
    started = store(process, env=env)
    try:
        if process == "web":
            until(lambda: answers(port) == 200, "the shop answers")
        else:
            until(lambda: _at_work() == 1, "a worker is at work")
        with _asked(port) if process == "web" else nullcontext():
            owe_to(*readers(100))
            until(lambda: process == "web" or _sent() > 0, "letters leave")
            db.session.remove()
            db.engine.dispose()
            most = _most(database_url, 6)
    finally:
        started.terminate()
        started.communicate(timeout=60)
    allowed = _in_the_table(process)
    note(
        "Connections to PostgreSQL", {"process": process, "counted": allowed, "held at most": most}
    )
    assert most <= allowed
    assert most >= allowed // 2  # they were all at work
