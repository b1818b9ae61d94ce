"""Tables of the catalogue: seller, publications, editions, assets."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from store.kit.database import Base, status_type
from store.kit.searched import searched
from store.kit.status import Status


class PublicationStatus(Status):
    """A retired publication is no longer sold; its buyers keep what they have."""

    DRAFT = "draft"
    LISTED = "listed"
    RETIRED = "retired"

    @classmethod
    def moves(cls) -> dict["PublicationStatus", set["PublicationStatus"]]:
        return {
            cls.DRAFT: {cls.LISTED},
            cls.LISTED: {cls.RETIRED},
            cls.RETIRED: {cls.LISTED},
        }


class EditionStatus(Status):
    """Released is for good; a wrong file is withdrawn, never replaced."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    RELEASED = "released"
    WITHDRAWN = "withdrawn"

    @classmethod
    def moves(cls) -> dict["EditionStatus", set["EditionStatus"]]:
        return {
            cls.DRAFT: {cls.SCHEDULED},
            cls.SCHEDULED: {cls.RELEASED, cls.DRAFT},
            cls.RELEASED: {cls.WITHDRAWN},
        }


class VatTreatment(StrEnum):
    """What a price holds of VAT (VAT Act 1994, Schedule 8, Group 3: e-publications at zero)."""

    ZERO_RATED = "zero_rated"
    NOT_REGISTERED = "not_registered"
    STANDARD_INCLUDED = "standard_included"


class Seller(Base):
    """Who sells, one row per wording; the newest stands, an order keeps the one it saw."""

    __tablename__ = "sellers"

    id: Mapped[int] = mapped_column(primary_key=True)
    trading_name: Mapped[str] = mapped_column(sa.String(200))
    legal_name: Mapped[str] = mapped_column(sa.String(200), default="")
    charity_number: Mapped[str] = mapped_column(sa.String(40), default="")
    company_number: Mapped[str] = mapped_column(sa.String(40), default="")
    address: Mapped[str] = mapped_column(sa.String(400), default="")
    email: Mapped[str] = mapped_column(sa.String(320))
    reply_to: Mapped[str] = mapped_column(sa.String(320), default="")
    phone: Mapped[str] = mapped_column(sa.String(60), default="")
    vat_number: Mapped[str] = mapped_column(sa.String(40), default="")
    # Where the shop sells to: ISO 3166 codes with commas between.
    countries: Mapped[str] = mapped_column(sa.String(800), default="GB", server_default="GB")
    # How to pay by bank transfer, as the order's page shows it; empty: nobody can.
    bank_details: Mapped[str] = mapped_column(sa.Text, default="", server_default="")
    stated_at: Mapped[datetime]


class Face(Base):
    """How the house looks on pages and in letters: one row. Pictures stand under their SHA-256."""

    __tablename__ = "faces"

    id: Mapped[int] = mapped_column(primary_key=True)
    accent: Mapped[str] = mapped_column(sa.String(7), default="")  # #rrggbb; empty: our green
    line: Mapped[str] = mapped_column(sa.String(160), default="")
    logo_sha256: Mapped[str] = mapped_column(sa.String(64), default="")
    logo_width: Mapped[int] = mapped_column(default=0)  # CSS pixels, as it is shown
    logo_height: Mapped[int] = mapped_column(default=0)
    logo_has_name: Mapped[bool] = mapped_column(default=False)
    social_sha256: Mapped[str] = mapped_column(sa.String(64), default="")


class Publication(Base):
    """The titled work on sale."""

    __tablename__ = "publications"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(sa.String(60), unique=True)
    status: Mapped[PublicationStatus] = mapped_column(status_type(PublicationStatus))
    title: Mapped[str] = mapped_column(sa.String(200))
    subtitle: Mapped[str] = mapped_column(sa.String(300), default="")
    search_key: Mapped[str] = searched("title", "subtitle", "author", "isbn")
    author: Mapped[str] = mapped_column(sa.String(200), default="")
    language: Mapped[str] = mapped_column(sa.String(20), default="en-GB")
    isbn: Mapped[str] = mapped_column(sa.String(20), default="")
    description: Mapped[str] = mapped_column(sa.Text, default="")  # Markdown
    contents: Mapped[str] = mapped_column(sa.Text, default="")  # Markdown
    audience: Mapped[str] = mapped_column(sa.Text, default="")  # Markdown
    # What staff plan the first edition to be, in their words; shown as planned until it is out.
    planned_formats: Mapped[str] = mapped_column(sa.String(100), default="", server_default="")
    planned_length: Mapped[str] = mapped_column(sa.String(100), default="", server_default="")
    planned_access: Mapped[str] = mapped_column(sa.String(300), default="", server_default="")
    price_amount: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.String(3))
    vat_treatment: Mapped[VatTreatment] = mapped_column(
        status_type(VatTreatment),
        default=VatTreatment.ZERO_RATED,
        server_default=VatTreatment.ZERO_RATED,
    )
    expected_on: Mapped[date | None]
    # How long editions are included; null: for as long as we publish it.
    updates_months: Mapped[int | None]
    # Stored under their SHA-256: the uploaded cover; else page one of the newest PDF.
    cover_sha256: Mapped[str | None] = mapped_column(sa.String(64))
    # The expected date that staff were told had passed, so that they hear of each once.
    overdue_alerted_on: Mapped[date | None]
    # The day on which staff were last warned that the expected date comes near.
    warned_on: Mapped[date | None]
    created_at: Mapped[datetime]

    editions: Mapped[list["Edition"]] = relationship(
        back_populates="publication", order_by="Edition.number"
    )


