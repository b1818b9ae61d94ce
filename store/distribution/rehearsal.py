"""A release tried beforehand: who gets it, who does not and why, the very letter, what looks wrong."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from store.catalog.editions import look_at_notes
from store.catalog.gate.report import suspicious_changes
from store.catalog.models import Asset, Edition, EditionStatus, Publication, PublicationStatus
from store.distribution.letters import edition_notice
from store.distribution.recipients import recipients
from store.entitlements.received import NOTICE
from store.kit import clock
from store.kit.config import config
from store.kit.database import db
from store.mail import outbox
from store.mail.letters import Letter, preview_letter, render_letter
from store.mail.mime import LetterText
from store.mail.models import Delivery, Occasion
from store.orders.customers import parse_address
from store.orders.models import Customer

# Above this many people a release is confirmed by typing the number, so that nobody writes to a
# thousand people by a slip, or by a habit's "y".
TYPED_ABOVE = 100


@dataclass(frozen=True)
class Rehearsal:
    """What a release would do now. `recipients` = `owners` + `preorders`, once each."""

    recipients: int
    owners: int
    preorders: int
    waiting: int  # of the recipients, those whose letter falls due later
    left_out: dict[str, int]
    warnings: list[str]
    letter: LetterText
    letter_to: str | None  # the customer whose values it has; None: sample values

    @property
    def concerned(self) -> int:
        """Everybody in one column or the other."""
        return self.recipients + sum(self.left_out.values())


def rehearse(edition: Edition) -> Rehearsal:
    """Count and show what releasing the edition now would do. Writes nothing."""
    rows = recipients(edition).subquery()
    found = db.session.execute(
        sa.select(
            rows.c.left_out,
            sa.func.count().label("people"),
            sa.func.sum(rows.c.is_first).label("preorders"),
            sa.func.sum(sa.case((rows.c.due_at > clock.now(), 1), else_=0)).label("waiting"),
        )
        .group_by(rows.c.left_out)
        .order_by(rows.c.left_out)
    ).all()
    owed = next((row for row in found if row.left_out is None), None)
    people, preorders = (owed.people, int(owed.preorders)) if owed else (0, 0)
    letter, to = _letter(edition)
    warnings = _warnings(edition)
    if not people:
        warnings.append("Nobody has bought this publication yet, so no letter will be sent.")
    return Rehearsal(
        recipients=people,
        owners=people - preorders,
        preorders=preorders,
        waiting=int(owed.waiting) if owed else 0,
        left_out={row.left_out: row.people for row in found if row.left_out},
        warnings=warnings,
        letter=letter,
        letter_to=to,
    )


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


def _letter(edition: Edition) -> tuple[LetterText, str | None]:
    """The letter with the values of the first recipient; of nobody where there is none."""
    rows = recipients(edition).subquery()
    first = (
        sa.select(rows.c.customer_id, rows.c.occasion)
        .where(rows.c.left_out.is_(None))
        .order_by(rows.c.customer_id)
        .limit(1)
    )
    customer_id, occasion = db.session.execute(first).one_or_none() or (None, None)
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
    # The customer's own addresses open their library: nobody else is shown them.
    base = config().base_url
    links = {"library_url": f"{base}/library/…", "stop_url": f"{base}/stop/…"}
    context = letter.context | links | {"is_test": False}
    return render_letter(NOTICE, context), customer.email if customer else None


def _warnings(edition: Edition) -> list[str]:
    found: list[str] = []
    if not edition.assets:
        found.append("There is no file yet. Upload a PDF or an EPUB.")
    if not edition.notes:
        found.append("There are no notes: the letter will not say what changed.")
    found += look_at_notes(edition.notes)
    if edition.publication.status != PublicationStatus.LISTED:
        found.append("The publication is not on sale.")
    for asset in edition.assets:
        found += [
            _named(asset, one["sentence"]) for one in asset.findings if one["level"] == "warn"
        ]
    return found + _seen_before(edition) + _beside_last(edition) + _shared_identifiers(edition)


def _seen_before(edition: Edition) -> list[str]:
    """The same bytes as in an earlier edition, withdrawn ones before all: the usual slip is to
    upload the wrong file a second time."""
    now = {asset.sha256: asset.format for asset in edition.assets}
    earlier = (
        sa.select(Asset, Edition.number)
        .join(Edition)
        .where(
            Edition.publication_id == edition.publication_id,
            Edition.number < edition.number,
            Asset.sha256.in_(list(now)),
        )
        .order_by(Edition.number.desc())
    )
    return [
        _named(old, f"This is the same file as in edition {number}.")
        for old, number in db.session.execute(earlier)
        if now[old.sha256] == old.format
    ]


def _beside_last(edition: Edition) -> list[str]:
    # The edition that readers have now; a withdrawn one is no measure of this one.
    in_force = sa.select(Edition).where(
        Edition.publication_id == edition.publication_id,
        Edition.number < edition.number,
        Edition.status == EditionStatus.RELEASED,
    )
    before = db.session.scalars(in_force.order_by(Edition.number.desc()).limit(1)).first()
    if before is None:
        return []
    found: list[str] = []
    now = {asset.format: asset for asset in edition.assets}
    for old in before.assets:
        new = now.get(old.format)
        if new is None:
            found.append(
                f"Edition {before.number} came as {old.format.upper()} too; this one does not."
            )
            continue
        odd = suspicious_changes(old.facts, old.sha256, new.facts, new.sha256, old.size, new.size)
        found += [_named(new, one.sentence) for one in odd if one.code != "same-bytes"]
    return found


def _shared_identifiers(edition: Edition) -> list[str]:
    """Reading apps take two books of one identifier for one, and put one in the other's place."""
    said = Asset.facts["identifier"].as_string()
    now = {str(asset.facts.get("identifier") or ""): asset for asset in reversed(edition.assets)}
    others = (
        sa.select(said, Publication.title)
        .join(Edition, Edition.id == Asset.edition_id)
        .join(Publication, Publication.id == Edition.publication_id)
        .where(
            Publication.id != edition.publication_id,
            Edition.status != EditionStatus.WITHDRAWN,
            said.in_([one for one in now if one]),
        )
        .distinct()
        .order_by(Publication.title)
    )
    return [
        _named(
            now[identifier],
            f"The identifier inside the file, {identifier}, is that of “{title}” too. Reading apps "
            "would put one in the place of the other: give each publication its own.",
        )
        for identifier, title in db.session.execute(others)
    ]


def _named(asset: Asset, sentence: str) -> str:
    return f"{asset.format.upper()}: {sentence}"
