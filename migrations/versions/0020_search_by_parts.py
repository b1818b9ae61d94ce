"""What customers and orders are searched for, folded in one column, and its trigrams in an index"""

import re
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

SEARCHED = {
    "customers": ("name", "email"),
    "orders": ("name", "organisation", "purchase_order_number"),
}
AT_ONCE = 5_000
LONGEST = 1_000

# As the shop folded when this was written.
INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
APOSTROPHES = re.compile("['\u2018\u2019\u201b\u02b9\u02bb\u02bc\u00b4`\u2032\uff07\uff40]")
ACCENTS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"}
)

# On SQLite a table of its own, which holds no text: it reads that of the rows.
TABLE = """
CREATE VIRTUAL TABLE search_{table} USING fts5(
  search_key, content='{table}', content_rowid='id', tokenize='trigram case_sensitive 1'
)
"""
GONE = "INSERT INTO search_{table}(search_{table}, rowid, search_key) VALUES ('delete', old.id, old.search_key);"
THERE = "INSERT INTO search_{table}(rowid, search_key) VALUES (new.id, new.search_key);"
REBUILD = "INSERT INTO search_{table}(search_{table}) VALUES ('rebuild')"
TRIGGERS = (
    "CREATE TRIGGER search_{table}_added AFTER INSERT ON {table} BEGIN " + THERE + " END",
    "CREATE TRIGGER search_{table}_gone AFTER DELETE ON {table} BEGIN " + GONE + " END",
    "CREATE TRIGGER search_{table}_changed AFTER UPDATE OF search_key ON {table}"
    " WHEN old.search_key IS NOT new.search_key BEGIN " + GONE + " " + THERE + " END",
)
# On PostgreSQL: needs no extension, and nobody's leave to install one.
GRAMS = """
CREATE FUNCTION search_grams(said text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT coalesce(array_agg(DISTINCT substr(said, place, 3)), '{}')
  FROM generate_series(1, char_length(said) - 2) AS place
$$
"""


def folded(text: str) -> str:
    text = unicodedata.normalize("NFC", APOSTROPHES.sub("", INVISIBLE.sub("", text)))
    text = unicodedata.normalize("NFKC", APOSTROPHES.sub("", text)).casefold()
    text = unicodedata.normalize("NFC", ACCENTS.sub("", unicodedata.normalize("NFKD", text)))
    return " ".join(APOSTROPHES.sub("", text).translate(PLAIN).split())[:LONGEST]


def _fold(table: str) -> None:
    """Fill the column, some thousand rows at a time."""
    named = sa.table(table, *(sa.column(name) for name in ("id", "search_key", *SEARCHED[table])))
    bind, last = op.get_bind(), 0
    write = (
        sa.update(named)
        .where(named.c.id == sa.bindparam("number"))
        .values(search_key=sa.bindparam("said"))
    )
    wanted = sa.select(named.c.id, *(named.c[name] for name in SEARCHED[table]))
    while True:
        rows = bind.execute(
            wanted.where(named.c.id > last).order_by(named.c.id).limit(AT_ONCE)
        ).all()
        if not rows:
            return
        bind.execute(write, [{"number": row[0], "said": folded(" ".join(row[1:]))} for row in rows])
        last = rows[-1][0]


def _column() -> sa.Column[str]:
    return sa.Column("search_key", sa.Text(), nullable=False, server_default="")


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    with op.batch_alter_table("customers", schema=None) as batch_op:
        batch_op.add_column(_column())
        batch_op.drop_index(batch_op.f("ix_customers_name_key"))
        batch_op.drop_column("name_key")
    op.add_column("orders", _column())
    for table in SEARCHED:
        _fold(table)
    if not is_sqlite:
        op.execute(GRAMS)
    for table in SEARCHED:
        if not is_sqlite:
            op.execute(
                f"CREATE INDEX ix_search_{table} ON {table} USING gin (search_grams(search_key))"
            )
            continue
        op.execute(TABLE.format(table=table))
        op.execute(REBUILD.format(table=table))
        for trigger in TRIGGERS:
            op.execute(trigger.format(table=table))


def downgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for table in SEARCHED:
        if is_sqlite:
            for what in ("added", "gone", "changed"):
                op.execute(f"DROP TRIGGER search_{table}_{what}")
            op.execute(f"DROP TABLE search_{table}")
        else:
            op.execute(f"DROP INDEX ix_search_{table}")
    if not is_sqlite:
        op.execute("DROP FUNCTION search_grams(text)")
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_column("search_key")
    with op.batch_alter_table("customers", schema=None) as batch_op:
        batch_op.drop_column("search_key")
        batch_op.add_column(
            sa.Column("name_key", sa.String(length=200), nullable=False, server_default="")
        )
        batch_op.create_index(batch_op.f("ix_customers_name_key"), ["name_key"])
    op.execute("UPDATE customers SET name_key = lower(name)")
    with op.batch_alter_table("customers", schema=None) as batch_op:
        batch_op.alter_column("name_key", server_default=None)
