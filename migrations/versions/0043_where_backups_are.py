"""The folder that each backup was made in"""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    folder = sa.Column("folder", sa.String(length=500), server_default="", nullable=False)
    op.add_column("backups", folder)


def downgrade() -> None:
    op.drop_column("backups", "folder")
