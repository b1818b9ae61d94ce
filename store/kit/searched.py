"""Columns of what staff search for, folded as searches fold what is typed; they follow what they were
folded from, so that nothing is erased there and stays here."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from store.kit.database import Base
from store.kit.text import search_key

COLUMN = "search_key"


def searched(*names: str) -> Mapped[str]:
    """A column of that name, of what these columns hold."""

    def fold(context: Any) -> str:
        values = context.get_current_parameters()
        return search_key(*(values.get(name) or "" for name in names))

    return mapped_column(sa.Text, default=fold, server_default="", info={"of": names})


@sa.event.listens_for(Base, "before_update", propagate=True)
def _fold_again(_mapper: Any, _connection: Any, row: Any) -> None:
    column = row.__table__.c.get(COLUMN)
    if column is None:
        return
    attributes: Any = sa.inspect(row).attrs
    names = column.info["of"]
    if any(attributes[name].history.has_changes() for name in names):
        row.search_key = search_key(*(getattr(row, name) for name in names))
