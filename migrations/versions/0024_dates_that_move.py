"""Dates that were promised and moved, and when staff were warned of one"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "date_moves",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("publication_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("old_on", sa.Date(), nullable=True),
        sa.Column("new_on", sa.Date(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("moved_by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["publication_id"],
            ["publications.id"],
            name=op.f("fk_date_moves_publication_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_date_moves")),
        sa.UniqueConstraint(
            "publication_id", "number", name=op.f("uq_date_moves_publication_id_number")
        ),
    )
    op.add_column("publications", sa.Column("warned_on", sa.Date(), nullable=True))


def downgrade() -> None:
    op.drop_column("publications", "warned_on")
    op.drop_table("date_moves")
