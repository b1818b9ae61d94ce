"""The settings: `STORE_*` variables, read once at start, all faults told at once."""

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from store.kit import judged
from store.kit.engine import SPARE_CONNECTIONS

PREFIX = "STORE_"
Listed = Annotated[list[str], NoDecode]
SecretList = Annotated[list[SecretStr], NoDecode]
ShownSecrets = Annotated[SecretList, AfterValidator(judged.shown_secrets)]
CHECKOUT_ORIGIN = "https://checkout.stripe.com"


class SettingsFault(Exception):
    """Settings that cannot be started with; one line for each fault."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


@dataclass(frozen=True)
class Misfit:
    """Settings that do not fit together: the fields that were looked at, and the line that says so."""

    fields: frozenset[str]
    line: str


class Settings(BaseSettings):
    """Every setting of the shop. `docs/operators-guide.md` says what each is for."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    env: Literal["demo", "production", "testing"]
    base_url: Annotated[str, AfterValidator(judged.base_url)] = "http://127.0.0.1:8000"
    secret_key: SecretStr
    secret_key_fallbacks: SecretList = []
    data_dir: Path = Path("instance")
    log_format: Literal["text", "json"] = "text"
    log_level: Annotated[str, AfterValidator(judged.log_levels)] = "info"
    erasure_journal: judged.MaybePath = None
    database_url: str = Field(default="", repr=False)  # may hold a password
    storage_url: str = ""
    storage_instance_keys: bool = False
    mail_server: str | None = None
    mail_port: int = Field(default=25, ge=1, le=65535)
    mail_username: str | None = None
    mail_password: SecretStr | None = None
    mail_use_tls: bool = False
    mail_use_ssl: bool = False
    mail_default_sender: str = ""
    bounce_address: Annotated[str, AfterValidator(judged.return_path)] = ""
    bounce_imap: Annotated[SecretStr | None, AfterValidator(judged.mailbox)] = None
    mail_webhook_brevo: ShownSecrets = []
    mail_webhook_mailgun: ShownSecrets = []
    mail_webhook_postmark: ShownSecrets = []
    mail_webhook_sendgrid: Annotated[Listed, AfterValidator(judged.public_keys)] = []
    mail_webhook_ses: Annotated[Listed, AfterValidator(judged.topics)] = []
    mail_rate: float = Field(default=0, ge=0)
    mail_connections: int = Field(default=4, ge=1, le=64)
    stripe_secret_key: SecretStr | None = None
    stripe_webhook_secrets: SecretList = []
    stripe_api_base: str = ""
    alerts_to: Listed = []
    time_zone: str = "Europe/London"
    release_delay: int = Field(default=600, ge=0)
    max_upload: int = Field(default=250_000_000, ge=1_000)
    bind: Annotated[str, AfterValidator(judged.bind)] = "127.0.0.1:8000"
    web_workers: int = Field(default=2, ge=1, le=64)
    web_threads: int = Field(default=16, ge=1, le=64)
    accel_redirect: str | None = None
    trusted_proxies: int = Field(default=0, ge=0, le=5)
    backup_passphrase: SecretStr | None = None
    backup_passphrase_file: judged.MaybePath = None
    postgresql_programs: judged.MaybePath = None
    metrics_token: Annotated[SecretStr | None, AfterValidator(judged.shown_secret)] = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` hands over: it has looked at every `STORE_*` variable, unknown ones too."""
        return (init_settings,)

    @model_validator(mode="before")
    @classmethod
    def _demo_needs_nothing(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("env") == "demo":
            values.setdefault("release_delay", 0)
            if "secret_key" not in values:
                values["secret_key"] = judged.kept_key(Path(values.get("data_dir", "instance")))
        return values

    @field_validator(
        *("alerts_to", "secret_key_fallbacks", "stripe_webhook_secrets"),
        *("mail_webhook_brevo", "mail_webhook_mailgun", "mail_webhook_postmark"),
        *("mail_webhook_sendgrid", "mail_webhook_ses"),
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            [p.strip() for p in value.split(",") if p.strip()] if isinstance(value, str) else value
        )

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 32:
            raise ValueError("needs at least 32 characters; `openssl rand -hex 32` makes one")
        return value

    @field_validator("stripe_secret_key")
    @classmethod
    def _key_of_stripe(cls, value: SecretStr | None) -> SecretStr | None:
        key = value.get_secret_value() if value else ""
        if value and not re.fullmatch(r"(sk|rk)_(test|live)_\w+", key, re.ASCII):
            raise ValueError(
                "needs a key that begins with rk_live_, rk_test_, sk_live_ or sk_test_"
            )
        return value

    @field_validator("stripe_webhook_secrets")
    @classmethod
    def _secrets_of_stripe(cls, value: list[SecretStr]) -> list[SecretStr]:
        if not all(one.get_secret_value().startswith("whsec_") for one in value):
            raise ValueError("needs the endpoint's signing secrets, which begin with whsec_")
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        # Looked up, not listed: a list of all zones reads every file of the machine's. Those under
        # `right` count leap seconds, those under `posix` say again what is in the list.
        is_listed = not value.startswith(("right/", "posix"))
        try:
            ZoneInfo(value)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            is_listed = False
        if not is_listed:
            raise ValueError("needs a name like Europe/London")
        return value

    @field_validator("mail_default_sender")
    @classmethod
    def _sender(cls, value: str) -> str:
        return judged.own_mailbox(value) if value else value

    @field_validator("alerts_to")
    @classmethod
    def _mailboxes(cls, value: list[str]) -> list[str]:
        return [judged.own_mailbox(one) for one in value]

    @field_validator("mail_server")
    @classmethod
    def _host_alone(cls, value: str | None) -> str | None:
        return judged.host(value) if value else None

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        return judged.database_url(value) if value else value

    @field_validator("storage_url")
    @classmethod
    def _known_storage(cls, value: str) -> str:
        return judged.storage_url(value) if value else value

    @field_validator("accel_redirect")
    @classmethod
    def _prefix(cls, value: str | None) -> str | None:
        return judged.path_prefix(value) if value else None

    def misfits(self) -> list[Misfit]:
        """What is wrong between settings that are right each by itself."""
        return [*self._stripe_misfits(), *self._mail_misfits(), *self._production_misfits()]

    def _stripe_misfits(self) -> list[Misfit]:
        found = []
        key = self.stripe_secret_key.get_secret_value() if self.stripe_secret_key else ""
        is_production = self.env == "production"
        if key and not self.stripe_webhook_secrets:
            found.append(
                _misfit(
                    "STORE_STRIPE_WEBHOOK_SECRETS must be set beside STORE_STRIPE_SECRET_KEY",
                    "stripe_secret_key",
                    "stripe_webhook_secrets",
                )
            )
        if key and ("_test_" in key[:8]) == is_production:
            kind = "live key in production" if is_production else "test key outside production"
            line = f"STORE_STRIPE_SECRET_KEY must be a {kind}"
            found.append(_misfit(line, "env", "stripe_secret_key"))
        if is_production and self.stripe_api_base:
            line = "STORE_STRIPE_API_BASE is for tests only and must be unset in production"
            found.append(_misfit(line, "env", "stripe_api_base"))
        return found

    def _mail_misfits(self) -> list[Misfit]:
        found = []
        if self.mail_use_tls and self.mail_use_ssl:
            line = (
                "STORE_MAIL_USE_TLS and STORE_MAIL_USE_SSL exclude each other: the one begins TLS "
                "after connecting (often port 587), the other from the first byte (often port 465)"
            )
            found.append(_misfit(line, "mail_use_tls", "mail_use_ssl"))
        if bool(self.mail_username) != bool(self.mail_password):
            line = "STORE_MAIL_USERNAME and STORE_MAIL_PASSWORD are set together or not"
            found.append(_misfit(line, "mail_username", "mail_password"))
        if not self.mail_default_sender and not judged.is_own_mailbox(self.mail_sender):
            line = (
                "STORE_MAIL_DEFAULT_SENDER must name the sender: the host of STORE_BASE_URL "
                "makes no e-mail address"
            )
            found.append(_misfit(line, "mail_default_sender", "base_url"))
        return found

    def _production_misfits(self) -> list[Misfit]:
        if self.env != "production":
            return []
        found = []
        if not self.base_url.startswith("https://"):
            line = "STORE_BASE_URL must begin with https:// in production"
            found.append(_misfit(line, "env", "base_url"))
        if not self.mail_server:
            line = "STORE_MAIL_SERVER must name the mail server in production"
            found.append(_misfit(line, "env", "mail_server"))
        if not self.mail_default_sender:
            line = "STORE_MAIL_DEFAULT_SENDER must name the sender in production"
            found.append(_misfit(line, "env", "mail_default_sender"))
        return found

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone of every hour that people read."""
        return ZoneInfo(self.time_zone)

    @cached_property
    def secrets(self) -> list[str]:
        """Every secret of the settings, so that none is printed, the longest first."""
        given = [self.mail_password, self.stripe_secret_key, *self.stripe_webhook_secrets]
        given += [self.metrics_token, self.bounce_imap, *self.mail_webhook_brevo]
        given += [self.backup_passphrase]
        given += [*self.mail_webhook_mailgun, *self.mail_webhook_postmark]
        found = [one.get_secret_value() for one in given if one] + self.signing_keys
        url = sa.engine.make_url(self.database)
        found += [str(url.password or ""), str(url.query.get("password", ""))]
        if self.bounce_imap:
            found.append(judged.mailbox_parts(self.bounce_imap.get_secret_value()).password)
        return sorted({one for one in found if len(one) > 3}, key=len, reverse=True)

    @cached_property
    def signing_keys(self) -> list[str]:
        """The key that signs, then those that are still accepted."""
        return [key.get_secret_value() for key in (self.secret_key, *self.secret_key_fallbacks)]

    @cached_property
    def worker_threads(self) -> int:
        """How many threads of the worker do jobs: one a mail connection, and two for the rest."""
        return self.mail_connections + 2

    @cached_property
    def most_connections(self) -> int:
        """How many connections the threads of one process, web or worker, may want at once. A thread
        that sends letters keeps one for its steps; one line more is kept free."""
        return max(self.web_threads, self.worker_threads + self.mail_connections + 1)

    @cached_property
    def database_connections(self) -> int:
        """How many connections to PostgreSQL web server and worker of one machine may hold: one for each
        thread, for each that does jobs one by which it hears bells, for each that sends letters one for its
        ledger, and a few a process for bells, timetable and sign of life."""
        web = self.web_workers * (self.web_threads + 2)
        return web + 2 * self.worker_threads + self.mail_connections + 1 + SPARE_CONNECTIONS

    @cached_property
    def payment_origin(self) -> str:
        """Where Stripe's payment page is, the one other site that buyers are sent to; empty
        without Stripe."""
        if self.stripe_secret_key is None:
            return ""
        parts = urlsplit(self.stripe_api_base or CHECKOUT_ORIGIN)
        return f"{parts.scheme}://{parts.netloc}"

    @cached_property
    def log_levels(self) -> dict[str, str]:
        """From which level on each logger is heard; that of \"\" is for all of the shop."""
        return judged.levels_of(self.log_level)

    @cached_property
    def mail_sender(self) -> str:
        """The address that letters come from."""
        return self.mail_default_sender or f"shop@{urlsplit(self.base_url).hostname}"

    @cached_property
    def erasures_file(self) -> Path:
        """The file that says who was erased, whatever becomes of the database: in the data folder
        unless set."""
        return (self.erasure_journal or self.data_dir / "erasures.jsonl").absolute()

    @cached_property
    def database(self) -> str:
        """The SQLAlchemy address: SQLite in the data folder unless set."""
        url = self.database_url or f"sqlite:///{self.data_dir.absolute() / 'colophon.db'}"
        return url.replace("postgresql://", "postgresql+psycopg://", 1)

    @cached_property
    def storage(self) -> str:
        """Where files are kept: a folder in the data folder unless set."""
        return self.storage_url or (self.data_dir.absolute() / "files").as_uri()

    @property
    def has_bucket_key(self) -> bool:
        """Whether the store's library finds a key for the bucket, or may ask the cloud for one."""
        return self.storage_instance_keys or any(map(os.environ.get, judged.BUCKET_KEYS))


def load(environment: dict[str, str] | None = None, **given: Any) -> Settings:
    """Read the settings from `STORE_*` variables; `given` values win (tests, the demo).

    Raises `SettingsFault` with every fault, named by its variable and what would be right.
    """
    environment = dict(os.environ) if environment is None else environment
    values: dict[str, Any] = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX)
    }
    values |= given
    told, faulty = [], set()
    try:
        loaded = Settings.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_input=False)
        told = [_in_words(fault) for fault in faults]
        faulty = {str(fault["loc"][0]) for fault in faults if fault["loc"]}
        sound = {name: value for name, value in values.items() if name not in faulty}
        loaded = Settings.model_validate(_STAND_INS | sound)
    # What is between settings is judged by those that are right each by itself.
    told += [one.line for one in loaded.misfits() if faulty.isdisjoint(one.fields)]
    if told:
        raise SettingsFault(told)
    return loaded


# For settings that have no default and are missing or wrong, so that the others can be judged.
_STAND_INS = {"env": "testing", "secret_key": "a stand-in that signs nothing at all"}


def _misfit(line: str, *fields: str) -> Misfit:
    return Misfit(frozenset(fields), line)


def _in_words(fault: Any) -> str:
    where = ".".join(str(part) for part in fault["loc"])
    name = PREFIX + where.upper() if where else ""
    match fault["type"]:
        case "missing":
            return f"{name} is not set{_hint(where)}"
        case "extra_forbidden":
            return f"{name} is not a setting; see the operator's guide for those that are"
        case _:
            return f"{name} {fault['msg'].removeprefix('Value error, ')}".strip()


def _hint(field: str) -> str:
    if field == "env":
        return ": demo, production or testing"
    return ": `openssl rand -hex 32` makes one" if field == "secret_key" else ""
