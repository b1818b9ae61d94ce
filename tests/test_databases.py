"""A database that one test had is as good as new for the next, or it is not used again."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.databases import Databases, drop_database

CHANGES = [
    "ALTER TABLE deliveries ALTER COLUMN kind DROP NOT NULL",
    "ALTER TABLE deliveries ALTER COLUMN kind TYPE text",
    "ALTER TABLE deliveries RENAME COLUMN kind TO sort",
    "ALTER TABLE deliveries ALTER COLUMN kind SET DEFAULT 'x'",
    "ALTER TABLE deliveries DISABLE TRIGGER ALL",
    (
        "ALTER TABLE deliveries DROP CONSTRAINT ck_deliveries_notice_has_occasion,"
        " ADD CONSTRAINT ck_deliveries_notice_has_occasion CHECK (kind <> '')"
    ),
    "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TABLE more (id int)",
    "UPDATE alembic_version SET version_num = '0001'",
]


@pytest.fixture
def own(databases: Databases) -> Iterator[Databases]:
    """Databases that no other test has."""
    own = Databases(databases._server, databases._template)
    yield own
    for url in own._free:
        drop_database(own._server, url)


def _oid(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT oid FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    assert found is not None
    return int(found[0])


@pytest.mark.parametrize("change", CHANGES)
def test_a_database_whose_shape_a_test_changed_is_not_used_again(
    own: Databases, change: str
) -> None:
    with own.one() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(change)  # type: ignore[arg-type]
    assert own._free == []


def test_what_a_test_left_running_cannot_write_into_the_next(own: Databases) -> None:
    with own.one() as first:
        was = _oid(first)
        left = psycopg.connect(first, autocommit=True)
        left.execute("UPDATE pace SET id = id")
    with own.one() as second:
        assert _oid(second) == was
        with pytest.raises(psycopg.OperationalError):
            left.execute("UPDATE pace SET id = id")
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(first)
    left.close()
