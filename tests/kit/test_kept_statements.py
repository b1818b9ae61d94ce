"""Statements that are said to libpq itself say the same as psycopg's, and fail in the same words."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from flask import Flask

from store.kit.database import db
from store.kit.kept_statements import KeptStatements
from tests.conftest import on_postgresql

pytestmark = on_postgresql

OFTEN = 5
ADDED = "INSERT INTO noted (at, words) VALUES (:at, CAST(:words AS varchar)) RETURNING id"
AT = datetime(2027, 3, 1, 10, 0, 0, 123456, tzinfo=UTC)


@contextmanager
def _connected() -> Iterator[tuple[Any, KeptStatements]]:
    pooled = db.engine.raw_connection()
    driver: Any = pooled.driver_connection
    driver.autocommit = True

    try:
        yield driver, KeptStatements(driver)
    finally:
        if driver.closed:
            pooled.invalidate()
        pooled.close()


@pytest.fixture
def noted(app: Flask) -> None:
    with _connected() as (driver, _):
        driver.execute("CREATE TABLE noted (id serial, at timestamptz, words varchar NOT NULL)")


def _names(driver: Any) -> list[str]:
    return [row[0] for row in driver.execute("SELECT name FROM pg_prepared_statements")]


def test_what_is_written_often_is_the_same_each_time(noted: None) -> None:
    words = "It’s 5 %s: $1, \\ and «all»\n"
    with _connected() as (driver, kept):
        numbers = [kept.number(ADDED, {"at": AT, "words": words}) for _ in range(OFTEN)]
        assert "kept_0" in _names(driver)
        rows = driver.execute("SELECT id, at, words FROM noted ORDER BY id").fetchall()
    assert numbers == [1, 2, 3, 4, 5]
    assert rows == [(number, AT, words) for number in numbers]


def test_no_row_is_no_number_and_none_is_null(noted: None) -> None:
    nowhere = "UPDATE noted SET at = :at WHERE words = :words RETURNING id"
    with _connected() as (driver, kept):
        found = [kept.number(nowhere, {"at": None, "words": "x"}) for _ in range(OFTEN)]
        number = [kept.number(ADDED, {"at": None, "words": "x"}) for _ in range(OFTEN)][-1]
        (at,) = driver.execute("SELECT at FROM noted WHERE id = %s", [number]).fetchone()
    assert found == [None] * OFTEN
    assert at is None


@pytest.mark.parametrize(
    ("words", "fault"),
    [(None, psycopg.errors.NotNullViolation), ("a\0b", psycopg.DataError)],
    ids=["refused by the server", "with a NUL"],
)
def test_a_fault_is_psycopgs_and_the_next_is_written(
    noted: None, words: str | None, fault: type[Exception]
) -> None:
    with _connected() as (driver, kept):
        for _ in range(OFTEN):
            kept.number(ADDED, {"at": AT, "words": "good"})
        with pytest.raises(fault):
            kept.number(ADDED, {"at": AT, "words": words})
        assert kept.number(ADDED, {"at": AT, "words": "good"})
        found = driver.execute("SELECT DISTINCT words FROM noted").fetchall()
    assert found == [("good",)]


def test_a_thread_that_writes_once_has_nothing_planned(noted: None) -> None:
    with _connected() as (driver, kept):
        kept.number(ADDED, {"at": AT, "words": "once"})
        assert _names(driver) == []


def test_what_is_let_go_leaves_the_connection_to_the_next(noted: None) -> None:
    for _ in range(2):
        with _connected() as (driver, kept):
            for _ in range(OFTEN):
                kept.number(ADDED, {"at": AT, "words": "good"})
            kept.let_go()
            assert "kept_0" not in _names(driver)
    with _connected() as (driver, _):
        assert driver.execute("SELECT count(*) FROM noted").fetchone() == (2 * OFTEN,)


def test_a_lost_connection_is_told_and_nothing_is_left_to_let_go(noted: None) -> None:
    with _connected() as (driver, kept):
        for _ in range(OFTEN):
            kept.number(ADDED, {"at": AT, "words": "good"})
        with _connected() as (other, _):
            mine = driver.info.backend_pid
            assert other.execute("SELECT pg_terminate_backend(%s, 5000)", [mine]).fetchone()[0]
        with pytest.raises(psycopg.OperationalError):
            kept.number(ADDED, {"at": AT, "words": "lost"})
        kept.let_go()
    with _connected() as (driver, _):
        assert driver.execute("SELECT count(*) FROM noted").fetchone() == (OFTEN,)
