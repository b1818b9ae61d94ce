"""What the gate answers: findings in plain words, facts for the publication page."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, cast

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
Level = Literal["pass", "warn", "fail"]
Format = Literal["pdf", "epub"]


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
