"""What the gate answers: findings in plain words, about a file or about what changed since the last
edition's, and facts for the publication page; and the notebook in which both are gathered while a
file is inspected."""

import json
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias, cast

from store.catalog.gate.sentences import SENTENCES, Level

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
Format = Literal["pdf", "epub"]
_SHOWN_PER_CODE = 10
_LONGEST_VALUE = 160
_SIZE_JUMP = 3
_LEFT_OUT = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True)
class Finding:
    """One thing looked at: how it went, a code for programs, a sentence for people."""

    level: Level
    code: str
    sentence: str


@dataclass(frozen=True)
class Report:
    """The verdict on one file. Cover and repaired file are not part of its JSON."""

    format: Format | None
    findings: list[Finding]
    facts: dict[str, JSON] = field(default_factory=dict)
    cover_png: bytes | None = None
    repaired: Path | None = None

    @property
    def accepted(self) -> bool:
        """Whether the file may be sold: nothing in it failed."""
        return not self.failures

    @property
    def failures(self) -> list[Finding]:
        """The findings that forbid the file."""
        return [finding for finding in self.findings if finding.level == "fail"]

    @property
    def warnings(self) -> list[Finding]:
        """The findings to be read before the file is released."""
        return [finding for finding in self.findings if finding.level == "warn"]

    def to_json(self) -> dict[str, JSON]:
        """Format, findings and facts as plain values, to be stored beside the asset."""
        return {
            "format": self.format,
            "findings": [
                {"level": one.level, "code": one.code, "sentence": one.sentence}
                for one in self.findings
            ],
            "facts": self.facts,
        }

    @classmethod
    def from_json(cls, stored: dict[str, JSON] | str) -> "Report":
        """The report that `to_json` stored, as a dictionary or as its text."""
        values = json.loads(stored) if isinstance(stored, str) else stored
        found = cast("list[dict[str, str]]", values["findings"])
        return cls(
            format=cast("Format | None", values["format"]),
            findings=[
                Finding(cast("Level", one["level"]), one["code"], one["sentence"]) for one in found
            ],
            facts=cast("dict[str, JSON]", values["facts"]),
        )


def finding(code: str, **values: object) -> Finding:
    """The finding of this code; values fill the gaps in its sentence."""
    level, sentence = SENTENCES[code]
    shown = {name: shorten(value) for name, value in values.items()}
    return Finding(level, code, sentence.format(**shown))


def shorten(value: object) -> str:
    """A value out of a stranger's file, fit to be shown: one line, no control characters, short."""
    kept = (sign for sign in str(value) if unicodedata.category(sign) not in _LEFT_OUT)
    text = " ".join("".join(kept).split())
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def suspicious_changes(
    previous_facts: dict[str, JSON],
    previous_sha256: str,
    facts: dict[str, JSON],
    sha256: str,
    previous_size: int,
    size: int,
) -> list[Finding]:
    """Warnings about a new file of a format, given the last edition's facts, checksum, bytes."""
    if previous_sha256 == sha256:
        return [finding("same-bytes")]
    found = []
    for fact, code in (("pages", "pages-halved"), ("words", "words-halved")):
        old, new = previous_facts.get(fact), facts.get(fact)
        if isinstance(old, int) and isinstance(new, int) and old > 0 and new * 2 <= old:
            found.append(finding(code, before=f"{old:,}", now=f"{new:,}"))
            break
    if min(previous_size, size) * _SIZE_JUMP < max(previous_size, size):
        found.append(finding("size-jump", before=_size(previous_size), now=_size(size)))
    before, now = previous_facts.get("identifier"), facts.get("identifier")
    if before and now and before != now:
        found.append(finding("identifier-differs", before=before, now=now))
    before, now = _written_at(previous_facts), _written_at(facts)
    if before and now and now <= before:
        found.append(finding("modified-not-newer", before=before, now=now))
    if previous_facts.get("tagged") is True and facts.get("tagged") is False:
        found.append(finding("tags-lost"))
    return found


def _written_at(facts: dict[str, JSON]) -> str:
    """An EPUB's dcterms:modified, by which reading apps order editions; always UTC, so it sorts."""
    return str(facts.get("modified", "")) if "epub_version" in facts else ""


def _size(count: int) -> str:
    if count < 1_000_000:
        return f"{max(1, round(count / 1000)):,} kB"
    return f"{count / 1_000_000:,.1f} MB"


class Stop(Exception):
    """Nothing more can be learned from this file; the notebook says why."""


class Notebook:
    """Findings and facts as they come; the tenth finding of one kind is the last one shown."""

    def __init__(self) -> None:
        self.facts: dict[str, JSON] = {}
        self._findings: list[Finding] = []
        self._seen: dict[str, int] = {}

    def add(self, code: str, **values: object) -> None:
        """Write down one finding; values fill its sentence."""
        self._seen[code] = self._seen.get(code, 0) + 1
        if self._seen[code] <= _SHOWN_PER_CODE:
            self._findings.append(finding(code, **values))

    def refuse(self, code: str, **values: object) -> NoReturn:
        """Write down a finding after which looking further makes no sense."""
        self.add(code, **values)
        raise Stop

    def passes(self, code: str, unless: tuple[str, ...], **values: object) -> None:
        """Write down a pass unless one of these other findings stands already."""
        if not any(other in self._seen for other in unless):
            self.add(code, **values)

    @property
    def has_failed(self) -> bool:
        """Whether a finding so far forbids the file."""
        return any(one.level == "fail" for one in self._findings)

    def findings(self) -> list[Finding]:
        """All findings in the order they came, with a line for those left out."""
        more = sum(max(0, count - _SHOWN_PER_CODE) for count in self._seen.values())
        return [*self._findings, finding("and-more", count=more)] if more else self._findings
