"""An edition says what was wrong with the one that it replaces"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    words = sa.Column("correction", sa.String(600), nullable=False, server_default="")
    op.add_column("editions", words)


def downgrade() -> None:
    op.drop_column("editions", "correction")
