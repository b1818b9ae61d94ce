"""A second address of a customer, proved and on file after 14 days"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "second_addresses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("email_key", sa.String(length=320), nullable=False),
        sa.Column("proved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("on_file_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
            name=op.f("fk_second_addresses_customer_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_second_addresses")),
        sa.UniqueConstraint("customer_id", name=op.f("uq_second_addresses_customer_id")),
        sa.UniqueConstraint("email_key", name=op.f("uq_second_addresses_email_key")),
    )


def downgrade() -> None:
    op.drop_table("second_addresses")
