"""Values of settings, judged where they are given; each returns what is to be used, or raises
ValueError with what would be right, never with a password."""

import base64
import importlib.util
import re
import secrets
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
from pydantic import BeforeValidator, SecretStr

from store.kit.mailboxes import OwnAddressUnwritable, own_address

_HOST = r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)*\.?"
_HOST_OR_V6 = re.compile(rf"{_HOST}|\[[0-9A-Fa-f:.]+\]")
# Nothing is not the folder in which a process happens to start.
MaybePath = Annotated[Path | None, BeforeValidator(lambda value: None if value == "" else value)]


def kept_key(folder: Path) -> str:
    """The demo's own signing key, made on the first run and kept beside its database."""
    path = folder / "demo-secret-key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))
    return path.read_text()


def base_url(value: str) -> str:
    """The shop's public address, as links in letters begin with it."""
    fault = ValueError("needs an address like https://shop.example.org, without a path")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise fault from None
    host = parts.netloc.removesuffix(f":{port}") if port is not None else parts.netloc
    is_bare = parts.path in {"", "/"} and not parts.query and not parts.fragment
    if parts.scheme not in {"http", "https"} or not is_bare or not _HOST_OR_V6.fullmatch(host):
        raise fault
    if not re.fullmatch(r"[!-~]+", value):
        raise fault
    return value.rstrip("/")


def own_mailbox(value: str) -> str:
    """An e-mail address alone, as letters write the shop's own."""
    try:
        return own_address(value) and value
    except OwnAddressUnwritable as refusal:
        raise ValueError(f"needs e-mail addresses alone: {refusal.sentence}") from None


def return_path(value: str) -> str:
    """Where letters come back to, with or without a place for the mark of each."""
    if not value:
        return value
    local, _, domain = value.rpartition("@")
    with_mark = local.replace("{token}", "0" * 40, 1)  # as long as a mark is
    if local != local.lower() or re.search(r"[{}]", with_mark + domain):
        raise ValueError("needs an address in small letters, with {token} before the @ or without")
    if re.search(r"[0-9a-z]\{token\}|\{token\}[0-9a-z]", local):
        raise ValueError("needs a sign like + or - between {token} and the letters beside it")
    if len(with_mark) > 64:
        raise ValueError("has room for 24 letters beside {token} before the @")
    _ = own_mailbox(f"{with_mark}@{domain}")
    return value


def shown_secrets(value: list[SecretStr]) -> list[SecretStr]:
    """Secrets that a provider shows, or signs with."""
    if not all(re.fullmatch(r"[!-~]{16,}", one.get_secret_value()) for one in value):
        raise ValueError("needs at least 16 visible characters; `openssl rand -hex 32` makes one")
    return value


def shown_secret(value: SecretStr | None) -> SecretStr | None:
    """One such secret, or none."""
    if value is not None:
        shown_secrets([value])
    return value


def public_keys(value: list[str]) -> list[str]:
    """Public keys on an elliptic curve, as SendGrid's page shows them."""
    if not all(map(_is_curve, value)):
        raise ValueError("needs the verification key that SendGrid shows for signed events")
    return value


def _is_curve(key: str) -> bool:
    # Large, and few shops have a key to be judged.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    try:
        found = serialization.load_der_public_key(base64.b64decode(key, validate=True))
    except (ValueError, UnsupportedAlgorithm):
        return False
    return isinstance(found, ec.EllipticCurvePublicKey)


def topics(value: list[str]) -> list[str]:
    """Names of Amazon's topics."""
    if not all(
        re.fullmatch(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}", one) for one in value
    ):
        raise ValueError(
            "needs the ARN of a topic, as in arn:aws:sns:eu-west-1:123456789012:bounces"
        )
    return value


def is_own_mailbox(value: str) -> bool:
    """Whether letters could come from there."""
    try:
        return bool(own_address(value))
    except OwnAddressUnwritable:
        return False


class MailboxParts(NamedTuple):
    """What the address of a mailbox says. `is_tls`: from the first byte, else by STARTTLS."""

    host: str
    port: int
    username: str
    password: str
    folder: str
    is_tls: bool


