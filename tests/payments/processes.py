"""What one of several processes does to one order's fulfilment, all at the same moment."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from store.app import create_app
from store.kit.database import db
from store.payments import fulfilment, inbox
from tests.conftest import make_settings

TOGETHER_SECONDS = 120
WAYS: list[Callable[[int, int, int], Any]] = [
    lambda event_id, checkout_id, order_id: inbox.apply_event(event_id),
    lambda event_id, checkout_id, order_id: inbox.fulfil_checkout(checkout_id),
    lambda event_id, checkout_id, order_id: inbox.apply_event(event_id),
    lambda event_id, checkout_id, order_id: inbox.fulfil_order(order_id),
]


def fulfil_together(
    number: int, url: str, folder: str, ids: tuple[int, int, int], *, guarded: bool, gate: Any
) -> tuple[int, str]:
    """Wait at the gate, fulfil, and say how often this process granted and what went wrong."""
    granted: list[int] = []
    real_grant = fulfilment.grant_order

    def counting(*arguments: Any) -> Any:
        granted.append(1)
        return real_grant(*arguments)

    fulfilment.grant_order = counting  # type: ignore[assignment]
    if not guarded:
        fulfilment.moved_to_paid = lambda order, gateway: True
    app = create_app(make_settings(Path(folder), database_url=url))
    fault = ""
    with app.app_context():
        gate.wait(TOGETHER_SECONDS)
        try:
            WAYS[number % len(WAYS)](*ids)
        except Exception as error:
            fault = type(error).__name__
        db.session.remove()
        db.engine.dispose()
    app.extensions["colophon.huey"].storage.close()
    return len(granted), fault


def work(results: Any, number: int, *arguments: Any, **named: Any) -> None:
    """The body of a process: its answer goes into the queue."""
    results.put(fulfil_together(number, *arguments, **named))
