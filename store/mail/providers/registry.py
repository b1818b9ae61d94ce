"""Which providers are heard, and taking what they post."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast

from store.kit import limits
from store.kit.config import config
from store.kit.database import transaction
from store.kit.errors import NotFound
from store.mail.matching import take_report
from store.mail.providers.base import OLDEST, Posted

PROVIDERS = ("brevo", "mailgun", "postmark", "sendgrid", "ses")
# A proof is accepted so long before its moment and so long behind it.
_SERVES_ONCE = 2 * int(OLDEST.total_seconds())


class ProviderUnknown(NotFound):
    """No such provider, or nothing is set by which it could prove itself."""


def reader_of(name: str) -> Callable[[Mapping[str, str], bytes], Posted]:
    """The adapter's `read`. Each is imported when it is first heard: what checks the signatures of two of
    them takes 7 MB of each process."""
    adapter = import_module(f"store.mail.providers.{name}")
    return cast(Callable[[Mapping[str, str], bytes], Posted], adapter.read)


def receive(name: str, headers: Mapping[str, str], body: bytes) -> int:
    """Take what a provider posts, all of it or nothing; returns how many reports were new. Opens its
    own transaction. Refuses (`ProviderUnknown`); raises `NotTheirs`, `NotReadable`."""
    if name not in PROVIDERS or not getattr(config(), f"mail_webhook_{name}"):
        raise ProviderUnknown
    posted = reader_of(name)(headers, body)
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
