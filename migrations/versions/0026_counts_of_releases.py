"""How many letters of a release stand where, counted by triggers as they move"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

# A letter is counted as waiting until it is claimed; from then on as `left`, be it under way or
# sent, so that handing a letter over changes no count. A migration that rebuilds `deliveries` on
# SQLite loses the triggers and makes them once more.
BUCKET = """CASE WHEN {0}.status = 'sent' OR {0}.claimed_at IS NOT NULL AND {0}.status IN ('queued', 'sending')
    THEN 'left' WHEN {0}.status = 'sending' THEN 'queued' ELSE {0}.status END"""
REASON = "CASE WHEN {0}.status = 'skipped' THEN {0}.reason ELSE '' END"

# Each connection adds to rows of its own, so that none waits for another.
ON_POSTGRESQL = """
CREATE FUNCTION count_letters() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO batch_counts (batch_id, slot, status, reason, number)
  SELECT moved.batch_id, pg_backend_pid(), moved.bucket, moved.why, sum(moved.step)
    FROM ({moves}) AS moved
   GROUP BY moved.batch_id, moved.bucket, moved.why HAVING sum(moved.step) <> 0
  ON CONFLICT (batch_id, slot, status, reason)
  DO UPDATE SET number = batch_counts.number + excluded.number;
  RETURN NULL;
END $$
"""
# Said by the statement that begins one letter and ends another, of which no count changes.
UNLESS_TOLD = "WHEN (current_setting('colophon.no_count_changes', true) IS DISTINCT FROM 'yes')"
MOVE = (
    "SELECT {0}.batch_id, {bucket} AS bucket, {reason} AS why, {step} AS step"
    " FROM {0} WHERE {0}.batch_id IS NOT NULL"
)
TABLES = {"insert": ("new",), "update": ("old", "new"), "delete": ("old",)}

ADD = """
  INSERT INTO batch_counts (batch_id, slot, status, reason, number)
  SELECT {0}.batch_id, 0, {bucket}, {reason}, {step} WHERE {0}.batch_id IS NOT NULL
  ON CONFLICT (batch_id, slot, status, reason)
  DO UPDATE SET number = number + excluded.number;
"""
ON_SQLITE = (
    "CREATE TRIGGER deliveries_counted_{act} AFTER {when} ON deliveries {which} BEGIN {steps} END"
)


def _move(row: str, alias: str, template: str) -> str:
    step = -1 if row == "old" else 1
    return template.format(
        alias, bucket=BUCKET.format(alias), reason=REASON.format(alias), step=step
    )


def _on_sqlite() -> None:
    is_moved = (
        f"({BUCKET.format('old')}) IS NOT ({BUCKET.format('new')})"
        f" OR old.batch_id IS NOT new.batch_id OR ({REASON.format('old')}) IS NOT"
        f" ({REASON.format('new')})"
    )
    for act, rows in TABLES.items():
        is_update = act == "update"
        op.execute(
            ON_SQLITE.format(
                act=act,
                when="UPDATE OF status, claimed_at, reason, batch_id" if is_update else act,
                which=f"WHEN {is_moved}" if is_update else f"WHEN {rows[0]}.batch_id IS NOT NULL",
                steps="".join(_move(row, row, ADD) for row in rows),
            )
        )


def _on_postgresql() -> None:
    for act, rows in TABLES.items():
        moves = " UNION ALL ".join(_move(row, f"{row}_rows", MOVE) for row in rows)
        function = ON_POSTGRESQL.replace("count_letters", f"count_letters_{act}")
        op.execute(function.format(moves=moves))
        named = " ".join(f"{row.upper()} TABLE AS {row}_rows" for row in rows)
        op.execute(
            f"CREATE TRIGGER deliveries_counted_{act} AFTER {act} ON deliveries"
            f" REFERENCING {named} FOR EACH STATEMENT {UNLESS_TOLD if act == 'update' else ''}"
            f" EXECUTE FUNCTION count_letters_{act}()"
        )


def upgrade() -> None:
    op.create_table(
        "batch_counts",
        sa.Column("batch_id", sa.Integer(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_batch_counts_batch_id")
        ),
        sa.PrimaryKeyConstraint(
            "batch_id", "slot", "status", "reason", name=op.f("pk_batch_counts")
        ),
    )
    op.create_table(
        "tallies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("edition_id", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "release",
                "rehearsal",
                name="tallykind",
                native_enum=False,
                length=20,
                create_constraint=True,
            ),
            nullable=False,
        ),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("took_ms", sa.Integer(), nullable=False),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["edition_id"], ["editions.id"], name=op.f("fk_tallies_edition_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tallies")),
        sa.UniqueConstraint("edition_id", "kind", name=op.f("uq_tallies_edition_id_kind")),
    )
    op.execute(
        "INSERT INTO batch_counts (batch_id, slot, status, reason, number)"  # noqa: S608 - constants
        f" SELECT batch_id, 0, {BUCKET.format('deliveries')}, {REASON.format('deliveries')}, count(*)"
        " FROM deliveries WHERE batch_id IS NOT NULL GROUP BY 1, 3, 4"
    )
    twice = sa.text("is_possibly_twice AND batch_id IS NOT NULL")
    op.create_index(
        "ix_deliveries_possibly_twice",
        "deliveries",
        ["batch_id"],
        sqlite_where=twice,
        postgresql_where=twice,
    )
    if op.get_bind().dialect.name == "sqlite":
        _on_sqlite()
    else:
        _on_postgresql()


def downgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for act in TABLES:
        if is_sqlite:
            op.execute(f"DROP TRIGGER deliveries_counted_{act}")
        else:
            op.execute(f"DROP TRIGGER deliveries_counted_{act} ON deliveries")
            op.execute(f"DROP FUNCTION count_letters_{act}()")
    op.drop_index("ix_deliveries_possibly_twice", "deliveries")
    op.drop_table("tallies")
    op.drop_table("batch_counts")
