"""The sample shop: who sells, and one more sample publication for each run."""

from datetime import date, timedelta
from pathlib import Path

from store.catalog.faces import change_face
from store.catalog.models import Publication
from store.catalog.publications import add_publication, all_publications, put_on_sale
from store.catalog.sellers import SellerUnknown, current_seller, state_seller
from store.kit import clock
from store.kit.config import config

SAMPLE = Path(__file__).parent / "sample"
WHO = "demonstration"
SELLER = {
    "trading_name": "Early Years Sample Press",
    "legal_name": "Early Years Sample Press CIO",
    "charity_number": "000000",
    "address": "1 Sample Street\nLondon\nN1 0AA",
    "email": "hello@sample-press.example",
    "reply_to": "hello@sample-press.example",
    "phone": "020 7946 0000",
}
LINE = "We write short guides for people who work with young children, and keep them up to date."
DESCRIPTION = """\
A short, practical guide for everyone who works with young children who have special educational
needs or disabilities: childminders, nursery staff, room leaders and SENCOs.

It says what the 2023 Improvement Plan set out, and what you can do on Monday morning: checklists,
questions for observing, and words for talking with parents. When the guidance changes, you get
the renewed edition.

*This is a sample publication of the demonstration shop.*
"""
CONTENTS = """\
- What the Improvement Plan set out
- Making an inclusive and enabling environment
- Noticing early where a child needs support
- Assess, plan, do, review
- Working with parents, with a page of phrases
- Working with other professionals
"""
AUDIENCE = """\
Staff and leaders in nurseries, pre-schools and childminding, SENCOs, and those who train them.
"""


def edition_files(number: int) -> list[Path]:
    """The sample's PDF and EPUB of edition 1 or 2."""
    return [SAMPLE / f"edition-{number}.{suffix}" for suffix in ("pdf", "epub")]


def sample_files() -> list[Path]:
    """The free sample: its first chapters as PDF and EPUB."""
    return [SAMPLE / f"free-sample.{suffix}" for suffix in ("pdf", "epub")]


def edition_notes(number: int) -> str:
    """What changed in that edition, in Markdown."""
    return (SAMPLE / f"edition-{number}-notes.md").read_text(encoding="utf-8")


def seed_seller() -> None:
    """State who sells, and in one line who they are, unless somebody did."""
    try:
        current_seller()
    except SellerUnknown:
        state_seller(**SELLER)
        change_face(line=LINE)


def seed_publication() -> Publication:
    """One more sample publication, on sale for pre-order."""
    count = len(all_publications())
    title = "Effective SEND Practice in the Early Years"
    publication = add_publication(
        "send-early-years" if count == 0 else f"send-early-years-{count + 1}",
        title if count == 0 else f"{title} (sample {count + 1})",
        1250,
        "GBP",
        subtitle="Next Steps following the Improvement Plan 2023",
        author="Early Years Sample Press",
        description=DESCRIPTION,
        contents=CONTENTS,
        audience=AUDIENCE,
        planned_formats="PDF and EPUB",
        planned_length="about 12 pages",
        planned_access="PDF tagged for screen readers, EPUB to WCAG 2.2 AA",
        expected_on=_expected(),
    )
    put_on_sale(publication, WHO)
    return publication


def _expected() -> date:
    """The end of the month; where that is too far, ten days ahead. A pre-order that could be had
    within the 14 days to cancel asks for the waiver, and the story releases within minutes."""
    today = clock.today(config().zone)
    month_end = clock.add_months(today.replace(day=1), 1) - timedelta(days=1)
    is_near = timedelta(days=1) <= month_end - today <= timedelta(days=13)
    return month_end if is_near else today + timedelta(days=10)
