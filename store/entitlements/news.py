"""What customers hear of new editions of a publication: every one, only what matters, or nothing. A
choice holds back news alone: what was bought and has not come is no news."""

from datetime import datetime

import sqlalchemy as sa

from store.catalog.publications import lock_publication
from store.entitlements import erasure_journal
from store.entitlements.models import News, NoticeStop
from store.entitlements.notices import owe_held_back
from store.kit import clock
from store.kit.config import config
from store.kit.database import db, insert_into
from store.mail import outbox

NEWS_STOPPED = "news_stopped"


def news_of(customer_id: int, publication_id: int) -> News:
    """What a customer hears of new editions of a publication."""
    query = sa.select(NoticeStop).where(
        NoticeStop.customer_id == customer_id, NoticeStop.publication_id == publication_id
    )
    stop = db.session.scalars(query.execution_options(populate_existing=True)).first()
    return stop.news if stop else News.EVERY


def choose_by_press(customer_id: int, publication_id: int, news: News) -> bool:
    """Choose because a button was pressed; says whether an edition that was missed is owed now. That
    nothing comes any more is told by letter, with the way to undo it: at most one a day for a
    publication, none where nothing changes. The press may have been a robot's that reads the mail, or
    somebody's whom the mail was forwarded to."""
    if news_of(customer_id, publication_id) is news:
        return False
    is_owed = choose_news(customer_id, publication_id, news)
    if news is News.NOTHING:
        outbox.owe(
            NEWS_STOPPED,
            f"{NEWS_STOPPED}:{customer_id}:{publication_id}:{clock.today(config().zone)}",
            customer_id=customer_id,
            facts={"publication_id": publication_id},
            priority=0,
            again_if_skipped=True,
        )
    return is_owed


def choose_news(
    customer_id: int, publication_id: int, news: News, *, complained: bool = False
) -> bool:
    """What comes from now on; again changes nothing. Who asks for more than before is owed the newest
    edition that they missed; says whether there is one. `complained`: the reader told the mailbox,
    and not us."""
    if news_of(customer_id, publication_id) is news:
        return False
    # A release waits and sees the choice, or its letters are seen here.
    lock_publication(publication_id)
    outbox.look_again(customer_id)
    before = news_of(customer_id, publication_id)
    now = clock.now()
    _put(customer_id, publication_id, news, now, now if complained else None)
    erasure_journal.add_news(customer_id, publication_id, news, now)
    return news.is_more_than(before) and owe_held_back(customer_id, publication_id, news)


def put_choice(customer_id: int, publication_id: int, news: News, at: datetime) -> None:
    """Keep a choice that was made at that moment (UTC), with nothing that follows from it; one that was
    made later stays."""
    newer = sa.select(NoticeStop.id).where(
        NoticeStop.customer_id == customer_id,
        NoticeStop.publication_id == publication_id,
        NoticeStop.stopped_at > at,
    )
    if db.session.scalar(newer) is None:
        _put(customer_id, publication_id, news, at, None)


def _put(
    customer_id: int,
    publication_id: int,
    news: News,
    at: datetime,
    complained_at: datetime | None,
) -> None:
    values = {
        "stopped_at": None if news is News.EVERY else at,
        "matters_pass": news is News.MATTERS,
        "complained_at": complained_at,
    }
    statement = insert_into(NoticeStop).values(
        customer_id=customer_id, publication_id=publication_id, **values
    )
    db.session.execute(
        statement.on_conflict_do_update(
            index_elements=["customer_id", "publication_id"], set_=values
        )
    )
