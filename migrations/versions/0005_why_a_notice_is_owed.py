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

# Rights of who is told that came by an order, to the publication that the notice is of.
BOUGHT = (
    "SELECT 1 FROM entitlements JOIN editions"
    " ON editions.publication_id = entitlements.publication_id"
    " WHERE editions.id = deliveries.edition_id"
    " AND entitlements.customer_id = deliveries.customer_id"
    " AND entitlements.order_line_id IS NOT NULL"
)
# Letters that brought them an earlier edition.
HAD = (
    "SELECT 1 FROM deliveries AS had JOIN editions AS earlier ON earlier.id = had.edition_id"
    " JOIN editions AS told ON told.id = deliveries.edition_id"
    " WHERE had.customer_id = deliveries.customer_id AND had.kind = 'edition_notice'"
    " AND had.status = 'sent' AND earlier.publication_id = told.publication_id"
    " AND earlier.number < told.number"
)
# Notices without a batch were owed when the 14 days of an order were over, or by an import.
WHY = (
    "CASE"
    f" WHEN EXISTS ({BOUGHT} AND entitlements.from_edition_id IS NULL"
    " AND entitlements.available_at <= deliveries.created_at)"
    f" AND NOT EXISTS ({HAD}) THEN 'first_copy'"
    f" WHEN EXISTS ({BOUGHT} AND entitlements.available_at > deliveries.created_at)"
    f" AND NOT EXISTS ({HAD}) THEN 'days_over'"
    f" WHEN batch_id IS NULL AND EXISTS ({BOUGHT}) THEN 'days_over'"
    " ELSE 'released' END"
)


def upgrade() -> None:
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.add_column(sa.Column("occasion", sa.String(length=20), nullable=True))
    op.execute(
        f"UPDATE deliveries SET occasion = {WHY} WHERE kind = 'edition_notice'"  # noqa: S608
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
