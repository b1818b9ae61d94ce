"""A release tried beforehand: who gets it, who does not and why, the very letter, what looks wrong."""

import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from store.catalog.models import Edition, EditionStatus
from store.distribution import tallies
from store.distribution.checks import Check, Rank, check_edition
from store.distribution.letters import edition_notice
from store.distribution.recipients import recipients
from store.distribution.tallies import TallyKind
from store.entitlements.models import Entitlement
from store.entitlements.received import NOTICE
from store.kit import clock
from store.kit.database import db, end_read, transaction
from store.mail import outbox
from store.mail.letters import Letter, preview_letter
from store.mail.mime import LetterText
from store.mail.models import Delivery, Occasion
from store.mail.shown import to_look_at
from store.orders.customers import parse_address
from store.orders.models import Customer

# Above this many people a release is confirmed by typing the number, so that nobody writes to a
# thousand people by a slip, or by a habit's "y".
TYPED_ABOVE = 100
# What was counted longer ago than this is counted row by row: no timetable runs.
_OLD = timedelta(minutes=10)
# A customer, and why they are told.
Reader = tuple[int | None, str | None]


def must_be_typed(people: int) -> bool:
    """Whether a release to so many is confirmed by typing the number."""
    return people > TYPED_ABOVE


@dataclass(frozen=True)
class Rehearsal:
    """What a release would do now. `recipients` = `owners` + `preorders`, once each."""

    recipients: int
    owners: int
    preorders: int
    waiting: int  # of the recipients, those whose letter falls due later
    occasions: dict[str, int]  # of the recipients, by why they are told
    left_out: dict[str, int]
    warnings: list[str]
    checks: list[Check]
    letter: LetterText
    letter_to: str | None  # the customer whose values it has; None: sample values
    letter_name: str  # their name; empty where they gave none

    @property
    def concerned(self) -> int:
        """Everybody in one column or the other."""
        return self.recipients + sum(self.left_out.values())


def rehearse(edition: Edition, chosen: int | Occasion | None = None) -> Rehearsal:
    """Count, row by row, and show what releasing the edition now would do. Writes nothing. The
    letter is that of the `chosen` customer, or of the first who is told for that reason, if there
    is one."""
    return _rehearsal(edition, count_recipients(edition), _reader(edition, chosen))


def in_prospect(edition: Edition, chosen: int | Occasion | None = None) -> Rehearsal:
    """The same as the timetable counted it last, at the same cost however many there are."""
    tally = _tally(edition)
    if tally is None:
        return rehearse(edition, chosen)
    found = tally.found
    reader = _reader(edition, chosen) if chosen is not None else tuple(found["reader"])
    return _rehearsal(edition, Counted(**found["counted"]), reader)


def _rehearsal(edition: Edition, counted: "Counted", reader: Reader) -> Rehearsal:
    people = counted.recipients
    checks = check_edition(edition)
    if not people:
        nobody = "Nobody has bought this publication yet, so no letter will be sent."
        checks.append(Check(Rank.LOOK, nobody))
    letter, to = _letter(edition, *reader)
    return Rehearsal(
        recipients=people,
        owners=people - counted.preorders,
        preorders=counted.preorders,
        waiting=counted.waiting,
        occasions=counted.occasions,
        left_out=counted.left_out,
        warnings=[one.whole for one in checks if one.rank is not Rank.PASSED],
        checks=checks,
        letter=letter,
        letter_to=to.email if to else None,
        letter_name=to.name if to else "",
    )


@dataclass(frozen=True)
class Counted:
    """Everybody whom an edition concerns, in numbers."""

    occasions: dict[str, int]
    left_out: dict[str, int]
    preorders: int
    waiting: int

    @property
    def recipients(self) -> int:
        """Who gets a letter."""
        return sum(self.occasions.values())


def count_recipients(edition: Edition) -> Counted:
    """How many get the edition and how many do not, each by why: one statement."""
    rows = recipients(edition).subquery()
    is_owed = rows.c.left_out.is_(None)
    why = sa.func.coalesce(rows.c.left_out, rows.c.occasion).label("why")
    found = db.session.execute(
        sa.select(
            is_owed.label("is_owed"),
            why,
            sa.func.count().label("people"),
            sa.func.sum(rows.c.is_first).label("preorders"),
            sa.func.sum(sa.case((rows.c.due_at > clock.now(), 1), else_=0)).label("waiting"),
        )
        .group_by(is_owed, why)
        .order_by(why)
    ).all()
    owed = [row for row in found if row.is_owed]
    return Counted(
        {str(row.why): row.people for row in owed},
        {str(row.why): row.people for row in found if not row.is_owed},
        sum(int(row.preorders) for row in owed),
        sum(int(row.waiting) for row in owed),
    )


