"""How far each clearing has come, and a record of acts that lets go of lines of seven years"""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

REFUSED = "the record of acts is only added to"
# A day less than the shop waits, whose clock is another.
DAYS = 2556
SQLITE = """
CREATE TRIGGER audit_entries_no_delete BEFORE DELETE ON audit_entries {when}
BEGIN SELECT RAISE(ABORT, '{refused}'); END
"""
IS_YOUNG = f"WHEN OLD.at > strftime('%Y-%m-%d %H:%M:%f', 'now', '-{DAYS} days')"
POSTGRESQL = """
CREATE OR REPLACE FUNCTION audit_entries_only_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
{let_go}
RAISE EXCEPTION '{refused}';
END $$
"""
LET_GO = f"""
IF TG_OP = 'DELETE' THEN
    IF OLD.at <= now() - interval '{DAYS} days' THEN RETURN OLD; END IF;
END IF;
"""


def upgrade() -> None:
    op.create_table(
        "clearings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("up_to", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clearings")),
        sa.UniqueConstraint("name", name=op.f("uq_clearings_name")),
    )
    _refuse(IS_YOUNG, LET_GO)


def downgrade() -> None:
    _refuse("", "")
    op.drop_table("clearings")


def _refuse(when: str, let_go: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(POSTGRESQL.format(let_go=let_go, refused=REFUSED))
        return
    op.execute("DROP TRIGGER audit_entries_no_delete")
    op.execute(SQLITE.format(when=when, refused=REFUSED))
