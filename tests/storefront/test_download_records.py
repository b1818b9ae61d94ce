"""The row of a download: durable before its bytes, and one commit for all that wait for one."""

import http.client
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from store.catalog.models import Asset
from store.entitlements.doors import download_path
from store.kit import space
from store.kit.database import db, transaction
from store.kit.shared_commit import SharedCommit, shared_commit
from tests.conftest import SECRET
from tests.editions import a_shop
from tests.factories import an_asset, an_edition
from tests.full_disk import full_disk
from tests.kit.test_engine import held_lock
from tests.links import link_to
from tests.purchases import a_paid_order
from tests.serving import answers, environment, free_port, store, until

READERS = 8
DATA = bytes(range(256)) * 4


@pytest.fixture(autouse=True)
def nothing_unrecorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test before counts."""
    monkeypatch.setattr(space, "_unrecorded", [0])


@pytest.fixture
def paths(app: Flask) -> list[str]:
    """Files that may be fetched now, each of its own link: the row of each is new."""
    bought = a_shop(editions=0)
    with transaction():
        edition = an_edition(bought, 1, status="released")
        an_asset(edition, "pdf", DATA)
    customers = [
        a_paid_order(bought, f"reader{number}@reader.example").customer_id
        for number in range(READERS)
    ]
    (asset,) = db.session.scalars(sa.select(Asset)).all()
    found = [download_path(link_to("library", customer_id), asset) for customer_id in customers]
    db.session.remove()
    return found


def _recorded(folder: Path) -> int:
    """As another process sees it."""
    with closing(sqlite3.connect(folder / "colophon.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM downloads").fetchone()[0])


def _alone(shared: SharedCommit, ours: Any) -> None:
    shared._waiting.remove(ours)
    shared._write_alone(ours)


@pytest.mark.parametrize(("write_all", "most"), [(None, 1), (_alone, READERS)])
def test_readers_who_wait_for_one_commit_share_it(
    app: Flask,
    paths: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write_all: Callable[[SharedCommit, Any], None] | None,
    most: int,
) -> None:
    """Without the sharing each waits for a commit of its own."""
    if write_all is not None:
        monkeypatch.setattr(SharedCommit, "_write_all", write_all)
    commits: list[int] = []
    real = SharedCommit._commit

    def counted(shared: SharedCommit, driver: Any) -> None:
        commits.append(1)
        real(shared, driver)

    monkeypatch.setattr(SharedCommit, "_commit", counted)
    with ThreadPoolExecutor(READERS) as pool:
        with held_lock(tmp_path):
            fetched = [pool.submit(app.test_client().get, path) for path in paths]
            with app.app_context():
                shared = shared_commit()
            if write_all is None:
                until(lambda: shared.waiting() == READERS, "all wait")
        for one in fetched:
            assert one.result(60).data == DATA
    assert len(commits) == most
    assert _recorded(tmp_path) == READERS


def test_on_a_full_disk_every_reader_who_waits_gets_the_file_and_is_counted(
    app: Flask, client: FlaskClient, paths: list[str], tmp_path: Path
) -> None:
    with full_disk(app):
        with ThreadPoolExecutor(READERS) as pool:
            fetched = [pool.submit(app.test_client().get, path) for path in paths]
            assert [one.result(60).data for one in fetched] == [DATA] * READERS
        assert _recorded(tmp_path) == 0
        assert client.get("/readyz").get_json()["unrecorded_downloads"] == READERS


@pytest.mark.long
def test_what_was_answered_is_on_record_after_a_kill(paths: list[str], tmp_path: Path) -> None:
    port = free_port()
    web = store(
        "web", "--port", str(port), env=environment(tmp_path, port, STORE_SECRET_KEY=SECRET)
    )
    try:
        until(lambda: answers(port) == 200, "the shop answers")
        connection = http.client.HTTPConnection("127.0.0.1", port)
        with closing(connection):
            connection.request("GET", paths[0])
            with connection.getresponse() as answer:
                web.kill()
                assert answer.status == 200
    finally:
        web.kill()
        web.communicate()
    assert _recorded(tmp_path) == 1
