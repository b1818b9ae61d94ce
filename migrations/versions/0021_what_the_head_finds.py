"""Titles folded for searches, and the last four digits of the card that paid"""

import re
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

NAMES = ("title", "subtitle", "author", "isbn")
KNOWN = sa.text("card_last4 <> ''")
# As the shop folded when this was written.
APOSTROPHES = re.compile("['\u2018\u2019\u201b\u02b9\u02bb\u02bc\u00b4`\u2032\uff07\uff40]")
ACCENTS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"}
)


def folded(text: str) -> str:
    text = unicodedata.normalize("NFKC", APOSTROPHES.sub("", text)).casefold()
    text = unicodedata.normalize("NFC", ACCENTS.sub("", unicodedata.normalize("NFKD", text)))
    return " ".join(APOSTROPHES.sub("", text).translate(PLAIN).split())[:1_000]


def upgrade() -> None:
    op.add_column(
        "publications", sa.Column("search_key", sa.Text(), nullable=False, server_default="")
    )
    titles = sa.table("publications", *(sa.column(one) for one in ("id", "search_key", *NAMES)))
    bind = op.get_bind()
    for row in bind.execute(sa.select(titles.c.id, *(titles.c[name] for name in NAMES))).all():
        said = folded(" ".join(row[1:]))
        bind.execute(sa.update(titles).where(titles.c.id == row[0]).values(search_key=said))
    op.add_column(
        "payments",
        sa.Column("card_last4", sa.String(length=4), nullable=False, server_default=""),
    )
    op.create_index(
        "ix_payments_card_last4",
        "payments",
        ["card_last4", "order_id"],
        sqlite_where=KNOWN,
        postgresql_where=KNOWN,
    )


def downgrade() -> None:
    op.drop_index("ix_payments_card_last4", "payments")
    with op.batch_alter_table("payments", schema=None) as batch_op:
        batch_op.drop_column("card_last4")
    with op.batch_alter_table("publications", schema=None) as batch_op:
        batch_op.drop_column("search_key")
