"""A shop that reads a mailbox, and where it has got to."""

from collections.abc import Callable
from urllib.parse import quote

import sqlalchemy as sa

from store.kit.database import db
from store.mail.models import DeliveryStatus, MailboxPlace
from tests.mail import messages
from tests.mail.imap_server import PASSWORD, USER, ImapServer
from tests.mail.returned import Stand

UNTOUCHED = Stand(DeliveryStatus.SENT, [], 0, 0)
BOUNCED = Stand(DeliveryStatus.BOUNCED, [messages.ANNA], 1, 1)

Begin = Callable[..., ImapServer]


def url_of(server: ImapServer) -> str:
    user = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
    return f"{'imaps' if server.is_tls else 'imap'}://{user}@127.0.0.1:{server.port}/"


def place() -> MailboxPlace:
    db.session.rollback()
    return db.session.scalars(
        sa.select(MailboxPlace).execution_options(populate_existing=True)
    ).one()
