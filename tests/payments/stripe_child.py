"""A process of the shop that dies after Stripe's answer and before our commit."""

import os
from pathlib import Path
from typing import Any

from store.app import create_app
from store.payments import checkout, inbox, refunds
from tests.conftest import make_settings

DEAD = 9


def die(*_: Any, **__: Any) -> None:
    """Gone at once: nothing is rolled back, closed or flushed."""
    os._exit(DEAD)


def live(folder: Path, given: dict[str, Any], where: str, row_id: int) -> None:
    """Do one step of an order, up to the point where the process dies."""
    with create_app(make_settings(folder, **given)).app_context():
        if where == "session":
            checkout._note_start = die
            checkout.begin_checkout(row_id)
        elif where == "fulfilment":
            inbox._mark = die  # after the effect, in the same transaction
            inbox.apply_event(row_id)
        else:
            refunds._write_down = die
            refunds.refund_order(row_id, amount=250, who="staff", why="", key="press")
