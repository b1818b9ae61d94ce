"""Writing, reading and moments on both databases."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from store.catalog.models import Seller
from store.kit.database import (
    DriverQuery,
    NestedTransaction,
    UtcDateTime,
    after_commit,
    db,
    end_read,
    end_repeated_read,
    formatted,
    is_listed,
    one_look,
    transaction,
)
from tests.conftest import on_both

pytestmark = on_both


def _seller(at: datetime) -> Seller:
    return Seller(trading_name="Press", email="hello@press.example", stated_at=at)


def test_a_moment_comes_back_as_it_went_in(app: Flask) -> None:
    at = datetime(2027, 4, 1, 8, 0, tzinfo=UTC)
    with transaction() as session:
        session.add(_seller(at))

    assert db.session.scalars(sa.select(Seller.stated_at)).one() == at


def test_a_moment_without_a_zone_is_a_mistake(app: Flask) -> None:
    with pytest.raises(sa.exc.StatementError), transaction() as session:
        session.add(_seller(datetime(2027, 4, 1)))  # noqa: DTZ001 - the mistake is meant


def test_what_raises_leaves_nothing_behind_and_rings_no_bell(app: Flask) -> None:
    rung: list[str] = []
    with pytest.raises(RuntimeError), transaction() as session:
        session.add(_seller(datetime.now(UTC)))
        after_commit(lambda: rung.append("bell"))
        raise RuntimeError("half way")

    assert db.session.scalars(sa.select(sa.func.count(Seller.id))).one() == 0
    assert rung == []


def test_a_transaction_inside_a_transaction_is_refused(app: Flask) -> None:
    with pytest.raises(NestedTransaction), transaction(), transaction():
        pass


def test_the_bell_is_rung_after_the_commit(app: Flask) -> None:
    seen: list[int] = []
    with transaction() as session:
        session.add(_seller(datetime.now(UTC)))
        after_commit(lambda: seen.append(session.query(Seller).count()))
        assert seen == []

    assert seen == [1]


@pytest.mark.parametrize("pattern", ["key:{}:{}", "{}:{}:", "{}-{}", "{:010}:{}", "{:07}:{:03}"])
def test_the_database_writes_a_key_as_python_does(app: Flask, pattern: str) -> None:
    number = sa.literal(1234567, sa.Integer)

    assert db.session.scalar(sa.select(formatted(pattern, number, 7))) == pattern.format(1234567, 7)


# A value of its own, one that is given twice, one of a type, and a separator that SQLAlchemy writes out.
_ASKED = DriverQuery(
    sa.select(
        sa.func.aggregate_strings(Seller.trading_name, ", "), sa.bindparam("mark", type_=sa.String)
    ).where(
        Seller.stated_at <= sa.bindparam("now", type_=UtcDateTime()),
        sa.bindparam("mark", type_=sa.String) != "none",
    )
)


def test_a_query_of_the_driver_says_what_sqlalchemy_would(app: Flask) -> None:
    at = datetime(2027, 4, 1, 8, 0, tzinfo=UTC)
    with transaction() as session:
        session.add(_seller(at))
    given = {"now": at, "mark": "x'); --"}
    by_sqlalchemy = [tuple(row) for row in db.session.execute(_ASKED.statement, given)]
    db.session.remove()
    assert _ASKED.rows(**given) == by_sqlalchemy == [("Press", "x'); --")]
    assert _ASKED.rows(now=at - timedelta(seconds=1), mark="x") == [(None, "x")]


def test_a_fault_of_the_driver_is_told_in_the_words_that_pages_know(app: Flask) -> None:
    gone = DriverQuery(sa.select(sa.column("x")).select_from(sa.table("gone")))
    with pytest.raises(sa.exc.DBAPIError):
        gone.rows()


def test_a_connection_that_died_in_the_pool_costs_no_page(app: Flask, database_url: str) -> None:
    if not database_url.startswith("postgresql"):
        return  # SQLite has no server that could end it
    query = DriverQuery(sa.select(sa.func.pg_backend_pid()))
    before = query.rows()
    with sa.create_engine(database_url, poolclass=sa.NullPool).connect() as other:
        ended = other.scalars(
            sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": before[0][0]}
        )
        assert ended.one()
    assert query.rows() != before


@pytest.mark.parametrize("ended_so", [True, False], ids=["repeated", "control"])
def test_the_server_keeps_the_plans_of_a_read_that_is_repeated(app: Flask, ended_so: bool) -> None:
    if db.engine.dialect.name == "sqlite":
        end_repeated_read()
        return
    end = end_repeated_read if ended_so else end_read
    for _ in range(7):  # psycopg has a statement planned for good at the sixth time
        db.session.execute(sa.select(Seller.id))
        end()
    with one_look() as connection:
        kept = connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar()
    assert kept == (1 if ended_so else 0)


def test_the_end_of_a_repeated_read_is_the_end_of_no_transaction(app: Flask) -> None:
    with pytest.raises(RuntimeError), transaction() as session:
        session.add(_seller(datetime.now(UTC)))
        session.flush()
        end_repeated_read()
        raise RuntimeError("half way")

    assert db.session.scalars(sa.select(sa.func.count(Seller.id))).one() == 0


@pytest.mark.parametrize("end", [end_read, end_repeated_read])
@pytest.mark.parametrize("is_noticed", [False, True])
def test_a_read_over_a_lost_connection_ends_in_silence_and_the_next_is_answered(
    app: Flask, end: Callable[[], None], is_noticed: bool
) -> None:
    """Or a worker that loses one never again has that place of its own to send from."""
    db.session.execute(sa.select(Seller.id))
    if db.engine.dialect.name == "postgresql":
        mine = db.session.execute(sa.text("SELECT pg_backend_pid()")).scalar()
        with one_look() as other:
            assert other.exec_driver_sql(f"SELECT pg_terminate_backend({mine}, 5000)").scalar()
        if is_noticed:
            with pytest.raises(sa.exc.DBAPIError):
                db.session.execute(sa.select(Seller.id))
    end()
    assert db.session.execute(sa.select(Seller.id)).all() == []


def test_what_is_listed_is_found_however_many_are_asked_for(app: Flask) -> None:
    with transaction() as session:
        sellers = [_seller(datetime.now(UTC)) for _ in range(5)]
        session.add_all(sellers)
        session.flush()
        ids = [seller.id for seller in sellers]
    query = sa.select(Seller.id).where(is_listed(Seller.id, "ids")).order_by(Seller.id)
    for asked in ([], ids[1:2], ids[1:4]):
        assert list(db.session.scalars(query, {"ids": asked})) == asked
