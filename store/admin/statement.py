"""The statement of a release: a page to print, a PDF to keep, and the rows behind both."""

from typing import Any

from flask import Blueprint, Response, render_template, stream_with_context

from store.admin.editions import find
from store.catalog.sellers import current_seller
from store.distribution import statement as rules
from store.distribution.statement_pdf import statement_facts, statement_pdf
from store.staff.guard import STAFF, opens_to

bp = Blueprint("statement", __name__, url_prefix="/admin/publications/<slug>/editions/<int:number>")


@bp.get("/statement")
@opens_to(STAFF)
def page(slug: str, number: int) -> Any:
    """All figures on one page, for print."""
    edition = find(slug, number)
    return render_template(
        "admin/edition_statement.html",
        edition=edition,
        publication=edition.publication,
        facts=_facts(slug, number),
    )


@bp.get("/statement.pdf")
@opens_to(STAFF)
def pdf(slug: str, number: int) -> Response:
    """The same, to keep."""
    made = statement_pdf(_facts(slug, number))
    return _attached(Response(made, content_type="application/pdf"), slug, number, "statement.pdf")


@bp.get("/statement.csv")
@opens_to(STAFF)
def rows(slug: str, number: int) -> Response:
    """The rows that its checksum is of: customers by number, without names."""
    edition = find(slug, number)
    pieces = (piece.encode() for piece in rules.rows_csv(edition))
    answer = Response(stream_with_context(pieces), content_type="text/csv; charset=utf-8")
    return _attached(answer, slug, number, "rows.csv")


def _facts(slug: str, number: int) -> dict[str, Any]:
    return statement_facts(rules.state(find(slug, number)), current_seller().trading_name)


def _attached(answer: Response, slug: str, number: int, name: str) -> Response:
    answer.headers["Content-Disposition"] = f'attachment; filename="{slug}-edition-{number}-{name}"'
    return answer
