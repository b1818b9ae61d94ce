"""Migrations: up, down and up again with rows in every table, on both databases."""

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade

from store.app import create_app, place
from store.kit.database import UtcDateTime, db
from store.kit.text import search_key
from store.orders.orders import search_customers
from store.payments.gateways.demo import DemoRow
from tests.conftest import make_settings
from tests.databases import drop_database, new_database

AT = datetime(2027, 3, 1, 10, 0, tzinfo=UTC)
VERSIONS = place("migrations") / "versions"
SCRIPTS = sorted(VERSIONS.glob("*.py"))

A_BATCH_CHANGE = '''"""A batch change of a table that others point to"""

import sqlalchemy as sa
from alembic import op

revision = "later"
down_revision = "{head}"


def upgrade() -> None:
    with op.batch_alter_table("orders", recreate="always") as batch:
        batch.add_column(sa.Column("shade", sa.String(10), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("orders", recreate="always") as batch:
        batch.drop_column("shade")
'''


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """A shop whose database holds nothing at all."""
    url, server = f"sqlite:///{tmp_path / 'empty.db'}", ""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        url = new_database(server)
    app = create_app(make_settings(tmp_path, database_url=url))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()
    if server:
        drop_database(server, url)


def _tables() -> list[sa.Table]:
    return list(db.metadatas[None].sorted_tables)


def _value(column: sa.Column[Any]) -> Any:
    if column.foreign_keys or (column.primary_key and isinstance(column.type, sa.Integer)):
        return 1
    if isinstance(column.type, sa.Enum):
        return (
            next(iter(column.type.enum_class)) if column.type.enum_class else column.type.enums[0]
        )
    samples: dict[type, Any] = {int: 1, float: 1.0, bool: True, str: "x", bytes: b"x"}
    samples |= {datetime: AT, date: AT.date()}
    if isinstance(column.type, UtcDateTime):
        return AT
    if isinstance(column.type, sa.JSON):
        return {}
    if isinstance(column.type, sa.types.TypeDecorator):  # a library's own list, text underneath
        return ["x"]
    return samples[column.type.python_type]


def fill() -> None:
    """One row in every table, each pointing to the one row of the others."""
    with db.engine.begin() as connection:
        for table in _tables():
            if table.name == "batch_counts":  # the row that counts the letter comes by a trigger
                continue
            values = {column.key: _value(column) for column in table.columns}
            connection.execute(table.insert().values(values))


def _names() -> set[str]:
    # The bell's queue makes its tables by itself, the demonstration where it may run.
    names = sa.inspect(db.engine).get_table_names()
    return {name for name in names if _is_ours(None, name)}


def _is_ours(_object: object, name: str | None, *_rest: object) -> bool:
    return not (name or "").startswith(("huey_", "demo_", "search_", "ix_search_"))


def _counts() -> dict[str, int]:
    with db.engine.connect() as connection:
        return {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in _tables()
        }


def _schema(engine: sa.Engine) -> dict[str, Any]:
    """Everything that holds in the database, table by table, in an order of its own."""
    inspector = sa.inspect(engine)
    return {
        name: {
            "columns": sorted(
                (column["name"], str(column["type"]), column["nullable"])
                for column in inspector.get_columns(name)
            ),
            "key": sorted(inspector.get_pk_constraint(name)["constrained_columns"]),
            "unique": _named(inspector.get_unique_constraints(name), "column_names"),
            "checks": _named(inspector.get_check_constraints(name), "sqltext"),
            "foreign": _named(
                inspector.get_foreign_keys(name), "constrained_columns", "referred_table", "options"
            ),
            "indexes": _named(
                inspector.get_indexes(name), "column_names", "unique", "dialect_options"
            ),
        }
        for name in sorted(_names() - {"alembic_version"})
    }


def _named(things: Any, *facts: str) -> list[tuple[str, ...]]:
    rows = [
        (str(one["name"]), *(_in_words(one.get(fact)) for fact in facts))
        for one in things
        if _is_ours(None, one["name"])
    ]
    return sorted(rows)


def _in_words(fact: Any) -> str:
    return str({key: str(value) for key, value in fact.items()} if isinstance(fact, dict) else fact)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem[:4])
def test_each_migration_leads_back_too(script: Path) -> None:
    text = script.read_text()
    _, _, back = text.partition("def downgrade() -> None:\n")
    assert back.strip() not in {"", "pass"}