def counted_in_prospect(edition: Edition) -> Counted:
    """The same as the timetable counted it last; row by row where it has not, or somebody has
    bought the publication since."""
    tally = _tally(edition)
    return count_recipients(edition) if tally is None else Counted(**tally.found["counted"])


def count_people(edition: Edition) -> int:
    """How many a release would reach now, row by row; what is kept is forgotten where it differs,
    in a transaction of its own."""
    edition_id, now = edition.id, count_recipients(edition).recipients
    tally = tallies.kept(TallyKind.REHEARSAL, edition_id)
    if tally is not None and Counted(**tally.found["counted"]).recipients != now:
        with transaction():
            tallies.forget(TallyKind.REHEARSAL, edition_id)
    return now


def count_due() -> int:
    """Count once more whom each edition that is not out would reach, for the timetable; returns how
    many were counted. Opens a transaction for each that changed."""
    to_come = (EditionStatus.DRAFT, EditionStatus.SCHEDULED)
    done = 0
    for edition_id in db.session.scalars(
        sa.select(Edition.id).where(Edition.status.in_(to_come)).order_by(Edition.id)
    ).all():
        tally = tallies.kept(TallyKind.REHEARSAL, edition_id)
        if tally is not None and not tally.is_older_than(clock.MINUTE):
            continue
        start = time.perf_counter()
        found = _found(db.session.get_one(Edition, edition_id))
        done += 1
        if tally is None or tally.found != found or tally.is_older_than(_OLD / 2):
            with transaction():
                tallies.keep(TallyKind.REHEARSAL, edition_id, found, time.perf_counter() - start)
        end_read()
    return done


def _found(edition: Edition) -> dict[str, Any]:
    newest = db.session.scalar(sa.select(sa.func.max(Entitlement.id))) or 0
    return {
        "newest": newest,
        "severity": edition.severity,
        "counted": asdict(count_recipients(edition)),
        "reader": list(_reader(edition, None)),
    }


def _tally(edition: Edition) -> tallies.Tally | None:
    """What was counted last, where nobody has bought the publication since."""
    tally = tallies.kept(TallyKind.REHEARSAL, edition.id)
    if tally is None or tally.is_older_than(_OLD):
        return None
    # Who hears of it hangs on how much it matters.
    if tally.found.get("severity") != edition.severity:
        return None
    # By the few newest rights, and not by all of the publication's: the sum is no column of an index.
    of_it = Entitlement.publication_id + 0 == edition.publication_id
    since = sa.exists().where(Entitlement.id > tally.found["newest"], of_it)
    return None if db.session.scalar(sa.select(since)) else tally


def send_test(edition: Edition, address: str) -> None:
    """Owe the edition's notice to one address of the staff, marked [TEST]; it counts nowhere.

    Refuses (`InvalidAddress`) what no letter can be sent to.
    """
    outbox.owe(
        NOTICE,
        f"test:{edition.id}:{uuid4().hex}",
        edition_id=edition.id,
        address=parse_address(address),
        facts={"test": True},
        occasion=Occasion.RELEASED,
        priority=outbox.SOMEBODY_WAITS,
    )


def _reader(edition: Edition, chosen: int | Occasion | None) -> Reader:
    """The chosen recipient, else the first."""
    rows = recipients(edition).subquery()
    order: list[Any] = [rows.c.customer_id]
    if isinstance(chosen, Occasion):
        order.insert(0, sa.case((rows.c.occasion == chosen.value, 0), else_=1))
    elif chosen is not None:
        order.insert(0, sa.case((rows.c.customer_id == chosen, 0), else_=1))
    first = (
        sa.select(rows.c.customer_id, rows.c.occasion)
        .where(rows.c.left_out.is_(None))
        .order_by(*order)
        .limit(1)
    )
    found = db.session.execute(first).one_or_none()
    return (found.customer_id, found.occasion) if found else (None, None)


def _letter(
    edition: Edition, customer_id: int | None, occasion: str | None
) -> tuple[LetterText, Customer | None]:
    """The letter with the values of a recipient; of nobody where there is none."""
    facts: dict[str, Any] | None = None if customer_id else {"test": True}
    unsaved = Delivery(
        kind=NOTICE,
        edition_id=edition.id,
        customer_id=customer_id,
        facts=facts,
        occasion=Occasion(occasion) if occasion else None,
    )
    found = edition_notice(unsaved)
    letter = found if isinstance(found, Letter) else preview_letter(NOTICE)
    customer = db.session.get(Customer, customer_id) if customer_id else None
    return to_look_at(NOTICE, letter.context | {"is_test": False}), customer
