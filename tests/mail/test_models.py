"""Which status may follow which, cell by cell."""

import pytest
from flask import Flask

from store.kit import clock
from store.kit.database import transaction
from store.kit.status import ForbiddenMove, advance
from store.mail.models import Batch, BatchStatus, Delivery, DeliveryStatus

DELIVERY_MOVES = {
    ("queued", "sending"),
    ("queued", "held"),
    ("queued", "skipped"),
    ("sending", "sent"),
    ("sending", "queued"),
    ("sending", "failed"),
    ("sending", "held"),
    ("sent", "bounced"),
    ("bounced", "queued"),
    ("held", "queued"),
    ("held", "skipped"),
    ("failed", "queued"),
    ("skipped", "queued"),
}
BATCH_MOVES = {
    ("running", "paused"),
    ("running", "finished"),
    ("running", "recalled"),
    ("paused", "running"),
    ("paused", "recalled"),
    ("finished", "running"),
}


@pytest.mark.parametrize("old", DeliveryStatus)
@pytest.mark.parametrize("new", DeliveryStatus)
def test_a_delivery_moves_only_as_the_table_says(
    app: Flask, old: DeliveryStatus, new: DeliveryStatus
) -> None:
    now = clock.now()
    with transaction() as session:
        row = Delivery(kind="k", dedupe_key="k", status=old, created_at=now, due_at=now)
        session.add(row)
        session.flush()
        if (old, new) in DELIVERY_MOVES:
            assert advance(row, new)
            assert row.status is new
        else:
            with pytest.raises(ForbiddenMove):
                advance(row, new)


@pytest.mark.parametrize("old", BatchStatus)
@pytest.mark.parametrize("new", BatchStatus)
def test_a_batch_moves_only_as_the_table_says(
    app: Flask, old: BatchStatus, new: BatchStatus
) -> None:
    with transaction() as session:
        row = Batch(reason="edition", subject_id=1, status=old, created_at=clock.now())
        session.add(row)
        session.flush()
        if (old, new) in BATCH_MOVES:
            assert advance(row, new)
            assert row.status is new
        else:
            with pytest.raises(ForbiddenMove):
                advance(row, new)
