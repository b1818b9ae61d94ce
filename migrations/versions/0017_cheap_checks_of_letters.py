"""Checks of letters that SQLite computes without a table of their words for each row"""

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

WORDS = {
    "deliverystatus": (
        "status",
        ("queued", "sending", "sent", "bounced", "failed", "held", "skipped"),
    ),
    "occasion": (
        "occasion",
        (
            "released",
            "first_copy",
            "days_over",
            "asked",
            "access_back",
            "resent",
            "correction",
        ),
    ),
}


def _compared(column: str, words: tuple[str, ...]) -> str:
    return " OR ".join(f"{column} = '{word}'" for word in words)


def _listed(column: str, words: tuple[str, ...]) -> str:
    listed = ", ".join(f"'{word}'" for word in words)
    return f"{column} IN ({listed})"


def _check(spelled: Callable[[str, tuple[str, ...]], str]) -> None:
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        for name, (column, words) in WORDS.items():
            constraint = batch_op.f(f"ck_deliveries_{name}")
            batch_op.drop_constraint(constraint, type_="check")
            batch_op.create_check_constraint(constraint, sa.text(spelled(column, words)))


def upgrade() -> None:
    _check(_compared)


def downgrade() -> None:
    _check(_listed)