def test_there_is_one_line_of_migrations() -> None:
    assert len(ScriptDirectory(str(place("migrations"))).get_heads()) == 1


def test_up_with_rows_down_and_up_again(empty_shop: Flask) -> None:
    upgrade()
    fill()
    upgrade()
    filled = _counts()
    downgrade(revision="base")
    left = _names()
    upgrade()
    assert filled == {table.name: 1 for table in _tables()}
    assert left == {"alembic_version"}
    assert _counts() == dict.fromkeys(filled, 0)


def _demo_tables() -> set[str]:
    names = sa.inspect(db.engine).get_table_names()
    return {name for name in names if name.startswith("demo_")}


def test_the_demonstration_has_its_tables_where_it_may_run(empty_shop: Flask) -> None:
    upgrade()
    assert _demo_tables() == set(DemoRow.metadata.tables)
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, DemoRow.metadata)
    assert [one for one in found if one[0] not in {"remove_table", "remove_index"}] == []


def test_production_has_no_tables_of_the_demonstration(tmp_path: Path) -> None:
    given = {
        "env": "production",
        "base_url": "https://shop.example.org",
        "mail_server": "mail.example.org",
        "mail_default_sender": "shop@example.org",
    }
    app = create_app(make_settings(tmp_path, **given))
    with app.app_context():
        upgrade()
        assert _demo_tables() == set()
        downgrade(revision="base")
        upgrade()
        assert _demo_tables() == set()
        db.session.remove()
        db.engine.dispose()


def test_rows_of_a_demonstration_that_has_run_are_kept(empty_shop: Flask) -> None:
    upgrade(revision="0010")
    events = DemoRow.metadata.tables["demo_events"]
    with db.engine.begin() as connection:
        values = {column.key: _value(column) for column in events.columns}
        connection.execute(events.insert().values(values))
    upgrade()
    downgrade(revision="0010")
    upgrade()
    with db.engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(events)) == 1


def test_the_models_are_what_the_migrations_make(empty_shop: Flask) -> None:
    upgrade()
    options = {"compare_type": True, "include_object": _is_ours}
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, db.metadatas[None]) == []


def test_checks_keys_and_indexes_too_are_what_the_migrations_make(empty_shop: Flask) -> None:
    db.create_all()
    by_models = _schema(db.engine)
    db.drop_all()
    upgrade()
    by_migrations = _schema(db.engine)
    assert by_migrations.keys() == by_models.keys()
    assert [by_migrations[name] for name in by_models] == list(by_models.values())


