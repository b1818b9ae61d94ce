"""The statement of a release as a tagged PDF (PDF/UA-1), set by typst from its template."""

from pathlib import Path
from typing import Any

from store.distribution.statement import Statement
from store.kit.formatting import format_moment, format_span
from store.kit.typesetting import tagged_pdf

LAYOUT = Path(__file__).with_name("statement.typ")


def statement_facts(seen: Statement, seller: str) -> dict[str, Any]:
    """What the page and the PDF say, in words."""
    edition, account = seen.edition, seen.account
    released, last = edition.released_at, seen.last_at
    rows = [*seen.figures, ("together", account.total - sum(account.left_out.values()))]
    return {
        "seller": seller,
        "title": edition.publication.title,
        "edition": f"Edition {edition.number}" + (f", {edition.label}" if edition.label else ""),
        "released": format_moment(released) if released else "",
        "released_to": f"{seen.released_to:,}",
        "released_by": seen.released_by,
        "withdrawn": format_moment(edition.withdrawn_at) if edition.withdrawn_at else "",
        "figures": [[words, f"{count:,}"] for words, count in rows],
        "left_out": [[words, f"{count:,}"] for words, count in seen.left_out],
        "total": f"{account.total:,}",
        "sums_match": account.sums_match,
        "is_complete": account.is_complete,
        "last": format_moment(last) if last else "",
        "span": format_span(int((last - released).total_seconds())) if last and released else "",
        "rows": f"{seen.rows:,}",
        "sha256": seen.sha256,
        "drawn": format_moment(seen.drawn_at),
    }


def statement_pdf(facts: dict[str, Any]) -> bytes:
    """The page for print and file."""
    return tagged_pdf(LAYOUT, facts)
