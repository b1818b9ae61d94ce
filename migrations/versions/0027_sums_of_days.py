"""The money of each day that is over, thrown out by triggers where anything of it changes"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

# Table, the moment of its movement, and what else decides whether and how much it counts.
MOVEMENTS = (
    ("orders", "paid_at", "status, given_reason, currency"),
    ("payments", "received_at", "amount, gateway"),
    ("transfers", "recorded_at", "amount"),
    ("refunds", "requested_at", "amount, status"),
    ("disputes", "lost_at", "amount"),
)
NULLABLE = ("orders", "disputes")
FORGET = "DELETE FROM day_sums WHERE begins_at <= {row}.{at} AND ends_at > {row}.{at};"
ON_SQLITE = """
CREATE TRIGGER {table}_of_a_day_{act} AFTER {when} ON {table} WHEN {is_any} IS NOT NULL
BEGIN {forget} END
"""
ON_POSTGRESQL = """
CREATE FUNCTION forget_day_of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  {new}
  IF TG_OP = 'UPDATE' THEN {old} END IF;
  RETURN NULL;
END $$
"""


def _on_sqlite(table: str, at: str, others: str) -> None:
    new, old = (FORGET.format(row=row, at=at) for row in ("new", "old"))
    is_any = f"coalesce(new.{at}, old.{at})"
    for act, when, any_of, forget in (
        ("insert", "INSERT", f"new.{at}", new),
        ("update", f"UPDATE OF {at}, {others}", is_any, f"{new} {old}"),
    ):
        op.execute(ON_SQLITE.format(table=table, act=act, when=when, is_any=any_of, forget=forget))


def _on_postgresql(table: str, at: str, others: str) -> None:
    new, old = (FORGET.format(row=row, at=at) for row in ("NEW", "OLD"))
    op.execute(ON_POSTGRESQL.format(table=table, new=new, old=old))
    op.execute(
        f"CREATE TRIGGER {table}_of_a_day AFTER INSERT OR UPDATE OF {at}, {others} ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION forget_day_of_{table}()"
    )


def upgrade() -> None:
    op.create_table(
        "day_sums",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("begins_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_day_sums")),
        sa.UniqueConstraint("begins_at", "ends_at", name=op.f("uq_day_sums_begins_at_ends_at")),
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for table, at, others in MOVEMENTS:
        there = sa.text(f"{at} IS NOT NULL") if table in NULLABLE else None
        op.create_index(f"ix_{table}_{at}", table, [at], sqlite_where=there, postgresql_where=there)
        (_on_sqlite if is_sqlite else _on_postgresql)(table, at, others)


def downgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for table, at, _ in MOVEMENTS:
        if is_sqlite:
            for act in ("insert", "update"):
                op.execute(f"DROP TRIGGER {table}_of_a_day_{act}")
        else:
            op.execute(f"DROP TRIGGER {table}_of_a_day ON {table}")
            op.execute(f"DROP FUNCTION forget_day_of_{table}()")
        op.drop_index(f"ix_{table}_{at}", table)
    op.drop_table("day_sums")
