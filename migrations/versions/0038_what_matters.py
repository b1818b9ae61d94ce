"""A customer may ask to hear of what matters alone"""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    passes = sa.Column("matters_pass", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("notice_stops", passes)


def downgrade() -> None:
    op.drop_column("notice_stops", "matters_pass")
