"""Who became one with a customer is found without a look at all customers"""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

HAS_ONE = sa.text("merged_into_id IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_customers_merged_into_id",
        "customers",
        ["merged_into_id"],
        sqlite_where=HAS_ONE,
        postgresql_where=HAS_ONE,
    )


def downgrade() -> None:
    op.drop_index("ix_customers_merged_into_id", "customers")
