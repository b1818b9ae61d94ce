"""Why a notice is owed"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

OCCASIONS = (
    "released",
    "first_copy",
    "days_over",
    "asked",
    "access_back",
    "resent",
    "correction",
)


def upgrade() -> None:
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.add_column(sa.Column("occasion", sa.String(length=20), nullable=True))
    op.execute(
        "UPDATE deliveries SET occasion = CASE WHEN batch_id IS NULL THEN 'days_over'"
        " ELSE 'released' END WHERE kind = 'edition_notice'"
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_check_constraint("occasion", sa.column("occasion").in_(OCCASIONS))
        batch_op.create_check_constraint(
            "notice_has_occasion", "kind <> 'edition_notice' OR occasion IS NOT NULL"
        )


def downgrade() -> None:
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_constraint("notice_has_occasion", type_="check")
        batch_op.drop_constraint("occasion", type_="check")
        batch_op.drop_column("occasion")
