"""A pre-order says which formats, length and accessibility are planned"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

LONGEST = {"planned_formats": 100, "planned_length": 100, "planned_access": 300}


def upgrade() -> None:
    for name, longest in LONGEST.items():
        words = sa.Column(name, sa.String(longest), nullable=False, server_default="")
        op.add_column("publications", words)


def downgrade() -> None:
    for name in LONGEST:
        op.drop_column("publications", name)
