"""The mark of a letter: which row it is of, as Message-ID and return path carry it out and back.

A mark is 128 random bits and the delivery's number, hidden by the shop's key so that nobody counts
its letters. Whole, it stands in the row's Message-ID alone: who shows it has had that letter (or
carried it), and can say nothing of another's. A letter that is sent again, or to another address, has a
new one, so that a late report about the first speaks of nothing any more.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from functools import lru_cache

import sqlalchemy as sa

from store.kit.config import config
from store.kit.database import db
from store.mail.models import deliveries

TOKEN = "{token}"  # noqa: S105 - where the mark goes in STORE_BOUNCE_ADDRESS
_RANDOM, _NUMBER = 16, 4
# Brevo and Postmark replace the Message-ID; the others may.
_HANDED_BACK = {
    "mail_webhook_brevo": b"X-Mailin-custom: %b\r\n",
    "mail_webhook_mailgun": b'X-Mailgun-Variables: {"letter": "%b"}\r\n',
    "mail_webhook_postmark": b"X-PM-Metadata-letter: %b\r\n",
    "mail_webhook_sendgrid": b'X-SMTPAPI: {"unique_args": {"letter": "%b"}}\r\n',
}
_WRITTEN = re.compile(
    rf"(?<![0-9a-z])[0-9a-f]{{{2 * (_RANDOM + _NUMBER)}}}(?![0-9a-z])", re.IGNORECASE
)


def new_mark(delivery_id: int) -> str:
    """A mark that nobody else has: 40 letters and digits, all lower case, as mail servers make them."""
    random = secrets.token_bytes(_RANDOM)
    hidden = _hidden(config().signing_keys[0], random, delivery_id)
    return random.hex() + hidden.to_bytes(_NUMBER, "big").hex()


def return_path(message_id: str) -> str:
    """Where a letter comes back to: an address of its own where `STORE_BOUNCE_ADDRESS` has a place
    for the mark, else the one for all."""
    address = config().bounce_address
    if not address:
        return config().mail_sender
    return address.replace(TOKEN, message_id[1 : message_id.index("@")])


def handed_back(message_id: str) -> bytes:
    """Fields of the head in which the providers that are heard carry the mark, and hand it back with
    what they post."""
    settings = config()
    heard = [field for name, field in _HANDED_BACK.items() if getattr(settings, name)]
    mark = message_id[1 : message_id.index("@")].encode()
    return b"".join(field % mark for field in heard)


def marks_in(*texts: str) -> list[str]:
    """What may be marks in these texts, each once, in the order of coming."""
    found = (mark.lower() for text in texts for mark in _WRITTEN.findall(text))
    return list(dict.fromkeys(found))


def numbers_behind(mark: str) -> list[int]:
    """The delivery that a mark may be of, as each of our keys reads it, the newest key first."""
    random, hidden = bytes.fromhex(mark)[:_RANDOM], int(mark[2 * _RANDOM :], 16)
    read = (_hidden(key, random, hidden) for key in config().signing_keys)
    return [number for number in read if number < 2**31]  # PostgreSQL counts no further


def marked_letter(marks: Iterable[str]) -> int | None:
    """The delivery whose present Message-ID bears the first of these marks that any bears."""
    for mark in marks:
        chosen = sa.select(deliveries.c.id, deliveries.c.message_id)
        for row in db.session.execute(chosen.where(deliveries.c.id.in_(numbers_behind(mark)))):
            kept = (row.message_id or "").partition("@")[0]
            if hmac.compare_digest(kept.encode(), f"<{mark}".encode()):
                return int(row.id)
    return None


def _hidden(key: str, random: bytes, number: int) -> int:
    """The number hidden, or found again: the same step does both."""
    keyed = _keyed(key).copy()
    keyed.update(random)
    return number ^ int.from_bytes(keyed.digest()[:_NUMBER], "big")


@lru_cache(maxsize=8)
def _keyed(key: str) -> "hmac.HMAC":
    """For this purpose alone; to begin from the key costs several times what the rest does."""
    derived = hmac.digest(key.encode(), b"mark/1", "sha256")
    return hmac.new(derived, digestmod=hashlib.sha256)
