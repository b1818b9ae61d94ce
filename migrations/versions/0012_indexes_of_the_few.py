"""Indexes of letters that only a few rows need hold no others"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

GONE = {
    "ix_deliveries_batch_id_status": ["batch_id", "status"],
    "ix_deliveries_order_id": ["order_id"],
    "ix_deliveries_status_id": ["status", "id"],
}
PARTIAL = {
    "ix_deliveries_batch_id": (["batch_id"], "batch_id IS NOT NULL"),
    "ix_deliveries_order_id": (["order_id"], "order_id IS NOT NULL"),
    "ix_deliveries_status_id": (
        ["status", "id"],
        "status = 'failed' OR status = 'held' OR status = 'skipped'",
    ),
}


def upgrade() -> None:
    for name in GONE:
        op.drop_index(name, "deliveries")
    for name, (columns, where) in PARTIAL.items():
        op.create_index(
            name,
            "deliveries",
            columns,
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )


def downgrade() -> None:
    for name in PARTIAL:
        op.drop_index(name, "deliveries")
    for name, columns in GONE.items():
        op.create_index(name, "deliveries", columns)
