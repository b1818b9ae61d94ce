"""What was looked at before a release, each thing once and ranked: to mend, to look at, passed; and
what the files offer to readers who cannot see them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import sqlalchemy as sa

from store.catalog.editions import look_at_notes, withdrawn_before
from store.catalog.gate.report import suspicious_changes
from store.catalog.models import Asset, Edition, EditionStatus, Publication, PublicationStatus
from store.kit.database import db


class Rank(StrEnum):
    """Mend: buyers would meet a fault, or get what is not theirs. Look: a judgement."""

    MEND = "mend"
    LOOK = "look"
    PASSED = "passed"


# Findings of the gate that buyers would meet; every other warning of it is to be looked at.
_MENDED_FIRST = frozenset(
    {
        "pdf-file-links",
        "pdf-no-text",
        "pdf-author-path",
        "epub-broken-link",
        "epub-missing-picture",
        "epub-item-missing",
        "epub-item-misspelt",
        "epub-private",
    }
)
# What says the same as another finding, from another side.
_SAID_BY = {"pdf-untagged": "tags-lost"}


@dataclass(frozen=True)
class Check:
    """One thing looked at: how it stands, what and where, what to do, and others of its kind."""

    rank: Rank
    sentence: str
    code: str = ""
    file: str = ""  # PDF, EPUB, or empty where it is about no file
    more: list[str] = field(default_factory=list)

    @property
    def whole(self) -> str:
        """The sentence with the file that it is about."""
        return f"{self.file}: {self.sentence}" if self.file else self.sentence

    @property
    def lead(self) -> str:
        """What it is, without what to do."""
        return _split(self.sentence)[0]

    @property
    def advice(self) -> str:
        """What to do; empty where nothing is."""
        return _split(self.sentence)[1]


def _split(sentence: str) -> tuple[str, str]:
    parts = re.split(r"(?<=[a-z)”’][.:])\s+(?=[A-Z])", sentence, maxsplit=1)
    return parts[0], parts[1] if len(parts) > 1 else ""


def ranked(checks: Iterable[Check], rank: Rank) -> list[Check]:
    """Those of one rank, those of one kind and file as one."""
    kinds: dict[tuple[str, str], Check] = {}
    for number, one in enumerate(found for found in checks if found.rank is rank):
        key = (one.file, one.code or str(number))
        first = kinds.setdefault(key, one)
        if first is not one:
            first.more.append(one.sentence)
    return list(kinds.values())


def check_edition(edition: Edition) -> list[Check]:
    """Everything that was looked at, in the order of the page: notes, publication, then each file
    by itself, beside earlier editions and beside other publications."""
    found: list[Check] = []
    if not edition.assets:
        found.append(Check(Rank.MEND, "There is no file yet. Upload a PDF or an EPUB."))
    if not edition.notes:
        sentence = "There are no notes: the letter will not say what changed."
        found.append(Check(Rank.LOOK, sentence))
    found += [Check(Rank.LOOK, sentence) for sentence in look_at_notes(edition.notes)]
    found += _unexplained(edition)
    if edition.publication.status != PublicationStatus.LISTED:
        found.append(Check(Rank.LOOK, "The publication is not on sale."))
    for asset in edition.assets:
        found += [_of_gate(asset, one) for one in asset.findings]
    found += _seen_before(edition) + _beside_last(edition) + _shared_identifiers(edition)
    told = {one.code for one in found}
    return [one for one in found if _SAID_BY.get(one.code) not in told]


def _unexplained(edition: Edition) -> list[Check]:
    replaced = withdrawn_before(edition)
    if replaced is None or edition.correction:
        return []
    sentence = (
        f"The letter to those who were sent edition {replaced.number} does not say what was wrong "
        "with it. Add a sentence under “Change notes and label”."
    )
    return [Check(Rank.LOOK, sentence)]


def _of_gate(asset: Asset, one: dict[str, str]) -> Check:
    code = one.get("code", "")
    if one["level"] == "pass":
        rank = Rank.PASSED
    else:
        rank = Rank.MEND if code in _MENDED_FIRST or one["level"] == "fail" else Rank.LOOK
    return _about(asset, rank, one["sentence"], code)


def _about(asset: Asset, rank: Rank, sentence: str, code: str = "") -> Check:
    return Check(rank, sentence, code, asset.format.upper())


def _seen_before(edition: Edition) -> list[Check]:
    """The same bytes as in an earlier edition, withdrawn ones before all: the usual slip is to
    upload the wrong file a second time."""
    now = {asset.sha256: asset.format for asset in edition.assets}
    earlier = (
        sa.select(Asset, Edition.number, Edition.status)
        .join(Edition)
        .where(
            Edition.publication_id == edition.publication_id,
            Edition.number < edition.number,
            Asset.sha256.in_(list(now)),
        )
        .order_by(Edition.number.desc())
    )
    found = []
    for old, number, status in db.session.execute(earlier):
        if now[old.sha256] == old.format:
            rank = Rank.MEND if status == EditionStatus.WITHDRAWN else Rank.LOOK
            sentence = f"This is the same file as in edition {number}."
            found.append(_about(old, rank, sentence, f"same-as-{number}"))
    return found


def _beside_last(edition: Edition) -> list[Check]:
    # The edition that readers have now; a withdrawn one is no measure of this one.
    in_force = sa.select(Edition).where(
        Edition.publication_id == edition.publication_id,
        Edition.number < edition.number,
        Edition.status == EditionStatus.RELEASED,
    )
    before = db.session.scalars(in_force.order_by(Edition.number.desc()).limit(1)).first()
    if before is None:
        return []
    found: list[Check] = []
    now = {asset.format: asset for asset in edition.assets}
    for old in before.assets:
        new = now.get(old.format)
        if new is None:
            gone = f"Edition {before.number} came as {old.format.upper()} too; this one does not."
            found.append(Check(Rank.LOOK, gone))
            continue
        odd = suspicious_changes(old.facts, old.sha256, new.facts, new.sha256, old.size, new.size)
        # Of the same file `_seen_before` tells, of whichever edition it was.
        found += [
            _about(new, Rank.LOOK, one.sentence, one.code)
            for one in odd
            if one.code != "same-bytes"
        ]
        if not odd:
            like = f"In length, size and identifier it is like that of edition {before.number}."
            found.append(_about(new, Rank.PASSED, like))
    return found


def _shared_identifiers(edition: Edition) -> list[Check]:
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
        _about(
            now[identifier],
            Rank.LOOK,
            f"It has the same identifier as “{title}”. Reading apps would put one in the place of "
            f"the other: give each publication its own. In both files stands {identifier}.",
        )
        for identifier, title in db.session.execute(others)
    ]


@dataclass(frozen=True)
class Offer:
    """What the files offer to readers who cannot see them, in one respect; where it lacks, what
    to do."""

    term: str
    words: str
    advice: str = ""


def accessibility(assets: Sequence[Asset]) -> list[Offer]:
    """A short report, as far as the gate counted it in the content of these files."""
    by_format = {asset.format: asset for asset in assets}
    pdf, epub = (by_format[one].facts if one in by_format else None for one in ("pdf", "epub"))
    found: list[Offer] = []
    if pdf is not None:
        tags = "Export the PDF with the option for tagged or accessible PDF."
        text = "Run text recognition (OCR) over the PDF."
        found += [
            _offer("Reading order (PDF)", bool(pdf.get("tagged")), "tagged", "not tagged", tags),
            _offer("Text (PDF)", pdf.get("words") != 0, "can be read out", "pictures alone", text),
        ]
    for name, facts in (("PDF", pdf), ("EPUB", epub)):
        if facts is not None:
            found += _named_well(name, facts)
    return found + (_pictures(epub) if epub else [])


def _named_well(name: str, facts: dict[str, object]) -> list[Offer]:
    set_it = f"Set it in the properties of the document that the {name} is made from."
    marks = f"Export the {name} with bookmarks made from the headings."
    title, language = str(facts.get("title") or ""), str(facts.get("language") or "")
    return [
        _offer(f"Title ({name})", bool(title.strip()), title, "not set", set_it),
        _offer(f"Language ({name})", bool(language), language, "not said", set_it),
        _offer(f"Bookmarks ({name})", bool(facts.get("bookmarks")), "there", "none", marks),
    ]


def _pictures(facts: dict[str, object]) -> list[Offer]:
    found = []
    if "headings" in facts:
        style = "Give chapters the styles of headings, then export the EPUB again."
        has = bool(facts["headings"])
        found.append(_offer("Headings (EPUB)", has, f"{facts['headings']:,}", "none", style))
    counted = facts.get("pictures")
    if isinstance(counted, dict) and (total := counted["described"] + counted["undescribed"]):
        words = f"{counted['described']:,} of {total:,} described"
        tell = "Say in words what each picture shows, then export the EPUB again."
        is_whole = not counted["undescribed"]
        found.append(_offer("Pictures (EPUB)", is_whole, words, words, tell))
    return found


def _offer(term: str, has: bool, words: str, lacking: str, advice: str) -> Offer:
    return Offer(term, words) if has else Offer(term, lacking, advice)
