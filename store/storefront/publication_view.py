"""A publication as the shop window shows it: state, dates, cover, what happens when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from store.catalog.models import Edition, EditionStatus, Publication
from store.catalog.publications import newest_released, promised_date
from store.kit.database import db
from store.kit.formatting import format_day
from store.kit.money import format_money
from store.orders.consents import promise_in_words, term_in_words


@dataclass(frozen=True)
class Shown:
    """What the pages need of one publication at this moment."""

    publication: Publication
    edition: Edition | None
    promised: date | None

    @property
    def slug(self) -> str:
        return self.publication.slug

    @property
    def title(self) -> str:
        return self.publication.title

    @property
    def subtitle(self) -> str:
        return self.publication.subtitle

    @property
    def author(self) -> str:
        return self.publication.author

    @property
    def is_preorder(self) -> bool:
        return self.edition is None

    @property
    def path(self) -> str:
        return f"/publications/{self.slug}"

    @property
    def price(self) -> str:
        return format_money(self.publication.price_amount, self.publication.currency)

    @property
    def cover_sha256(self) -> str | None:
        """The uploaded cover, else page one of the newest edition's PDF, else none."""
        pages = [one.cover_sha256 for one in self.edition.assets] if self.edition else []
        return self.publication.cover_sha256 or next((page for page in pages if page), None)

    @property
    def cover_url(self) -> str:
        digest = self.cover_sha256
        return f"{self.path}/cover.png?v={digest[:12]}" if digest else ""

    @property
    def when(self) -> str:
        """Since when or from when it can be had; never a date that has passed as if to come."""
        if self.edition is not None and self.edition.released_at is not None:
            return f"Edition {self.edition.number}, {format_day(self.edition.released_at)}"
        if self.promised is None:
            return "Not published yet"
        return f"Published {promise_in_words(self.promised)}"


def show(publication: Publication) -> Shown:
    """The publication with its newest edition and the date that is still promised."""
    return _shown(publication, newest_released(publication.id))


def _shown(publication: Publication, edition: Edition | None) -> Shown:
    promised = promised_date(publication) if edition is None else None
    return Shown(publication, edition, promised)


def show_all(publications: Sequence[Publication]) -> list[Shown]:
    """The same for a list, in as few statements for many as for one."""
    newest = _newest_of([one.id for one in publications])
    return [_shown(one, newest.get(one.id)) for one in publications]


def what_happens_when(shown: Shown) -> list[tuple[str, str, bool]]:
    """The timeline of the publication page: when, what, whether it is now."""
    at_once = (
        "You get the link to your copy by e-mail. If you would rather keep your 14-day right to "
        "cancel, it comes when the 14 days are over."
    )
    later = (
        "When an edition is renewed",
        f"You get it too, free, {term_in_words(shown.publication.updates_months)}.",
        False,
    )
    if not shown.is_preorder:
        return [
            ("Today", f"You pay {shown.price} and get a receipt.", True),
            ("At once", at_once, False),
            later,
        ]
    until = "Until it is published"
    if shown.promised:
        until += f" ({promise_in_words(shown.promised)})"
    return [
        ("Today", f"You are charged {shown.price} and get a receipt.", True),
        (until, "You can cancel and get all of it back.", False),
        ("On the day of release", "You get the link to your copy by e-mail.", False),
        later,
    ]


def _newest_of(publication_ids: list[int]) -> dict[int, Edition]:
    released = (
        sa.select(Edition)
        .where(
            Edition.publication_id.in_(publication_ids), Edition.status == EditionStatus.RELEASED
        )
        .options(selectinload(Edition.assets))
        .order_by(Edition.number)
    )
    return {edition.publication_id: edition for edition in db.session.scalars(released)}