def mailbox_parts(url: str) -> MailboxParts:
    """The parts of an address like imaps://user:password@host/folder. Raises ValueError."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "imaps"
    return MailboxParts(
        host=parts.hostname or "",
        port=parts.port or (993 if is_tls else 143),
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        folder=unquote(parts.path.strip("/")) or "INBOX",
        is_tls=is_tls,
    )


def mailbox(value: SecretStr | None) -> SecretStr | None:
    """A mailbox to be read over IMAP, with the password of its user."""
    url = value.get_secret_value() if value else ""
    if not url:
        return None
    fault = ValueError(
        "needs an address like imaps://user:password@imap.example.org/INBOX; signs like / @ : # % of "
        "user and password are written as %2F %40 %3A %23 %25"
    )
    try:
        found, parts = mailbox_parts(url), urlsplit(url)
    except ValueError:
        raise fault from None
    said = f"{found.username}{found.password}{found.folder}"
    if parts.scheme not in {"imap", "imaps"} or parts.query or parts.fragment:
        raise fault
    if not (_HOST_OR_V6.fullmatch(found.host) or re.fullmatch(r"[0-9A-Fa-f:.]+", found.host)):
        raise fault
    if not (found.username and found.password) or re.search(r"[\x00-\x1f\x7f]", said):
        raise fault
    if not found.folder.isascii():
        raise ValueError("needs a folder whose name has letters of ASCII alone")
    return value


_LEVELS = ("debug", "info", "warning", "error")
# Others quote rows and whole requests below that.
_LOGGER = r"(store|gunicorn|huey)(\.\w+)*"


def log_levels(value: str) -> str:
    """How much is logged: a level for all, others for single loggers."""
    fault = ValueError(
        f"needs one of {', '.join(_LEVELS)}, and for single loggers of store, gunicorn or huey others, "
        "as in info,store.mail=debug"
    )
    for name, level in levels_of(value).items():
        if level not in _LEVELS or (name and not re.fullmatch(_LOGGER, name)):
            raise fault
    return value


def levels_of(value: str) -> dict[str, str]:
    """What it says, by the name of the logger; "" is for all."""
    parts = (one.strip().rpartition("=") for one in value.split(","))
    return {name: level for name, _, level in parts}


def host(value: str) -> str:
    """The name of a server, without scheme and port."""
    if not (re.fullmatch(_HOST, value) or re.fullmatch(r"[0-9A-Fa-f:]+", value)):
        raise ValueError(
            "needs the name of a server like smtp.example.org alone; the port is set by STORE_MAIL_PORT"
        )
    return value


def bind(value: str) -> str:
    """Where a server listens, with its port: 8000 where none is given."""
    fault = ValueError(
        "needs an address of this machine like 127.0.0.1:8000, 0.0.0.0 or [::1]:8000"
    )
    try:
        port = urlsplit(f"//{value}").port
    except ValueError:
        raise fault from None
    host = value if port is None else value.removesuffix(f":{port}")
    if port == 0 or host.isdigit() or not _HOST_OR_V6.fullmatch(host):
        raise fault
    return f"{host}:{port or 8000}"


def database_url(value: str) -> str:
    """The address of a database that we know."""
    try:
        url = sa.engine.make_url(value)
    except (sa.exc.ArgumentError, ValueError):
        raise ValueError("needs an address like postgresql://user:password@host/name") from None
    if url.drivername not in {"sqlite", "postgresql", "postgresql+psycopg"}:
        raise ValueError("must begin with postgresql:// or sqlite:///")
    if not url.database:
        raise ValueError("names no database: it goes behind the host, as in postgresql://host/name")
    if url.drivername != "sqlite":
        _needs("psycopg", "postgresql")
    return value


# By which of these the library of the store has a key, or needs none.
BUCKET_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SKIP_SIGNATURE")


def storage_url(value: str) -> str:
    """A folder by its whole path, or a bucket."""
    try:
        parts = urlsplit(value)
    except ValueError:
        raise ValueError("needs file:///folder or s3://bucket/prefix") from None
    is_folder = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
    is_bucket = parts.scheme == "s3" and bool(parts.netloc)
    if not (is_folder or is_bucket):
        raise ValueError("needs file:///folder or s3://bucket/prefix")
    if is_bucket:
        _needs("obstore", "s3")
    return value


def _needs(module: str, extra: str) -> None:
    """That what only some shops want was installed."""
    if importlib.util.find_spec(module) is None:
        raise ValueError(f"needs more to be installed: pip install 'colophon[{extra}]'")


def path_prefix(value: str) -> str:
    """An address of the server in front, under which it finds files."""
    if not re.fullmatch(r"/[\w./~-]*", value, re.ASCII) or ".." in value.split("/"):
        raise ValueError("needs the beginning of an address like /files, as nginx has it inside")
    return value
