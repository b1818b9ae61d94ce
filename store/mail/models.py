"""Tables of the outbox: letters, their batches and tries, and what keeps them waiting."""

from datetime import datetime
from enum import StrEnum
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from store.kit.database import Base, one_of, status_type
from store.kit.status import Status


class BatchStatus(Status):
    """A batch runs, may pause, and ends finished or recalled; letters sent again reopen it."""

    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    RECALLED = "recalled"

    @classmethod
    def moves(cls) -> dict["BatchStatus", set["BatchStatus"]]:
        return {
            cls.RUNNING: {cls.PAUSED, cls.FINISHED, cls.RECALLED},
            cls.PAUSED: {cls.RUNNING, cls.RECALLED},
            # Letters of it are sent again: pause, recall and brake work as before.
            cls.FINISHED: {cls.RUNNING},
        }


class DeliveryStatus(Status):
    """One letter's way out. `held` waits for a person; `skipped` says why it was left out;
    `bounced` was handed over and came back as mail."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    BOUNCED = "bounced"
    FAILED = "failed"
    HELD = "held"
    SKIPPED = "skipped"

    @classmethod
    def moves(cls) -> dict["DeliveryStatus", set["DeliveryStatus"]]:
        return {
            cls.QUEUED: {cls.SENDING, cls.HELD, cls.SKIPPED},
            # Held: only the server could say that it does not carry such an address.
            cls.SENDING: {cls.SENT, cls.QUEUED, cls.FAILED, cls.HELD},
            cls.SENT: {cls.BOUNCED},
            cls.BOUNCED: {cls.QUEUED},
            cls.HELD: {cls.QUEUED, cls.SKIPPED},
            cls.FAILED: {cls.QUEUED},
            cls.SKIPPED: {cls.QUEUED},
        }

    @classmethod
    def open(cls) -> set["DeliveryStatus"]:
        """Not yet handed over and not given up."""
        return {cls.QUEUED, cls.SENDING}


class Occasion(StrEnum):
    """Why a customer is told of an edition; written by the rule that owes the notice."""

    RELEASED = "released"  # news to who has a copy already
    FIRST_COPY = "first_copy"  # a pre-order comes to its end, or what never arrived
    DAYS_OVER = "days_over"  # the right to cancel has ended
    ASKED = "asked"  # the customer wanted it within the 14 days after all
    ACCESS_BACK = "access_back"  # a dispute was won, or a refund failed
    RESENT = "resent"  # a person sent it again
    CORRECTION = "correction"  # what was handed over before is withdrawn


class Batch(Base):
    """The deliveries of one release."""

    __tablename__ = "batches"
    __table_args__ = (sa.UniqueConstraint("reason", "subject_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(sa.String(20))
    subject_id: Mapped[int]  # the edition's id while "edition" is the only reason
    number: Mapped[int] = mapped_column(default=1)
    status: Mapped[BatchStatus] = mapped_column(status_type(BatchStatus))
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    pause_reason: Mapped[str] = mapped_column(sa.Text, default="")


# All priorities there are: workers look for the letters of each, and for no other.
PRIORITIES = (0, 1)

# Conditions of partial indexes: one serves only a query that repeats it to the letter. A letter
# that is claimed waits or is under way, and nothing that is not claimed is under way, so the first
# two are all that is open. The third is what people look for one by one, and few.
_QUEUED, _CLAIMED = "status = 'queued' AND claimed_at IS NULL", "claimed_at IS NOT NULL"
_OTHER_KINDS = "kind <> 'edition_notice'"
_RESTING = "status = 'failed' OR status = 'held' OR status = 'skipped' OR status = 'bounced'"

_TWICE = "is_possibly_twice AND batch_id IS NOT NULL"


def _partial(name: str, *columns: str, where: str) -> sa.Index:
    return sa.Index(name, *columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


class Delivery(Base):
    """One letter owed to one address for one reason; the dedupe key keeps it to one."""

    __tablename__ = "deliveries"
    __table_args__ = (
        # A letter on its way rewrites the first two alone, and one that does not leave the third.
        _partial("ix_deliveries_queue", "priority", "due_at", "id", where=_QUEUED),
        _partial("ix_deliveries_claimed_at", "claimed_at", where=_CLAIMED),
        _partial("ix_deliveries_status_id", "status", "id", where=_RESTING),
        # Most letters are notices, so that a walk finds these and a release writes no index of kinds.
        _partial("ix_deliveries_kind_id", "kind", "id", where=_OTHER_KINDS),
        _partial("ix_deliveries_batch_id", "batch_id", where="batch_id IS NOT NULL"),
        _partial("ix_deliveries_order_id", "order_id", where="order_id IS NOT NULL"),
        _partial("ix_deliveries_address", "address", "id", where="address IS NOT NULL"),
        _partial("ix_deliveries_possibly_twice", "batch_id", where=_TWICE),
        sa.Index("ix_deliveries_edition_id_customer_id", "edition_id", "customer_id"),
        sa.Index("ix_deliveries_customer_id", "customer_id"),
        one_of("status", DeliveryStatus),
        one_of("occasion", Occasion),
        sa.CheckConstraint(
            "kind <> 'edition_notice' OR occasion IS NOT NULL", name="notice_has_occasion"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(40))
    status: Mapped[DeliveryStatus] = mapped_column(
        status_type(DeliveryStatus, is_checked=False), default=DeliveryStatus.QUEUED
    )
    # Why it was left out, is held or failed.
    reason: Mapped[str] = mapped_column(sa.String(300), default="")
    # Why it is owed: of an edition's notice, null for every other kind.
    occasion: Mapped[Occasion | None] = mapped_column(status_type(Occasion, is_checked=False))
    dedupe_key: Mapped[str] = mapped_column(sa.String(120), unique=True)
    batch_id: Mapped[int | None] = mapped_column(sa.ForeignKey("batches.id"))
    customer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("customers.id"))
    order_id: Mapped[int | None] = mapped_column(sa.ForeignKey("orders.id"))
    edition_id: Mapped[int | None] = mapped_column(sa.ForeignKey("editions.id"))
    link_id: Mapped[int | None] = mapped_column(sa.ForeignKey("links.id"))
    # Set where the letter goes to an address that is no customer's (yet), or no longer.
    address: Mapped[str | None] = mapped_column(sa.String(320))
    facts: Mapped[dict[str, Any] | None]
    priority: Mapped[int] = mapped_column(sa.SmallInteger, default=1)
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    claimed_by: Mapped[str | None] = mapped_column(sa.String(120))
    claimed_at: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    message_id: Mapped[str | None] = mapped_column(sa.String(120))
    is_possibly_twice: Mapped[bool] = mapped_column(default=False)
    sent_at: Mapped[datetime | None]


class Attempt(Base):
    """One try to hand one letter over; without an outcome it is under way or was cut off."""

    __tablename__ = "attempts"
    __table_args__ = (sa.Index("ix_attempts_delivery_id", "delivery_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    delivery_id: Mapped[int] = mapped_column(sa.ForeignKey("deliveries.id"))
    worker: Mapped[str] = mapped_column(sa.String(120))
    address: Mapped[str] = mapped_column(sa.String(320))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(sa.String(20))
    reply: Mapped[str] = mapped_column(sa.String(1000), default="")


# For plain statements: no row of a session is to be kept in step.
deliveries = cast(sa.Table, Delivery.__table__)
attempts = cast(sa.Table, Attempt.__table__)


def open_letters(*columns: Any) -> sa.CompoundSelect[Any]:
    """Columns of all letters that wait or are under way, found without a look at the others."""
    return sa.union_all(
        *(sa.select(*columns).where(sa.text(which)) for which in (_QUEUED, _CLAIMED))
    )


def has_open_letters() -> sa.ColumnElement[bool]:
    """Whether letters of a batch wait or are under way, as part of a query of batches."""
    found = open_letters(Delivery.batch_id).subquery("open_letters")
    # Letters of no batch would make NOT IN unknown.
    return Batch.id.in_(sa.select(found.c.batch_id).where(found.c.batch_id.is_not(None)))


def stands_at(status: DeliveryStatus) -> sa.ColumnElement[bool]:
    """Which letters have this status, found without a look at all: of those that failed, came
    back, are held or were left out there is an index, and no open one is older than the oldest of
    the open."""
    # Written out: a parameter may keep a partial index from serving.
    is_there = Delivery.status == sa.literal_column(f"'{status}'")
    if status not in DeliveryStatus.open():
        return is_there
    found = open_letters(Delivery.id).subquery("open_letters")
    return sa.and_(is_there, Delivery.id >= sa.select(sa.func.min(found.c.id)).scalar_subquery())


def is_of_kind(kind: str) -> sa.ColumnElement[bool]:
    """Which letters are of this kind, found without a look at all: notices are nearly all."""
    is_it = Delivery.kind == kind
    return is_it if kind == "edition_notice" else sa.and_(is_it, sa.text(_OTHER_KINDS))


class ReturnKind(StrEnum):
    """What came back says of the letter: never, later, or that its reader did not want it."""

    HARD = "hard"
    SOFT = "soft"
    COMPLAINT = "complaint"


class ReturnedLetter(Base):
    """One report of one letter that came back, taken once however often it is handed in."""

    __tablename__ = "returned_letters"
    __table_args__ = (
        sa.Index("ix_returned_letters_delivery_id", "delivery_id"),
        _partial("ix_returned_letters_waiting", "id", where="settled_at IS NULL"),
        _partial("ix_returned_letters_complaints", "id", where="kind = 'complaint'"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(200), unique=True)
    delivery_id: Mapped[int] = mapped_column(sa.ForeignKey("deliveries.id"))
    kind: Mapped[ReturnKind] = mapped_column(status_type(ReturnKind))
    code: Mapped[str] = mapped_column(sa.String(20))  # RFC 3463, as "5.1.1", or empty
    words: Mapped[str] = mapped_column(sa.String(1000))
    # Where the letter had gone.
    address: Mapped[str] = mapped_column(sa.String(320))
    came_at: Mapped[datetime]
    # Null while the letter's own outcome is not written down yet: the timetable takes it up.
    settled_at: Mapped[datetime | None]


class AddressHold(Base):
    """An address from which letters came back: no further ones leave to it. By the spelling that
    customers are known by (`address_key`)."""

    __tablename__ = "address_holds"

    id: Mapped[int] = mapped_column(primary_key=True)
    address_key: Mapped[str] = mapped_column(sa.String(320), unique=True)
    kind: Mapped[ReturnKind] = mapped_column(status_type(ReturnKind))
    came_at: Mapped[datetime]
    words: Mapped[str] = mapped_column(sa.String(1000))
    # A letter was taken there since, of a soft hold, or somebody proved to read it: it ends with the
    # next minute of the timetable.
    accepted_at: Mapped[datetime | None]
    # A person gave it up with a word: letters are left out until the address changes.
    given_up_at: Mapped[datetime | None]


class RepairEnd(StrEnum):
    """How a repair came to its end."""

    CORRECTED = "corrected"  # the customer has another address now
    RESENT = "resent"  # a person sends to the same address again
    ACCEPTED = "accepted"  # a later letter was taken there
    GIVEN_UP = "given_up"  # by a person, with a word


class Repair(Base):
    """What a letter that came back leaves to do: one open for a customer and their address, or for
    a letter that is no customer's."""

    __tablename__ = "repairs"
    __table_args__ = (
        sa.Index("ix_repairs_customer_id", "customer_id"),
        sa.Index("ix_repairs_delivery_id", "delivery_id"),
        sa.Index(
            "uq_repairs_open_customer_id_address_key",
            "customer_id",
            "address_key",
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL AND customer_id IS NOT NULL"),
            postgresql_where=sa.text("ended_at IS NULL AND customer_id IS NOT NULL"),
        ),
        sa.Index(
            "uq_repairs_open_delivery_id",
            "delivery_id",
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
        _partial("ix_repairs_open", "opened_at", "id", where="ended_at IS NULL"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    # The letter that came back first.
    delivery_id: Mapped[int] = mapped_column(sa.ForeignKey("deliveries.id"))
    customer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("customers.id"))
    address_key: Mapped[str] = mapped_column(sa.String(320))
    kind: Mapped[ReturnKind] = mapped_column(status_type(ReturnKind))
    code: Mapped[str] = mapped_column(sa.String(20))
    words: Mapped[str] = mapped_column(sa.String(1000))
    opened_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    how: Mapped[RepairEnd | None] = mapped_column(status_type(RepairEnd))
    who: Mapped[str] = mapped_column(sa.String(200), default="")
    word: Mapped[str] = mapped_column(sa.String(500), default="")


class Pace(Base):
    """One row that all workers share: when the next letter may leave."""

    __tablename__ = "pace"

    id: Mapped[int] = mapped_column(primary_key=True)
    next_at: Mapped[datetime]


class Rest(Base):
    """What a mail server asks to be left alone with: one row for each domain that answered so, and
    one of the empty domain for the post as a whole. All workers share it; no row, fair weather."""

    __tablename__ = "rests"

    id: Mapped[int] = mapped_column(primary_key=True)
    domain: Mapped[str] = mapped_column(sa.String(255), unique=True)
    # Answers of this kind since the last letter that was taken, and rests taken since.
    strikes: Mapped[int]
    rests: Mapped[int]
    # Nothing leaves before; long past where nothing rests yet.
    until: Mapped[datetime]
    changed_at: Mapped[datetime]


class Restore(Base):
    """The database was put back from a backup: no letter leaves until a person says so."""

    __tablename__ = "restores"

    id: Mapped[int] = mapped_column(primary_key=True)
    made_at: Mapped[datetime]  # the backup
    restored_at: Mapped[datetime]
    numbers_from: Mapped[int]  # no row of meanwhile has a number so high
    # How far the journal tells what became of links and staff since; null: it does not.
    journal_until: Mapped[datetime | None]
    asked_at: Mapped[datetime | None]  # the gateways have told what they know since the backup
    let_go_at: Mapped[datetime | None]
    let_go_by: Mapped[str] = mapped_column(sa.String(200), default="")


class Standstill(Base):
    """A time in which the mail server took nothing, or refused us: staff are to hear of it though
    no letter leaves, until somebody has seen it."""

    __tablename__ = "standstills"

    id: Mapped[int] = mapped_column(primary_key=True)
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    # Whom the answer is about (`answers.About`), what it means there, and the server's words.
    about: Mapped[str] = mapped_column(sa.String(20))
    cause: Mapped[str] = mapped_column(sa.String(100))
    words: Mapped[str] = mapped_column(sa.String(500))
    told_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]
    seen_by: Mapped[str] = mapped_column(sa.String(200), default="")


class CapturedLetter(Base):
    """What would have left, while no mail server is set; the demo's inbox shows it."""

    __tablename__ = "captured_letters"
    __table_args__ = (sa.Index("ix_captured_letters_recipient", "recipient"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    recipient: Mapped[str] = mapped_column(sa.String(320))
    subject: Mapped[str] = mapped_column(sa.String(300))
    octets: Mapped[bytes]
    captured_at: Mapped[datetime]


class MailboxPlace(Base):
    """How far a mailbox of returned letters was read, and when that is due again."""

    __tablename__ = "mailbox_places"

    id: Mapped[int] = mapped_column(primary_key=True)
    # Stands for server, user and folder.
    name: Mapped[str] = mapped_column(sa.String(32), unique=True)
    # IMAP's UIDVALIDITY, and the UID of the last message that was read.
    validity: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    uid: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    due_at: Mapped[datetime]
    # How often it could not be read in a row, since when, and what the server said last.
    faults: Mapped[int] = mapped_column(default=0)
    fault: Mapped[str] = mapped_column(sa.String(300), default="")
    first_failed_at: Mapped[datetime | None]
