"""What a customer hears of new editions, chosen in a transaction that is open."""

from store.entitlements.models import News
from store.entitlements.news import choose_news, news_of


def stop_news(customer_id: int, publication_id: int) -> None:
    """Nothing any more."""
    choose_news(customer_id, publication_id, News.NOTHING)


def resume_news(customer_id: int, publication_id: int) -> None:
    """Every edition again."""
    choose_news(customer_id, publication_id, News.EVERY)


def what_matters(customer_id: int, publication_id: int) -> None:
    """Only what matters."""
    choose_news(customer_id, publication_id, News.MATTERS)


def is_stopped(customer_id: int, publication_id: int) -> bool:
    """Whether nothing is heard."""
    return news_of(customer_id, publication_id) is News.NOTHING
