"""Order links"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("links", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("revoked_reason", sa.String(length=40), server_default="", nullable=False)
        )

    with op.batch_alter_table("downloads", schema=None) as batch_op:
        batch_op.add_column(sa.Column("order_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_downloads_order_id"), "orders", ["order_id"], ["id"]
        )
        batch_op.create_index("ix_downloads_order_id", ["order_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("downloads", schema=None) as batch_op:
        batch_op.drop_index("ix_downloads_order_id")
        batch_op.drop_constraint(batch_op.f("fk_downloads_order_id"), type_="foreignkey")
        batch_op.drop_column("order_id")

    with op.batch_alter_table("links", schema=None) as batch_op:
        batch_op.drop_column("revoked_reason")