def test_what_triggers_keep_is_kept_after_the_last_migration(empty_shop: Flask) -> None:
    """On SQLite a migration that rebuilds a table loses those of it."""
    upgrade()
    acts = {"insert", "update", "delete"}
    wanted = {f"deliveries_counted_{act}" for act in acts}
    money = ("orders", "payments", "transfers", "refunds", "disputes")
    if db.engine.dialect.name == "sqlite":
        found = _found("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        wanted |= {f"{table}_of_a_day_{act}" for table in money for act in ("insert", "update")}
    else:
        found = _found("SELECT tgname FROM pg_trigger")
        wanted |= {f"{table}_of_a_day" for table in money}
    assert wanted <= {name for (name,) in found}


def test_nothing_is_deleted_along_with_something_else(empty_shop: Flask) -> None:
    upgrade()
    inspector = sa.inspect(db.engine)
    options = [
        foreign.get("options") or {}
        for name in inspector.get_table_names()
        for foreign in inspector.get_foreign_keys(name)
    ]
    assert len(options) > 20
    assert [one for one in options if one] == []


@pytest.fixture
def later_migrations(tmp_path: Path) -> Path:
    """Our migrations and one more, which changes `orders` in a batch."""
    folder = tmp_path / "later"
    shutil.copytree(place("migrations"), folder)
    head = ScriptDirectory(str(place("migrations"))).get_current_head()
    (folder / "versions" / "9999_later.py").write_text(A_BATCH_CHANGE.format(head=head))
    return folder


@pytest.mark.parametrize("empty_shop", ["sqlite"], indirect=True)
def test_a_batch_change_of_a_table_keeps_its_triggers_and_the_rows_that_point_there(
    empty_shop: Flask, later_migrations: Path
) -> None:
    upgrade()
    fill()
    triggers = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
    made = _found(triggers)
    upgrade(directory=str(later_migrations))
    up = _counts()
    assert _found(triggers) == made
    assert {"search_orders_added", "search_orders_changed", "search_orders_gone"} <= {
        name for name, _ in made
    }
    columns = {column["name"] for column in sa.inspect(db.engine).get_columns("orders")}
    downgrade(directory=str(later_migrations))
    assert "shade" in columns
    assert up == _counts() == {table.name: 1 for table in _tables()}
    with db.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


@pytest.mark.parametrize("empty_shop", ["sqlite"], indirect=True)
def test_with_foreign_keys_left_on_the_same_change_would_fail(
    empty_shop: Flask, later_migrations: Path
) -> None:
    env = later_migrations / "env.py"
    env.write_text(env.read_text().replace("foreign_keys = OFF", "foreign_keys = ON"))
    upgrade()
    fill()
    with pytest.raises(sa.exc.IntegrityError, match="FOREIGN KEY"):
        upgrade(directory=str(later_migrations))


@pytest.mark.parametrize("empty_shop", ["sqlite"], indirect=True)
def test_a_migration_that_leaves_rows_pointing_nowhere_is_taken_back(
    empty_shop: Flask, later_migrations: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = later_migrations / "versions" / "9999_later.py"
    text = script.read_text()
    damage = 'def upgrade() -> None:\n    op.execute("DELETE FROM customers")\n'
    script.write_text(text.replace("def upgrade() -> None:\n", damage))
    upgrade()
    fill()
    with pytest.raises(SystemExit):  # Flask-Migrate logs the error and ends
        upgrade(directory=str(later_migrations))
    assert "rows would point nowhere" in caplog.text
    columns = {column["name"] for column in sa.inspect(db.engine).get_columns("orders")}
    assert "shade" not in columns
    assert _counts() == {table.name: 1 for table in _tables()}


def _put(name: str, /, **given: Any) -> None:
    """A row of a table as the migrations have made it so far; what is not given has some value.
    Moments are written as SQLite and PostgreSQL both read them."""
    made = sa.Table(name, sa.MetaData(), autoload_with=db.engine)
    now = db.metadatas[None].tables[name].columns
    # What later migrations took out is known by the table alone.
    values = {one.name: _value(now.get(one.name, one)) for one in made.columns if not one.nullable}
    sample = {**values, **given}
    plain = {
        key: value.replace(tzinfo=None)
        if isinstance(value, datetime) and db.engine.dialect.name == "sqlite"
        else value
        for key, value in sample.items()
    }
    with db.engine.begin() as connection:
        connection.execute(made.insert().values(plain))


def _found(sql: str) -> list[Any]:
    with db.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(sql))]


def _order(number: int, **given: Any) -> None:
    _put("orders", id=number, reference=str(number), form_key=str(number), **given)


def _checkout(number: int, **given: Any) -> None:
    _put("checkouts", id=number, order_id=number, gateway_reference=str(number), **given)


def test_places_that_no_money_comes_for_are_free_after_the_upgrade(empty_shop: Flask) -> None:
    upgrade(revision="0003")
    for name in ("sellers", "publications", "customers", "discounts"):
        _put(name, id=1)
    for number in range(1, 7):
        _order(number, status="pending", placed_at=AT, discount_id=None if number == 5 else 1)
    _order(7, status="paid", placed_at=AT, discount_id=1)
    _checkout(2, status="open")
    _checkout(3, status="open", processing_at=AT)
    _checkout(4, status="open")
    _put("transfers", checkout_id=4)
    _checkout(6, status="expired", processing_at=AT)
    upgrade()
    freed = _found("SELECT id FROM orders WHERE place_until = placed_at ORDER BY id")
    held = _found("SELECT id FROM orders WHERE place_until IS NULL ORDER BY id")
    assert freed == [(1,), (2,), (6,)]
    assert held == [(3,), (4,), (5,), (7,)]


def _right(number: int, **given: Any) -> None:
    """A customer's right; bought, as a pre-order and to be had at once, unless said otherwise."""
    values = {"order_line_id": 1, "seat": number, "available_at": AT} | given
    _put("entitlements", id=number, customer_id=number, publication_id=1, **values)


