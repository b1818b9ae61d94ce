"""What is suspicious about a file beside the last edition's file of its format."""

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
