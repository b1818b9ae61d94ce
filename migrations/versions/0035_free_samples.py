"""A publication has a free sample, with chapters to read in the shop"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "samples",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("publication_id", sa.Integer(), nullable=False),
        sa.Column("format", sa.String(10), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=True),
        sa.Column("chapters", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("opening", sa.JSON(), nullable=False),
        sa.Column("origin", sa.String(100), nullable=False, server_default=""),
        sa.Column("put_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["publication_id"],
            ["publications.id"],
            name=op.f("fk_samples_publication_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_samples")),
        sa.UniqueConstraint(
            "publication_id", "format", name=op.f("uq_samples_publication_id_format")
        ),
    )
    op.create_table(
        "sample_chapters",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sample_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sample_id"], ["samples.id"], name=op.f("fk_sample_chapters_sample_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sample_chapters")),
        sa.UniqueConstraint(
            "sample_id", "number", name=op.f("uq_sample_chapters_sample_id_number")
        ),
    )


def downgrade() -> None:
    op.drop_table("sample_chapters")
    op.drop_table("samples")
