"""Publications with editions: drafted, released and withdrawn by the rules."""

import sqlalchemy as sa

from store.catalog.models import Edition, EditionStatus, Publication
from store.distribution import releasing
from store.kit import clock
from store.kit.database import db, transaction
from store.kit.status import advance
from tests.factories import a_publication, a_released_edition, a_seller, an_asset, an_edition


def a_shop(*, editions: int = 1, slug: str = "send-early-years") -> Publication:
    """A seller and a listed publication with so many released editions."""
    with transaction() as session:
        if session.scalars(sa.text("SELECT count(*) FROM sellers")).one() == 0:
            a_seller()
        publication = a_publication(slug)
        for number in range(1, editions + 1):
            a_released_edition(publication, number)
    return publication


def draft(publication: Publication, number: int = 1, **given: object) -> Edition:
    """A draft with a PDF and an EPUB, in the caller's transaction."""
    edition = an_edition(publication, number, **given)
    an_asset(edition, "pdf")
    an_asset(edition, "epub")
    return edition


def release(edition: Edition) -> Edition:
    """Press Release and let the moment come; in transactions of its own."""
    with transaction():
        releasing.schedule_release(edition, None, "Olga")
    assert releasing.release_due() == 1
    return reread(edition)


def drafted_and_released(publication: Publication, number: int = 1, **given: object) -> Edition:
    """A released edition, made and released by the rules."""
    with transaction():
        edition = draft(publication, number, **given)
    return release(edition)


def put_out(publication: Publication, number: int) -> Edition:
    """An edition that is out from this moment; no letter tells of it."""
    with transaction():
        return a_released_edition(publication, number, released_at=clock.now())


def withdraw(edition: Edition) -> None:
    """An edition is taken out of circulation."""
    with transaction():
        advance(edition, EditionStatus.WITHDRAWN)
        edition.withdrawn_at = clock.now()


def guide(publication_id: int) -> Publication:
    """The publication, in the session that is open now."""
    db.session.rollback()
    return db.session.get_one(Publication, publication_id)


def edition_of(edition_id: int) -> Edition:
    """The edition, in the session that is open now."""
    db.session.rollback()
    return db.session.get_one(Edition, edition_id)


def reread(edition: Edition) -> Edition:
    """The row as it is now, in the session that is open now."""
    fresh = db.session.get_one(Edition, edition.id, populate_existing=True)
    assert isinstance(fresh.status, EditionStatus)
    return fresh
