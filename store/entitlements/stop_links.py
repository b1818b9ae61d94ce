"""A stop that comes by mail: what a press on the stop page does, and for the same link."""

from store.entitlements.links import LinkExpired, LinkUnknown, open_link
from store.entitlements.models import News
from store.entitlements.news import choose_by_press, news_of


def stop_by_token(token: str) -> bool:
    """Stop the news that the stop link with this token stops; False where it opens nothing any more,
    or they are stopped already."""
    try:
        link = open_link(token, "stop")
    except (LinkExpired, LinkUnknown):
        return False
    customer_id, publication_id = link.customer_id, link.publication_id
    if publication_id is None or news_of(customer_id, publication_id) is News.NOTHING:
        return False
    choose_by_press(customer_id, publication_id, News.NOTHING)
    return True
