"""The notebook that every check writes into while a file is inspected."""

from typing import NoReturn

from store.catalog.gate.report import JSON, Finding
from store.catalog.gate.sentences import finding

_SHOWN_PER_CODE = 10


class Stop(Exception):
    """Nothing more can be learned from this file; the notebook says why."""


class Notes:
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
