"""Rows for tests, made plainly: what is not given has a dull value, nothing is made on the side."""

import hashlib
from datetime import date, timedelta
from typing import Any

from store.catalog.models import (
    Asset,
    Edition,
    EditionStatus,
    Publication,
    PublicationStatus,
    Sample,
    SampleChapter,
    Seller,
)
from store.kit import clock
from store.kit.database import db
from store.kit.storage import storage
from store.orders.models import Customer


def a_seller(**given: Any) -> Seller:
    """Who sells."""
    values: dict[str, Any] = {
        "trading_name": "Early Years Sample Press",
        "legal_name": "Early Years Sample Press CIO",
        "charity_number": "000000",
        "address": "1 Sample Street, London",
        "email": "hello@publisher.example",
        "reply_to": "hello@publisher.example",
        "phone": "020 7946 0000",
        "stated_at": clock.now(),
    }
    return _add(Seller(**(values | given)))


def a_publication(slug: str = "send-early-years", **given: Any) -> Publication:
    """A listed publication at £12.50, expected in a month unless said otherwise."""
    values: dict[str, Any] = {
        "status": PublicationStatus.LISTED,
        "title": "Effective SEND Practice in the Early Years",
        "subtitle": "Next steps following the Improvement Plan 2023",
        "price_amount": 1250,
        "currency": "GBP",
        "expected_on": date.fromordinal(clock.now().date().toordinal() + 30),
        "created_at": clock.now(),
    }
    return _add(Publication(slug=slug, **(values | given)))


def an_edition(publication: Publication, number: int = 1, **given: Any) -> Edition:
    """A draft edition with notes and no files."""
    values: dict[str, Any] = {
        "status": EditionStatus.DRAFT,
        "notes": "- First point\n- Second point",
        "created_at": clock.now(),
    }
    return _add(Edition(publication_id=publication.id, number=number, **(values | given)))


def a_released_edition(publication: Publication, number: int = 1, **given: Any) -> Edition:
    """An edition that was released an hour ago, with a PDF and an EPUB in storage."""
    values: dict[str, Any] = {
        "status": EditionStatus.RELEASED,
        "released_at": clock.now() - timedelta(hours=1),
    }
    edition = an_edition(publication, number, **(values | given))
    for format in ("pdf", "epub"):
        an_asset(edition, format)
    return edition


def an_asset(
    edition: Edition, format: str = "pdf", data: bytes | None = None, **given: Any
) -> Asset:
    """A file of an edition, really stored; its bytes name publication, edition and format."""
    if data is None:
        data = f"{edition.publication_id}/{edition.number}/{format}\n".encode() * 64
    digest = hashlib.sha256(data).hexdigest()
    storage().put_bytes(f"assets/{digest}", data)
    values: dict[str, Any] = {
        "sha256": digest,
        "uploaded_sha256": digest,
        "size": len(data),
        "facts": {"pages": 12} if format == "pdf" else {},
        "findings": [],
        "uploaded_at": clock.now(),
    }
    return _add(Asset(edition_id=edition.id, format=format, **(values | given)))


def a_sample(publication: Publication, chapters: int = 1) -> Sample:
    """An EPUB for everybody, with chapters to read."""
    data = b"sample"
    digest = hashlib.sha256(data).hexdigest()
    storage().put_bytes(f"assets/{digest}", data)
    sample: Sample = _add(
        Sample(
            publication_id=publication.id,
            format="epub",
            sha256=digest,
            size=len(data),
            chapters=chapters,
            opening=["Chapter one", "Once upon a time."],
            put_at=clock.now(),
        )
    )
    for number in range(1, chapters + 1):
        title = f"Chapter {number}"
        html = f"<h2>{title}</h2>\n<p>Once upon a time.</p>"
        _add(SampleChapter(sample_id=sample.id, number=number, title=title, html=html))
    return sample


def a_customer(email: str = "anna@reader.example", name: str = "Anna Berg") -> Customer:
    """A customer who has bought nothing yet."""
    return _add(
        Customer(
            email=email,
            email_key=email.casefold(),
            name=name,
            created_at=clock.now(),
        )
    )


def _add(row: Any) -> Any:
    db.session.add(row)
    db.session.flush()
    return row
