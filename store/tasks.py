"""Every job and the timetable: what a bell may ask for, and what falls due each minute."""

import logging
from collections.abc import Callable

from flask import Flask

from store.catalog import uploads
from store.distribution import imports, live, recalling, rehearsal, releasing
from store.entitlements import (
    addresses,
    clearing,
    forgotten,
    fresh_links,
    journal_after_restore,
    nameless,
    parting,
    repairs,
)
from store.kit import jobs, limits
from store.kit.database import end_read, transaction
from store.mail import heartbeats, rests, returned_mailbox, returns, standstills, worker
from store.orders import offers
from store.payments import (
    checkout,
    date_alerts,
    date_moves,
    day_sums,
    disputes,
    erasures,
    inbox,
    looking_back,
    refunds,
    transfers,
)

log = logging.getLogger(__name__)


def register_jobs(app: Flask) -> None:
    """Make the jobs ringable in this application."""
    jobs.register(app, tick, each_minute=True)
    jobs.register(app, send_letters)
    jobs.register(app, inbox.apply_event)
    jobs.register(app, refunds.send_refunds)
    jobs.register(app, release_due)
    jobs.register(app, imports.bring_in)
    jobs.register(app, returned_mailbox.read_returned)


def tick() -> None:
    """One pass of everything that falls due. Safe many times and at once."""
    for step in TIMETABLE:
        try:
            step()
        except Exception:
            # One step that fails must not keep the others from their work.
            log.exception("timetable step %s failed", step.__name__)
        finally:
            end_read()
    heartbeats.note_pass()


def begin() -> None:
    """What a worker does first: ask the mail server at once, as what it refused us for may be
    mended, and free what a worker that died here had claimed."""
    with transaction() as session:
        rests.try_now(session)
    tick()


# A worker that is asked to end does so within this time; the rest rings the bell again.
LONGEST_JOB_SECONDS = 20


def send_letters() -> None:
    """Send what is due over one of this process's connections."""
    worker.send_due_letters(LONGEST_JOB_SECONDS)


def release_due() -> None:
    """Release what has reached its moment, and count it once, so that no page has to."""
    if releasing.release_due():
        live.recount_due()


TIMETABLE: tuple[Callable[[], object], ...] = (
    # Before anything is written to who was erased: the database may be one from a backup.
    erasures.apply_journal,
    journal_after_restore.keep_journal,
    limits.forget_ended_windows,
    releasing.release_due,
    releasing.owe_missing,
    recalling.settle_recalled,
    live.recount_due,
    rehearsal.count_due,
    date_moves.look_after_moves,
    date_alerts.warn_of_dates,
    date_alerts.alert_overdue,
    worker.sweep,
    standstills.tell,
    worker.release_mended,
    returned_mailbox.wake_when_due,
    returns.settle_late,
    repairs.free_accepted,
    repairs.look_after_holds,
    worker.wake_when_due,
    inbox.take_missed_news,
    looking_back.look_back,
    checkout.end_left_open,
    inbox.sweep,
    inbox.alert_on_burst,
    refunds.send_refunds,
    transfers.look_after_transfers,
    checkout.expire_due,
    erasures.carry_out_due,
    nameless.remove_old_accounts,
    disputes.remind,
    day_sums.keep_days,
    fresh_links.forget_unknown_addresses,
    addresses.forget_unproved_addresses,
    repairs.forget_holds,
    parting.forget_merges,
    offers.forget_offers,
    uploads.forget_broken_uploads,
    imports.go_on,
    imports.forget_files,
    clearing.clear_old,
    forgotten.forget_customers,
)
