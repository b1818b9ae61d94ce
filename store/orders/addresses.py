"""E-mail addresses as people type and paste them: cleaned, judged, compared, shown."""

import re
import unicodedata
from urllib.parse import unquote

from email_validator import EmailNotValidError, validate_email

from store.kit.errors import Refusal
from store.kit.text import clean_line

EXAMPLE = "name@example.com"
_LONGEST = 254  # RFC 5321, 4.5.3.1.3, less the angle brackets of a path
# Full-width letters and signs, as East Asian keyboards type them, and their ASCII twins.
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_IN_BRACKETS = re.compile(r"[^<>]*<([^<>]*)>")

_BIG_DOMAINS = (
    "gmail.com",
    "googlemail.com",
    "hotmail.com",
    "hotmail.co.uk",
    "outlook.com",
    "yahoo.com",
    "yahoo.co.uk",
    "icloud.com",
    "btinternet.com",
    "protonmail.com",
    "talktalk.net",
)
# A slip away from a big one, and somebody's real domain all the same.
_REAL_NEIGHBOURS = {"mail.com", "ymail.com", "gmx.com", "email.com", "fmail.com", "hotmail.co"}


class InvalidAddress(Refusal):
    """Something that no letter can be sent to."""

    status = 422
    sentence = f"Enter an e-mail address like {EXAMPLE}."


def parse_address(text: str) -> str:
    """The address in `text`, kept as typed, without what pasting adds: blanks, line ends,
    characters that nobody sees, `Anna <…>`, `mailto:`, full-width letters.

    Takes what RFC 6531 (SMTPUTF8) allows; no server is asked. Refuses (`InvalidAddress`) the
    rest, naming the fault.
    """
    address = _unwrap(clean_line(text.translate(_FULL_WIDTH)))
    _refuse_plain_faults(address)
    try:
        validate_email(address, check_deliverability=False, allow_smtputf8=True)
    except EmailNotValidError:
        raise InvalidAddress(
            f"“{address}” is not an e-mail address that we can write to. Check it for slips; "
            f"it should look like {EXAMPLE}."
        ) from None
    return address


def address_key(email: str) -> str:
    """What two spellings of one address share: composed (NFC), small letters in every locale, the
    domain as the name system writes it (IDNA)."""
    local, _, domain = unicodedata.normalize("NFC", email).rpartition("@")
    # Letter by letter, and not folded: ß and ss are two mailboxes.
    return "".join(letter.lower() for letter in local) + "@" + _plain_domain(domain)


def key_of_typed(text: str) -> str:
    """The key of the address in what somebody typed, so that each spelling counts as one; of the
    text as it stands, where there is none."""
    try:
        return address_key(parse_address(text))
    except InvalidAddress:
        return address_key(text.strip())


def suggest_correction(email: str) -> str | None:
    """The address that was probably meant, where the domain is one slip from a big one."""
    local, _, domain = email.rpartition("@")
    domain = domain.lower()
    if domain in _BIG_DOMAINS or domain in _REAL_NEIGHBOURS:
        return None
    meant = next((big for big in _BIG_DOMAINS if _is_one_slip(domain, big)), None)
    return f"{local}@{meant}" if meant else None


def mask(email: str) -> str:
    """`a•••@example.org`: enough for its owner, of no use to anybody else."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}•••@{domain}"


def _unwrap(text: str) -> str:
    if found := _IN_BRACKETS.fullmatch(text):
        text = found[1].strip()
    if text[:7].lower() == "mailto:":
        text = clean_line(unquote(text[7:].partition("?")[0]))
    return text


def _refuse_plain_faults(address: str) -> None:
    if not address:
        raise InvalidAddress("Enter your e-mail address.")
    if len(address) > _LONGEST:
        raise InvalidAddress(f"An e-mail address has at most {_LONGEST} characters.")
    if "@" not in address:
        raise InvalidAddress(f"“{address}” has no @. It should look like {EXAMPLE}.")
    if " " in address:
        raise InvalidAddress(f"“{address}” has a blank in it. Take it out, or give one address.")
    if odd := next((letter for letter in address if _is_odd(letter)), None):
        name = unicodedata.name(odd, f"U+{ord(odd):04X}").lower()
        raise InvalidAddress(
            f"There is a character in the address that cannot be seen ({name}). "
            "Type the address anew instead of pasting it."
        )


def _is_odd(letter: str) -> bool:
    # Format, private, unassigned, surrogate and separator characters show as nothing or a blank.
    return unicodedata.category(letter) in {"Cf", "Cc", "Co", "Cn", "Cs", "Zs", "Zl", "Zp"}


def _plain_domain(domain: str) -> str:
    if domain.isascii():
        return domain.lower()
    try:
        checked = validate_email(f"a@{domain}", check_deliverability=False)
    except EmailNotValidError:
        return domain.casefold()
    return str(checked.ascii_domain)


def _is_one_slip(typed: str, meant: str) -> bool:
    """One letter too many, too few, wrong, or two neighbours swapped."""
    if abs(len(typed) - len(meant)) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(typed, meant, strict=False)) if a != b), None)
    if start is None:
        return True
    rest, goal = typed[start:], meant[start:]
    swapped = rest[1::-1] + rest[2:] if len(rest) > 1 else rest
    return rest[1:] == goal[1:] or rest[1:] == goal or rest == goal[1:] or swapped == goal
