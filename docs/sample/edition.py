"""What the sample says about itself: titles, publisher, colophon page, one record per edition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from markdown_it.token import Token
from reading import markdown

COLOPHON = """
**{title}**\\
*{subtitle}*

Edition {number}

Sample publication of the Colophon demonstration shop; not legal advice.

Published by {publisher}, a publisher that exists only in the demonstration. The
children in the examples are invented.

This text was written for the demonstration. It is short on purpose and covers England only. It
describes the plan as it was published in March 2023 and points to the law without restating it in
full. Before you act on it, read the current guidance on GOV.UK and ask your local authority.

This booklet carries no date: an edition is known by its number.

You may copy, change and share this text under the MIT licence of the Colophon project, of which it
is a part.

Set in Libertinus Serif. The PDF is tagged (PDF/UA-1) and has bookmarks; the EPUB is made for
screen readers, large print and night reading. Both hold the same words.
"""


@dataclass(frozen=True)
class Edition:
    """One edition of the sample; `modified` stands in the files' metadata alone."""

    number: int
    modified: datetime
    title: str = "Effective SEND Practice in the Early Years"
    subtitle: str = "Next Steps following the Improvement Plan 2023"
    label: str = "Sample publication"
    publisher: str = "Early Years Sample Press"
    identifier: str = "urn:uuid:5f0b9a52-6f6d-4c1e-9d0a-2b8f3f7c41e6"
    language: str = "en-GB"
    subjects: tuple[str, ...] = (
        "Special educational needs and disabilities",
        "Early years education",
        "Inclusive education",
    )
    summary: str = (
        "Sample of a short working text for early years settings in England: "
        "what the 2023 plan set out, inclusive rooms, noticing early, the graduated approach, "
        "and working with parents and other professionals. Not legal advice."
    )

    @property
    def full_title(self) -> str:
        return f"{self.title}: {self.subtitle} (sample, edition {self.number})"

    def colophon(self) -> list[Token]:
        return markdown().parse(
            COLOPHON.format(
                title=self.title,
                subtitle=self.subtitle,
                number=self.number,
                publisher=self.publisher,
            )
        )


EDITIONS = (
    Edition(1, datetime(2026, 11, 2, tzinfo=UTC)),
    Edition(2, datetime(2026, 11, 3, tzinfo=UTC)),
)
# A part of the first one, for everybody: a work of its own for reading apps.
SAMPLE = replace(
    EDITIONS[0], label="Free sample", identifier="urn:uuid:0f6dd0f5-2b53-4a38-8d8b-7f7f1f3a9c55"
)
