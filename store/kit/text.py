"""What people type and paste, cleaned of characters that nobody sees."""

import re
import unicodedata

# Zero-width characters, joiners and marks, the byte order mark, soft hyphen, and the
# bidirectional controls that can make a name read backwards (Unicode TR36).
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def clean_line(text: str) -> str:
    """One line as it was meant: composed (NFC), no control or bidirectional characters, no
    outer blanks, inner runs of blanks as one."""
    text = unicodedata.normalize("NFC", text)
    text = _CONTROL.sub(" ", _INVISIBLE.sub("", text))
    return " ".join(text.split())


def clean_text(text: str) -> str:
    """Several lines, cleaned alike; line ends become `\\n`, tabs and paragraphs stay."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    text = _INVISIBLE.sub("", text)
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", " ", text).strip()


def without_invisible(text: str) -> str:
    """The text without characters that take no room; everything visible stays as typed."""
    return _INVISIBLE.sub("", text)


def search_key(text: str) -> str:
    """What two spellings of one name share: composed, case folded, blanks as one."""
    return unicodedata.normalize("NFC", clean_line(text).casefold())
