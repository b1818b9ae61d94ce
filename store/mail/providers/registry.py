"""Which providers are heard, and taking what they post."""

from collections.abc import Callable, Mapping

from store.kit import limits
from store.kit.config import config
from store.kit.database import transaction
from store.kit.errors import NotFound
from store.mail.matching import take_report
from store.mail.providers import brevo, mailgun, postmark, sendgrid, ses
from store.mail.providers.base import OLDEST, Posted

PROVIDERS: dict[str, Callable[[Mapping[str, str], bytes], Posted]] = {
    "brevo": brevo.read,
    "mailgun": mailgun.read,
    "postmark": postmark.read,
    "sendgrid": sendgrid.read,
    "ses": ses.read,
}
# A proof is accepted so long before its moment and so long behind it.
_SERVES_ONCE = 2 * int(OLDEST.total_seconds())


class ProviderUnknown(NotFound):
    """No such provider, or nothing is set by which it could prove itself."""


def receive(name: str, headers: Mapping[str, str], body: bytes) -> int:
    """Take what a provider posts, all of it or nothing; returns how many reports were new. Opens its
    own transaction. Refuses (`ProviderUnknown`); raises `NotTheirs`, `NotReadable`."""
    read = PROVIDERS.get(name)
    if read is None or not getattr(config(), f"mail_webhook_{name}"):
        raise ProviderUnknown
    posted = read(headers, body)
    if not posted.reports:
        return 0
    turn = f"posted {limits.mark(posted.once)}"
    if posted.once and not limits.is_turn(turn, _SERVES_ONCE):
        return 0
    try:
        with transaction():
            return sum(take_report(one, is_vouched=True) for one in posted.reports)
    except BaseException:
        if posted.once:
            limits.end_turn(turn)
        raise
