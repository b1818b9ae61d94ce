"""Letters that came back, addresses on hold, and repairs"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

OLD = ("queued", "sending", "sent", "failed", "held", "skipped")
NEW = ("queued", "sending", "sent", "bounced", "failed", "held", "skipped")
KINDS = ("hard", "soft", "complaint")
OPEN = "ended_at IS NULL"
OF_CUSTOMER = "ended_at IS NULL AND customer_id IS NOT NULL"
RESTING = "status = 'failed' OR status = 'held' OR status = 'skipped'"


def _word(name: str, values: tuple[str, ...]) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=20)


def _partial(name: str, table: str, columns: list[str], where: str, unique: bool = False) -> None:
    clause = sa.text(where)
    op.create_index(
        name, table, columns, unique=unique, sqlite_where=clause, postgresql_where=clause
    )


def _statuses(values: tuple[str, ...], resting: str) -> None:
    op.drop_index("ix_deliveries_status_id", "deliveries")
    listed = ", ".join(f"'{value}'" for value in values)
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_deliveries_deliverystatus"), type_="check")
        batch_op.create_check_constraint(
            batch_op.f("ck_deliveries_deliverystatus"), sa.text(f"status IN ({listed})")
        )
    _partial("ix_deliveries_status_id", "deliveries", ["status", "id"], resting)


def upgrade() -> None:
    _statuses(NEW, f"{RESTING} OR status = 'bounced'")
    with op.batch_alter_table("notice_stops", schema=None) as batch_op:
        batch_op.add_column(sa.Column("complained_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "returned_letters",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.Column("kind", _word("returnkind", KINDS), nullable=False),
        sa.Column("code", sa.String(length=20), nullable=False),
        sa.Column("words", sa.String(length=1000), nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("came_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name=op.f("fk_returned_letters_delivery_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_returned_letters")),
        sa.UniqueConstraint("key", name=op.f("uq_returned_letters_key")),
    )
    op.create_index("ix_returned_letters_delivery_id", "returned_letters", ["delivery_id"])
    _partial("ix_returned_letters_waiting", "returned_letters", ["id"], "settled_at IS NULL")
    _partial("ix_returned_letters_complaints", "returned_letters", ["id"], "kind = 'complaint'")
    op.create_table(
        "address_holds",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("address_key", sa.String(length=320), nullable=False),
        sa.Column("kind", _word("returnkind", KINDS), nullable=False),
        sa.Column("came_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("words", sa.String(length=1000), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("given_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_address_holds")),
        sa.UniqueConstraint("address_key", name=op.f("uq_address_holds_address_key")),
    )
    _repairs()


def _repairs() -> None:
    ends = ("corrected", "resent", "accepted", "given_up")
    op.create_table(
        "repairs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=True),
        sa.Column("address_key", sa.String(length=320), nullable=False),
        sa.Column("kind", _word("returnkind", KINDS), nullable=False),
        sa.Column("code", sa.String(length=20), nullable=False),
        sa.Column("words", sa.String(length=1000), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("how", _word("repairend", ends), nullable=True),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("word", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name=op.f("fk_repairs_delivery_id")
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_repairs_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repairs")),
    )
    op.create_index("ix_repairs_customer_id", "repairs", ["customer_id"])
    op.create_index("ix_repairs_delivery_id", "repairs", ["delivery_id"])
    _partial("ix_repairs_open", "repairs", ["opened_at", "id"], OPEN)
    _partial("uq_repairs_open_delivery_id", "repairs", ["delivery_id"], OPEN, unique=True)
    _partial(
        "uq_repairs_open_customer_id_address_key",
        "repairs",
        ["customer_id", "address_key"],
        OF_CUSTOMER,
        unique=True,
    )


def downgrade() -> None:
    op.drop_table("repairs")
    op.drop_table("address_holds")
    op.drop_table("returned_letters")
    with op.batch_alter_table("notice_stops", schema=None) as batch_op:
        batch_op.drop_column("complained_at")
    # What came back had been handed over.
    op.execute("UPDATE deliveries SET status = 'sent' WHERE status = 'bounced'")
    _statuses(OLD, RESTING)
