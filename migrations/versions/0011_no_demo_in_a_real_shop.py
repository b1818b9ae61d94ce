"""The demonstration's gateway keeps its rows out of a real shop's tables"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = ("demo_refunds", "demo_payments", "demo_events")


def upgrade() -> None:
    # Where a demonstration has run its rows stay; `env.py` makes the tables where one may run.
    connection = op.get_bind()
    counted = [sa.select(sa.func.count()).select_from(sa.table(table)) for table in TABLES]
    if not any(connection.scalar(count) for count in counted):
        for table in TABLES:
            op.drop_table(table)


def downgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("demo_payments"):
        return
    op.create_table(
        "demo_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.String(length=40), nullable=False),
        sa.Column("reference", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_demo_events")),
        sa.UniqueConstraint("event_id", name=op.f("uq_demo_events_event_id")),
    )
    op.create_index("ix_demo_events_reference", "demo_events", ["reference"])
    op.create_table(
        "demo_payments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reference", sa.String(length=40), nullable=False),
        sa.Column("idempotency_key", sa.String(length=80), nullable=False),
        sa.Column("order_reference", sa.String(length=12), nullable=False),
        sa.Column("checkout_id", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("payment_id", sa.String(length=40), nullable=True),
        sa.Column("success_url", sa.Text(), nullable=False),
        sa.Column("cancel_url", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_demo_payments")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_demo_payments_idempotency_key")),
        sa.UniqueConstraint("payment_id", name=op.f("uq_demo_payments_payment_id")),
        sa.UniqueConstraint("reference", name=op.f("uq_demo_payments_reference")),
    )
    op.create_table(
        "demo_refunds",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("demo_payment_id", sa.Integer(), nullable=False),
        sa.Column("refund_id", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=True),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("standing", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(
            ["demo_payment_id"], ["demo_payments.id"], name=op.f("fk_demo_refunds_demo_payment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_demo_refunds")),
        sa.UniqueConstraint("key", name=op.f("uq_demo_refunds_key")),
        sa.UniqueConstraint("refund_id", name=op.f("uq_demo_refunds_refund_id")),
    )
    op.create_index("ix_demo_refunds_demo_payment_id", "demo_refunds", ["demo_payment_id"])
