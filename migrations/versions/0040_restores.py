"""What follows a restore: letters wait, a journal is known by name, money finds no order"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def _at(name: str, *, may_lack: bool = False) -> sa.Column[sa.DateTime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=may_lack)


def upgrade() -> None:
    op.create_table(
        "restores",
        sa.Column("id", sa.Integer(), nullable=False),
        _at("made_at"),
        _at("restored_at"),
        sa.Column("numbers_from", sa.Integer(), nullable=False),
        _at("journal_until", may_lack=True),
        _at("asked_at", may_lack=True),
        _at("let_go_at", may_lack=True),
        sa.Column("let_go_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restores")),
    )
    op.create_table(
        "journals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=22), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journals")),
    )
    op.create_table(
        "stray_payments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("gateway", sa.String(length=20), nullable=False),
        sa.Column("gateway_reference", sa.String(length=120), nullable=False),
        sa.Column("payment_id", sa.String(length=120), nullable=False),
        sa.Column("order_reference", sa.String(length=40), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("returned", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        _at("paid_at"),
        _at("found_at"),
        _at("settled_at", may_lack=True),
        sa.Column("settled_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stray_payments")),
        sa.UniqueConstraint(
            "gateway", "gateway_reference", name=op.f("uq_stray_payments_gateway_gateway_reference")
        ),
    )


def downgrade() -> None:
    op.drop_table("stray_payments")
    op.drop_table("journals")
    op.drop_table("restores")
