"""Files by which customers are brought in, and the rows left out of them"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

STATUSES = "status IN ('looked', 'running', 'stopped', 'finished')"


def upgrade() -> None:
    op.create_table(
        "customer_imports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("publication_id", sa.Integer(), nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("item", sa.String(length=200), nullable=False),
        sa.Column("is_notified", sa.Boolean(), nullable=False),
        sa.Column("looked", sa.JSON(), nullable=False),
        sa.Column("done_line", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(STATUSES, name=op.f("ck_customer_imports_importstatus")),
        sa.ForeignKeyConstraint(
            ["publication_id"],
            ["publications.id"],
            name=op.f("fk_customer_imports_publication_id"),
        ),
        sa.ForeignKeyConstraint(
            ["staff_id"], ["staff.id"], name=op.f("fk_customer_imports_staff_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_imports")),
    )
    op.create_index("ix_customer_imports_publication_id", "customer_imports", ["publication_id"])
    op.create_index("ix_customer_imports_staff_id", "customer_imports", ["staff_id"])
    op.create_table(
        "import_lines",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("import_id", sa.Integer(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("value", sa.String(length=254), nullable=False),
        sa.Column("reason", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["customer_imports.id"], name=op.f("fk_import_lines_import_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_lines")),
        sa.UniqueConstraint("import_id", "line", name=op.f("uq_import_lines_import_id_line")),
    )


def downgrade() -> None:
    op.drop_table("import_lines")
    op.drop_table("customer_imports")
