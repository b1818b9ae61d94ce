"""What our processes say: no token, no key and no e-mail address stands in any line."""

import logging
import re
from logging import Formatter, LogRecord

from store.kit import space

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# The three parts of a signed text (`kit.tokens`), the first alone too, as it carries the reference.
_TOKEN = re.compile(r"[\w-]{30,}\.[\w-]{5,8}\.[\w-]{20,}|\bI[i-n][\w-]{30}")
# Keys of the payment service, whole or as it shortens them.
_KEY = re.compile(r"\b(?:(?:sk|rk)_(?:test|live)|whsec)_[\w*.]+")
_ADDRESS = re.compile(r"[^\s<>\"(),:;=@]+@[\w-]+(?:\.[\w-]+)+")


class Discreet(Formatter):
    """Formats as usual and then masks, so that tracebacks and other people's words are covered."""

    def format(self, record: LogRecord) -> str:
        return mask_secrets(super().format(record))


def tell_once(record: LogRecord) -> bool:
    """A filter: what a full disk does to every job and thread is one line a minute, without the
    tracebacks of them all."""
    fault = record.exc_info[1] if record.exc_info else None
    if not space.is_full(fault):
        return True
    record.msg, record.args, record.exc_info, record.exc_text = space.in_words(), (), None, None
    return space.is_time_to_tell()


def mask_secrets(text: str) -> str:
    """The text with `[token]`, `[key]` and `[address]` in the place of each."""
    return _ADDRESS.sub("[address]", _KEY.sub("[key]", _TOKEN.sub("[token]", text)))


def log_to_stderr() -> None:
    """Warnings and worse of this process go to stderr, masked."""
    handler = logging.StreamHandler()
    handler.setFormatter(Discreet(FORMAT))
    handler.addFilter(tell_once)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
