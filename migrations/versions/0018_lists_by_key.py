"""Lists that begin beside a row are read from an index, whatever they are narrowed to"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# Name, table, columns, and which rows alone it holds.
INDEXES = (
    ("ix_orders_status_id", "orders", ["status", "id"], None),
    ("ix_orders_held", "orders", ["id"], "held_at IS NOT NULL"),
    ("ix_deliveries_kind_id", "deliveries", ["kind", "id"], "kind <> 'edition_notice'"),
    (
        "ix_checkouts_awaited",
        "checkouts",
        ["expires_at", "id"],
        "status = 'open' AND gateway = 'manual'",
    ),
    ("ix_transfers_back_unsent", "transfers_back", ["id"], "sent_at IS NULL"),
)


def upgrade() -> None:
    for name, table, columns, held in INDEXES:
        where = sa.text(held) if held else None
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name, table, *_ in INDEXES:
        op.drop_index(name, table)
