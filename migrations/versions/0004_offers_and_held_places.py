"""Offers and held places"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "offers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reference", sa.String(length=22), nullable=False),
        sa.Column("asked_key", sa.String(length=90), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("email_key", sa.String(length=320), nullable=False),
        sa.Column("publication_id", sa.Integer(), nullable=False),
        sa.Column("discount_id", sa.Integer(), nullable=True),
        sa.Column("order_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["publication_id"], ["publications.id"], name=op.f("fk_offers_publication_id")
        ),
        sa.ForeignKeyConstraint(
            ["discount_id"], ["discounts.id"], name=op.f("fk_offers_discount_id")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_offers_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_offers")),
        sa.UniqueConstraint("order_id", name=op.f("uq_offers_order_id")),
        sa.UniqueConstraint("reference", name=op.f("uq_offers_reference")),
        sa.UniqueConstraint("asked_key", name=op.f("uq_offers_asked_key")),
    )
    with op.batch_alter_table("offers", schema=None) as batch_op:
        batch_op.create_index(
            "ix_offers_email_key_created_at", ["email_key", "created_at"], unique=False
        )
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.add_column(sa.Column("place_until", sa.DateTime(timezone=True), nullable=True))
    # Null would say that money is on its way, and hold the place without end.
    op.execute(
        "UPDATE orders SET place_until = placed_at"
        " WHERE status = 'pending' AND discount_id IS NOT NULL AND NOT EXISTS ("
        "SELECT 1 FROM checkouts WHERE checkouts.order_id = orders.id"
        " AND ((checkouts.status = 'open' AND checkouts.processing_at IS NOT NULL)"
        " OR EXISTS (SELECT 1 FROM transfers WHERE transfers.checkout_id = checkouts.id)))"
    )


def downgrade() -> None:
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_column("place_until")
    with op.batch_alter_table("offers", schema=None) as batch_op:
        batch_op.drop_index("ix_offers_email_key_created_at")
    op.drop_table("offers")
