"""E-mail addresses as letters write them: those of readers, and our own, which stand on every one."""

import re
import unicodedata
from functools import lru_cache

import idna
from email_validator import EmailNotValidError, validate_email

from store.kit.errors import Refusal
from store.kit.text import clean_line

# What stands in place of an address, or of words that may hold a name, once its person is erased; the
# key of their customer begins with it, too.
ERASED = "erased"
ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_LOCAL_PART = re.compile(rf"[{ATEXT}.\u0080-\U0010ffff]+")
_ASCII_DOMAIN = re.compile(r"[A-Za-z0-9._-]+")
_OWN_LOCAL_PART = re.compile(rf"(?=.{{1,64}}$)[{ATEXT}]+(\.[{ATEXT}]+)*")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_OWN_DOMAIN = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")


class AddressUnwritable(Refusal):
    """An address that cannot stand on a letter: no @, a control character, a bad domain."""

    status = 422
    sentence = "No letter can be sent to this e-mail address."


class OwnAddressUnwritable(AddressUnwritable):
    """An address of the shop's own that cannot stand on its letters; mend the setting."""


def wire_recipient(address: str) -> tuple[str, bool]:
    """The address as MAIL, RCPT and To write it, its domain by IDNA 2008 (UTS 46), and whether
    its local part needs SMTPUTF8 (RFC 6531). Raises AddressUnwritable."""
    local, _, domain = address.rpartition("@")
    if not (_LOCAL_PART.fullmatch(local) and local.isprintable()):
        raise AddressUnwritable
    return f"{local}@{wire_domain(domain)}", not local.isascii()


@lru_cache(maxsize=64)
def own_address(address: str) -> str:
    """An address of ours as MAIL, From and Reply-To write it: in plain letters before the @, or
    every letter would need a server with SMTPUTF8. Raises `OwnAddressUnwritable`, which says why.
    """
    local, _, domain = address.rpartition("@")
    ours = f"The shop’s own e-mail address “{clean_line(address)}”"
    if not local.isascii():
        raise OwnAddressUnwritable(f"{ours} must have plain letters before the @.")
    try:
        written = wire_domain(domain)
    except AddressUnwritable:
        written = ""
    if not (_OWN_LOCAL_PART.fullmatch(local) and _OWN_DOMAIN.fullmatch(written)):
        raise OwnAddressUnwritable(
            f"{ours} cannot stand on a letter. It should look like name@example.com, and stand alone."
        )
    return f"{local}@{written}"


@lru_cache(maxsize=1024)
def wire_domain(domain: str) -> str:
    """A domain as the name system writes it. Raises AddressUnwritable."""
    if _ASCII_DOMAIN.fullmatch(domain):
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise AddressUnwritable from None


def address_key(email: str) -> str:
    """What two spellings of one address share: composed (NFC), small letters in every locale, the
    domain as the name system writes it (IDNA)."""
    local, _, domain = unicodedata.normalize("NFC", email).rpartition("@")
    try:
        if not domain.isascii():
            checked = validate_email(f"a@{domain}", check_deliverability=False)
            domain = str(checked.ascii_domain)
        else:
            domain = domain.lower()
    except EmailNotValidError:
        domain = domain.casefold()
    # Letter by letter, and not folded: ß and ss are two mailboxes.
    return "".join(letter.lower() for letter in local) + "@" + domain
