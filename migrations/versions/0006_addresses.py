"""Moving an order, undoing a change of address, ending links"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("customers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("merged_into_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_customers_merged_into_id"), "customers", ["merged_into_id"], ["id"]
        )
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.add_column(sa.Column("held_at", sa.DateTime(timezone=True), nullable=True))
    with op.batch_alter_table("entitlements", schema=None) as batch_op:
        batch_op.add_column(sa.Column("held_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "order_moves",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("from_customer_id", sa.Integer(), nullable=False),
        sa.Column("to_customer_id", sa.Integer(), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_given_back", sa.Boolean(), nullable=False),
        sa.Column("settled_by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["from_customer_id"], ["customers.id"], name=op.f("fk_order_moves_from_customer_id")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_moves_order_id")),
        sa.ForeignKeyConstraint(
            ["to_customer_id"], ["customers.id"], name=op.f("fk_order_moves_to_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_moves")),
        sa.UniqueConstraint("order_id", name=op.f("uq_order_moves_order_id")),
    )


def downgrade() -> None:
    op.drop_table("order_moves")
    with op.batch_alter_table("entitlements", schema=None) as batch_op:
        batch_op.drop_column("held_at")
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_column("held_at")
    with op.batch_alter_table("customers", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_customers_merged_into_id"), type_="foreignkey")
        batch_op.drop_column("merged_into_id")
