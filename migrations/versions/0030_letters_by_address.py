"""Letters to an address that is no customer's are found by it"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

HAS_ONE = sa.text("address IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_deliveries_address",
        "deliveries",
        ["address", "id"],
        sqlite_where=HAS_ONE,
        postgresql_where=HAS_ONE,
    )


def downgrade() -> None:
    op.drop_index("ix_deliveries_address", "deliveries")
