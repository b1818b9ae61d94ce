"""Real money"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "transfers_back",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("payment_id", sa.String(length=120), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers_back")),
        sa.UniqueConstraint("key", name=op.f("uq_transfers_back_key")),
    )
    with op.batch_alter_table("transfers_back", schema=None) as batch_op:
        batch_op.create_index("ix_transfers_back_payment_id", ["payment_id"], unique=False)

    op.create_table(
        "discounts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=True),
        sa.Column("code_key", sa.String(length=40), nullable=True),
        sa.Column("percent", sa.Integer(), nullable=True),
        sa.Column("amount", sa.Integer(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("publication_id", sa.Integer(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("max_orders", sa.Integer(), nullable=True),
        sa.Column("max_orders_each", sa.Integer(), nullable=True),
        sa.Column("domains", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["publication_id"], ["publications.id"], name=op.f("fk_discounts_publication_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discounts")),
        sa.UniqueConstraint("code_key", name=op.f("uq_discounts_code_key")),
    )
    op.create_table(
        "discount_members",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("discount_id", sa.Integer(), nullable=False),
        sa.Column("email_key", sa.String(length=320), nullable=False),
        sa.ForeignKeyConstraint(
            ["discount_id"], ["discounts.id"], name=op.f("fk_discount_members_discount_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discount_members")),
        sa.UniqueConstraint(
            "discount_id", "email_key", name=op.f("uq_discount_members_discount_id_email_key")
        ),
    )
    op.create_table(
        "transfers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("checkout_id", sa.Integer(), nullable=False),
        sa.Column("form_key", sa.String(length=60), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("received_on", sa.Date(), nullable=False),
        sa.Column("note", sa.String(length=300), nullable=False),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["checkout_id"], ["checkouts.id"], name=op.f("fk_transfers_checkout_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
        sa.UniqueConstraint("form_key", name=op.f("uq_transfers_form_key")),
    )
    with op.batch_alter_table("transfers", schema=None) as batch_op:
        batch_op.create_index("ix_transfers_checkout_id", ["checkout_id"], unique=False)

    op.create_table(
        "disputes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("payment_id", sa.Integer(), nullable=False),
        sa.Column("gateway", sa.String(length=20), nullable=False),
        sa.Column("gateway_dispute_id", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.String(length=60), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("is_inquiry", sa.Boolean(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("won_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lost_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=True),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("submitted_by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_disputes_payment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disputes")),
        sa.UniqueConstraint(
            "gateway", "gateway_dispute_id", name=op.f("uq_disputes_gateway_gateway_dispute_id")
        ),
    )
    with op.batch_alter_table("disputes", schema=None) as batch_op:
        batch_op.create_index("ix_disputes_payment_id", ["payment_id"], unique=False)

    with op.batch_alter_table("checkouts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("processing_at", sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table("refunds", schema=None) as batch_op:
        batch_op.add_column(sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table("gateway_events", schema=None) as batch_op:
        batch_op.add_column(sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column("is_decline", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
        batch_op.create_index(
            "ix_gateway_events_declines",
            ["received_at"],
            unique=False,
            sqlite_where=sa.text("is_decline"),
            postgresql_where=sa.text("is_decline"),
        )
        batch_op.create_index(
            "ix_gateway_events_warnings",
            ["subject"],
            unique=False,
            sqlite_where=sa.text("kind = 'radar.early_fraud_warning.created'"),
            postgresql_where=sa.text("kind = 'radar.early_fraud_warning.created'"),
        )

    with op.batch_alter_table("downloads", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("network", sa.String(length=45), server_default="", nullable=False)
        )
        batch_op.add_column(
            sa.Column("user_agent", sa.String(length=300), server_default="", nullable=False)
        )

    with op.batch_alter_table("order_lines", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "vat_treatment", sa.String(length=20), server_default="zero_rated", nullable=False
            )
        )
        batch_op.add_column(sa.Column("vat_rate", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(
            sa.Column("vat_amount", sa.Integer(), server_default="0", nullable=False)
        )

    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("billing_address", sa.Text(), server_default="", nullable=False)
        )
        batch_op.add_column(
            sa.Column("vat_number", sa.String(length=40), server_default="", nullable=False)
        )
        batch_op.add_column(
            sa.Column("country", sa.String(length=2), server_default="GB", nullable=False)
        )
        batch_op.add_column(
            sa.Column("discount_amount", sa.Integer(), server_default="0", nullable=False)
        )
        batch_op.add_column(
            sa.Column("discount_label", sa.String(length=100), server_default="", nullable=False)
        )
        batch_op.add_column(
            sa.Column("given_reason", sa.String(length=300), server_default="", nullable=False)
        )
        batch_op.add_column(
            sa.Column("network", sa.String(length=45), server_default="", nullable=False)
        )
        batch_op.add_column(
            sa.Column("user_agent", sa.String(length=300), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("discount_id", sa.Integer(), nullable=True))
        batch_op.create_index(
            "ix_orders_discount_id_customer_id", ["discount_id", "customer_id"], unique=False
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_orders_discount_id"), "discounts", ["discount_id"], ["id"]
        )

    with op.batch_alter_table("payments", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("method", sa.String(length=40), server_default="", nullable=False)
        )
        batch_op.add_column(
            sa.Column("billing_country", sa.String(length=2), server_default="", nullable=False)
        )
        batch_op.add_column(
            sa.Column("card_country", sa.String(length=2), server_default="", nullable=False)
        )

    op.execute(
        "ALTER TABLE publications ADD COLUMN vat_treatment VARCHAR(20) DEFAULT 'zero_rated' "
        "NOT NULL CONSTRAINT ck_publications_vattreatment CHECK "
        "(vat_treatment IN ('zero_rated', 'not_registered', 'standard_included'))"
    )

    with op.batch_alter_table("sellers", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("countries", sa.String(length=800), server_default="GB", nullable=False)
        )
        batch_op.add_column(sa.Column("bank_details", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("sellers", schema=None) as batch_op:
        batch_op.drop_column("bank_details")
        batch_op.drop_column("countries")

    with op.batch_alter_table("publications", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_publications_vattreatment"), type_="check")
        batch_op.drop_column("vat_treatment")

    with op.batch_alter_table("payments", schema=None) as batch_op:
        batch_op.drop_column("card_country")
        batch_op.drop_column("billing_country")
        batch_op.drop_column("method")

    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_orders_discount_id"), type_="foreignkey")
        batch_op.drop_index("ix_orders_discount_id_customer_id")
        batch_op.drop_column("user_agent")
        batch_op.drop_column("network")
        batch_op.drop_column("given_reason")
        batch_op.drop_column("discount_id")
        batch_op.drop_column("discount_label")
        batch_op.drop_column("discount_amount")
        batch_op.drop_column("country")
        batch_op.drop_column("vat_number")
        batch_op.drop_column("billing_address")

    with op.batch_alter_table("order_lines", schema=None) as batch_op:
        batch_op.drop_column("vat_amount")
        batch_op.drop_column("vat_rate")
        batch_op.drop_column("vat_treatment")

    with op.batch_alter_table("downloads", schema=None) as batch_op:
        batch_op.drop_column("user_agent")
        batch_op.drop_column("network")

    with op.batch_alter_table("gateway_events", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_gateway_events_declines",
            sqlite_where=sa.text("is_decline"),
            postgresql_where=sa.text("is_decline"),
        )
        batch_op.drop_index(
            "ix_gateway_events_warnings",
            sqlite_where=sa.text("kind = 'radar.early_fraud_warning.created'"),
            postgresql_where=sa.text("kind = 'radar.early_fraud_warning.created'"),
        )
        batch_op.drop_column("is_decline")
        batch_op.drop_column("asked_at")

    with op.batch_alter_table("refunds", schema=None) as batch_op:
        batch_op.drop_column("asked_at")

    with op.batch_alter_table("checkouts", schema=None) as batch_op:
        batch_op.drop_column("processing_at")

    with op.batch_alter_table("disputes", schema=None) as batch_op:
        batch_op.drop_index("ix_disputes_payment_id")

    op.drop_table("disputes")
    with op.batch_alter_table("transfers", schema=None) as batch_op:
        batch_op.drop_index("ix_transfers_checkout_id")

    op.drop_table("transfers")
    op.drop_table("discount_members")
    op.drop_table("discounts")
    with op.batch_alter_table("transfers_back", schema=None) as batch_op:
        batch_op.drop_index("ix_transfers_back_payment_id")

    op.drop_table("transfers_back")
