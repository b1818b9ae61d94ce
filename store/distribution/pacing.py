"""Holding a release's letters for a while, and letting them go on."""

from store.catalog.models import Edition
from store.distribution.recipients import batch_of
from store.kit.database import db
from store.kit.errors import Refusal
from store.kit.status import advance
from store.mail import outbox
from store.mail.models import Batch, BatchStatus


class NotSending(Refusal):
    """The release has no letters on their way that could be paused."""

    sentence = "No letters of this edition are being sent."


class NotPaused(Refusal):
    """Nothing to go on with."""

    sentence = "The letters of this edition are not paused."


def pause(edition: Edition, who: str, why: str = "") -> None:
    """Hold the letters that have not left, until `resume`. Refuses `NotSending`."""
    batch = _batch(edition)
    if batch is None or batch.status != BatchStatus.RUNNING:
        raise NotSending
    if not advance(batch, BatchStatus.PAUSED, who=who, why=why):
        raise NotSending
    batch.pause_reason = why
    db.session.flush()


def resume(edition: Edition, who: str) -> None:
    """Let paused letters go on. Refuses `NotPaused`."""
    batch = _batch(edition)
    if batch is None or batch.status != BatchStatus.PAUSED:
        raise NotPaused
    if not advance(batch, BatchStatus.RUNNING, who=who):
        raise NotPaused
    batch.pause_reason = ""
    db.session.flush()
    outbox.wake()


def _batch(edition: Edition) -> Batch | None:
    return batch_of(db.session, edition)
