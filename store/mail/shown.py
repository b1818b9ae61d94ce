"""The words of one letter for who looks after the shop: with links that open nothing."""

from store.kit.database import transaction
from store.kit.tokens import without_tokens
from store.mail.letters import Letter, facts_of, render_letter
from store.mail.models import Delivery


def as_written_now(delivery: Delivery) -> tuple[str, str]:
    """Subject and text of a letter as it would be written now, which is as it was written unless
    its facts have changed since; where it would not be written any more, no subject and the reason.

    Links are cut short, for who holds one is taken for its reader: a page of the desk opens nobody's
    library, and lets nobody in by an invitation to somebody else. Nothing is kept of it, not even
    a link that had to be made for it.
    """
    with transaction() as session:
        nested = session.begin_nested()
        try:
            found = facts_of(delivery)
            if not isinstance(found, Letter):
                return "", found.reason
            text = render_letter(delivery.kind, found.context)
        finally:
            nested.rollback()
    return text.subject, without_tokens(text.text)