def _notice(customer: int, edition: int = 2, **given: Any) -> None:
    key: dict[str, Any] = {"id": 10 * edition + customer, "dedupe_key": f"{edition}:{customer}"}
    key |= {"edition_id": edition, "customer_id": customer}
    values = {"status": "queued", "created_at": AT, "batch_id": 1}
    _put("deliveries", kind="edition_notice", **(key | values | given))


def test_notices_that_wait_at_the_upgrade_say_why_they_are_owed(empty_shop: Flask) -> None:
    upgrade(revision="0004")
    later = datetime(2027, 3, 15, 10, 0, tzinfo=UTC)
    for name in ("sellers", "publications", "batches"):
        _put(name, id=1)
    for number in (1, 2):
        _put("editions", id=number, number=number)
    for number in range(1, 7):
        _put("customers", id=number, email=str(number), email_key=str(number))
    _order(1, status="paid")
    _put("order_lines", id=1)
    _right(1)
    _notice(1)  # a pre-order's first copy
    _right(2)
    _notice(2, edition=1, status="sent")
    _notice(2)  # the next edition of one that had its first
    _right(3, available_at=later)
    _notice(3)  # a pre-order that waits for its 14 days
    _right(4, from_edition_id=2, available_at=later)
    _notice(4, batch_id=None)  # an order of what is out, in its 14 days
    _right(5, order_line_id=None)
    _notice(5, batch_id=None)  # brought in by an import
    _right(6, from_edition_id=1)
    _notice(6)  # news to who has edition 1 by an order
    upgrade()
    told = "SELECT customer_id, occasion FROM deliveries WHERE edition_id = 2 ORDER BY customer_id"
    assert _found(told) == [
        (1, "first_copy"),
        (2, "released"),
        (3, "days_over"),
        (4, "days_over"),
        (5, "released"),
        (6, "released"),
    ]


def test_staff_keep_their_role_and_their_second_factor(empty_shop: Flask) -> None:
    upgrade(revision="0008")
    secrets = "'authenticator', 'sealed', 7, '[\"sealed\"]'"
    with db.engine.begin() as connection:
        for statement in (
            "INSERT INTO staff_roles (id, name) VALUES (1, 'owner'), (2, 'editor')",
            *(
                "INSERT INTO staff (id, email, password, active, fs_uniquifier, created_at,"
                " tf_primary_method, tf_totp_secret, tf_last_counter, mf_recovery_codes) VALUES"
                f" ({number}, 's{number}@x.example', 'hash', true, 'key{number}',"
                f" '2027-03-01 10:00:00', {secrets if number == 1 else 'NULL, NULL, NULL, NULL'})"
                for number in (1, 2, 3)
            ),
            "INSERT INTO staff_role_members (staff_id, role_id) VALUES (1, 1), (2, 2)",
        ):
            connection.execute(sa.text(statement))
    upgrade()
    kept = _found("SELECT role, active, sign_in_key, totp_secret, totp_step FROM staff ORDER BY id")
    downgrade(revision="0008")
    back = _found(
        "SELECT staff_id, name, tf_primary_method, tf_last_counter FROM staff_role_members"
        " JOIN staff_roles ON role_id = staff_roles.id JOIN staff ON staff_id = staff.id"
        " ORDER BY staff_id"
    )
    assert kept == [
        ("owner", True, "key1", "sealed", 7),
        ("editor", True, "key2", None, None),
        ("support", False, "key3", None, None),
    ]
    assert back == [
        (1, "owner", "authenticator", 7),
        (2, "editor", None, None),
        (3, "support", None, None),
    ]


def test_who_is_there_before_searches_folded_is_found_after(empty_shop: Flask) -> None:
    upgrade(revision="0019")
    name = "Siân O’Neil-Łuków ﬁ ＡＢ"
    _put("customers", id=1, name=name, email="Siân@reader.example", merged_into_id=None)
    upgrade()
    assert _found("SELECT search_key FROM customers") == [
        (search_key(name, "Siân@reader.example"),)
    ]
    assert [one.id for one in search_customers("oneil lukow").rows] == [1]
    assert [one.id for one in search_customers("fi ab sian@").rows] == [1]
    db.session.rollback()
    downgrade(revision="0019")
    assert _found("SELECT count(*) FROM customers WHERE name_key <> ''") == [(1,)]