class DateMove(Base):
    """The expected date of a publication was changed after it had been put on sale."""

    __tablename__ = "date_moves"
    __table_args__ = (sa.UniqueConstraint("publication_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    publication_id: Mapped[int] = mapped_column(sa.ForeignKey("publications.id"))
    number: Mapped[int]
    old_on: Mapped[date | None]
    new_on: Mapped[date | None]
    # In the words of staff, as the letter and the pages of orders repeat it.
    reason: Mapped[str] = mapped_column(sa.Text, default="")
    moved_at: Mapped[datetime]
    moved_by: Mapped[str] = mapped_column(sa.String(200))

    publication: Mapped[Publication] = relationship()


# Of an edition: the law, or the guidance that settings work by, has changed.
WHAT_MATTERS = ("law", "guidance")


class Edition(Base):
    """One numbered state of a publication; immutable once released."""

    __tablename__ = "editions"
    __table_args__ = (
        sa.UniqueConstraint("publication_id", "number"),
        sa.Index("ix_editions_status_release_at", "status", "release_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    publication_id: Mapped[int] = mapped_column(sa.ForeignKey("publications.id"))
    number: Mapped[int]
    status: Mapped[EditionStatus] = mapped_column(status_type(EditionStatus))
    label: Mapped[str] = mapped_column(sa.String(100), default="")
    notes: Mapped[str] = mapped_column(sa.Text, default="")  # Markdown: what changed
    severity: Mapped[str] = mapped_column(sa.String(20), default="minor")
    # What was wrong with the withdrawn edition that this one replaces: for the letter to those who
    # were sent that one, and for nobody else.
    correction: Mapped[str] = mapped_column(sa.String(600), default="", server_default="")
    created_at: Mapped[datetime]
    release_at: Mapped[datetime | None]
    released_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]

    publication: Mapped[Publication] = relationship(back_populates="editions")
    assets: Mapped[list["Asset"]] = relationship(
        back_populates="edition", order_by="Asset.format.desc()"
    )

    @property
    def matters(self) -> bool:
        """Whether who asked for what matters alone is told of it."""
        return self.severity in WHAT_MATTERS


class Asset(Base):
    """One file of an edition in one format, stored under its SHA-256."""

    __tablename__ = "assets"
    __table_args__ = (
        sa.UniqueConstraint("edition_id", "format"),
        sa.Index("ix_assets_sha256", "sha256"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    edition_id: Mapped[int] = mapped_column(sa.ForeignKey("editions.id"))
    format: Mapped[str] = mapped_column(sa.String(10))  # pdf, epub
    sha256: Mapped[str] = mapped_column(sa.String(64))
    # The upload's own checksum where the gate repaired the layout of the file.
    uploaded_sha256: Mapped[str] = mapped_column(sa.String(64))
    size: Mapped[int]  # bytes
    facts: Mapped[dict[str, Any]]
    findings: Mapped[list[Any]]
    cover_sha256: Mapped[str | None] = mapped_column(sa.String(64))
    uploaded_at: Mapped[datetime]

    edition: Mapped[Edition] = relationship(back_populates="assets")


class Sample(Base):
    """A file of the free sample of a publication, one of each format: for everybody to read."""

    __tablename__ = "samples"
    __table_args__ = (sa.UniqueConstraint("publication_id", "format"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    publication_id: Mapped[int] = mapped_column(sa.ForeignKey("publications.id"))
    format: Mapped[str] = mapped_column(sa.String(10))  # pdf, epub
    sha256: Mapped[str] = mapped_column(sa.String(64))
    size: Mapped[int]  # bytes
    pages: Mapped[int | None]  # of a PDF
    # Of an EPUB: how many chapters stand in `sample_chapters`, and a heading and the paragraphs
    # behind it, for a look inside.
    chapters: Mapped[int] = mapped_column(default=0, server_default="0")
    opening: Mapped[list[Any]]
    # What it was cut from, in words; empty: a file that staff uploaded.
    origin: Mapped[str] = mapped_column(sa.String(100), default="", server_default="")
    put_at: Mapped[datetime]


class SampleChapter(Base):
    """A page of a sample as it is read in the shop: HTML that was cleaned as it came in."""

    __tablename__ = "sample_chapters"
    __table_args__ = (sa.UniqueConstraint("sample_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    sample_id: Mapped[int] = mapped_column(sa.ForeignKey("samples.id"))
    number: Mapped[int]
    title: Mapped[str] = mapped_column(sa.String(200))
    html: Mapped[str] = mapped_column(sa.Text)


class StatementKind(StrEnum):
    """The pages to which a shop adds paragraphs of its own."""

    TERMS = "terms"
    PRIVACY = "privacy"
    ACCESSIBILITY = "accessibility"


class Statement(Base):
    """A version of a shop's own paragraphs, in Markdown; the newest of each kind stands."""

    __tablename__ = "statements"
    __table_args__ = (sa.Index("ix_statements_kind", "kind", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[StatementKind] = mapped_column(status_type(StatementKind))
    text: Mapped[str] = mapped_column(sa.Text)
    stated_at: Mapped[datetime]
