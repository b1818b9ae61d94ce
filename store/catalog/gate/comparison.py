"""What is odd about a file when it is laid beside the last edition's file of that format."""

from store.catalog.gate.report import JSON, Finding, finding

_SIZE_JUMP = 3


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
    return [
        *_shrunk(previous_facts, facts),
        *_size_jump(previous_size, size),
        *_other_identity(previous_facts, facts),
        *_accessibility_lost(previous_facts, facts),
    ]


def _shrunk(before: dict[str, JSON], now: dict[str, JSON]) -> list[Finding]:
    for fact, code in (("pages", "pages-halved"), ("words", "words-halved")):
        old, new = before.get(fact), now.get(fact)
        if isinstance(old, int) and isinstance(new, int) and old > 0 and new * 2 <= old:
            return [finding(code, before=f"{old:,}", now=f"{new:,}")]
    return []


def _size_jump(before: int, now: int) -> list[Finding]:
    if min(before, now) * _SIZE_JUMP >= max(before, now):
        return []
    return [finding("size-jump", before=_size(before), now=_size(now))]


def _other_identity(before: dict[str, JSON], now: dict[str, JSON]) -> list[Finding]:
    found = []
    old, new = before.get("identifier"), now.get("identifier")
    if old and new and old != new:
        found.append(finding("identifier-differs", before=old, now=new))
    old_time, new_time = _written_at(before), _written_at(now)
    if old_time and new_time and new_time <= old_time:
        found.append(finding("modified-not-newer", before=old_time, now=new_time))
    return found


def _written_at(facts: dict[str, JSON]) -> str:
    """An EPUB's dcterms:modified, by which reading apps order editions; always UTC, so it sorts."""
    return str(facts.get("modified", "")) if "epub_version" in facts else ""


def _accessibility_lost(before: dict[str, JSON], now: dict[str, JSON]) -> list[Finding]:
    lost = before.get("tagged") is True and now.get("tagged") is False
    return [finding("tags-lost")] if lost else []


def _size(count: int) -> str:
    if count < 1_000_000:
        return f"{max(1, round(count / 1000)):,} kB"
    return f"{count / 1_000_000:,.1f} MB"
