"""The map of what is held about people knows every table and column there is."""

import pytest
import sqlalchemy as sa

from store.entitlements.person import Person, rows_of
from store.entitlements.personal import NOBODYS, TABLES
from store.kit.database import db


def test_every_table_and_column_is_personal_or_said_not_to_be() -> None:
    shop = {
        table.name: set(table.columns.keys())
        for table in db.metadata.sorted_tables
        if table.name not in NOBODYS
    }
    assert shop == {name: set(held.columns) for name, held in TABLES.items()}
    assert {table.name for table in db.metadata.sorted_tables} == TABLES.keys() | NOBODYS.keys()


@pytest.mark.usefixtures("app")
def test_every_table_says_whose_its_rows_are() -> None:
    nobody = Person((0,), ("nobody@reader.example",), ("nobody@reader.example",))
    tables = {table.name: table for table in db.metadata.sorted_tables}
    found = {
        name: db.session.scalar(
            sa.select(sa.func.count()).select_from(tables[name]).where(rows_of(name, nobody))
        )
        for name in TABLES
    }
    assert found == dict.fromkeys(TABLES, 0)
