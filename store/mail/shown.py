"""Letters as who looks after the shop reads them: with links that open nothing. Who holds a link is taken
for its reader, so that a page of the desk would open somebody's library, or let in by an invitation.
"""

from dataclasses import replace
from typing import Any

from store.kit.database import transaction
from store.kit.tokens import without_tokens
from store.mail.letters import Letter, facts_of, render_letter
from store.mail.mime import LetterText
from store.mail.models import Delivery


def to_look_at(kind: str, context: dict[str, Any]) -> LetterText:
    """A letter with these values, its links cut short."""
    text = render_letter(kind, context)
    return replace(text, text=without_tokens(text.text), html=without_tokens(text.html))


def as_written_now(delivery: Delivery) -> tuple[str, str]:
    """Subject and text of a letter as it would be written now, which is as it was written unless
    its facts have changed since; where it would not be written any more, no subject and the reason.

    Nothing is kept of it, not even a link that had to be made for it.
    """
    with transaction() as session:
        nested = session.begin_nested()
        try:
            found = facts_of(delivery)
            if not isinstance(found, Letter):
                return "", found.reason
            text = to_look_at(delivery.kind, found.context)
        finally:
            nested.rollback()
    return text.subject, text.text
