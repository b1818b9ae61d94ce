"""What the rooms need to know of the settings, without importing them.

`store.settings` satisfies this protocol; `create_app` hands the object over.
"""

from pathlib import Path
from typing import Protocol, cast
from zoneinfo import ZoneInfo

from flask import current_app


class Config(Protocol):
    """The settings that rules and doors read; every one is set by a `STORE_*` variable."""

    @property
    def env(self) -> str: ...
    @property
    def base_url(self) -> str: ...
    @property
    def data_dir(self) -> Path: ...
    @property
    def zone(self) -> ZoneInfo: ...
    @property
    def signing_keys(self) -> list[str]: ...
    @property
    def release_delay(self) -> int: ...
    @property
    def max_upload(self) -> int: ...
    @property
    def accel_redirect(self) -> str | None: ...
    @property
    def mail_server(self) -> str | None: ...
    @property
    def mail_rate(self) -> float: ...
    @property
    def mail_connections(self) -> int: ...
    @property
    def mail_sender(self) -> str: ...
    @property
    def alerts_to(self) -> list[str]: ...


def config() -> Config:
    """The settings of the application at work."""
    return cast(Config, current_app.extensions["colophon.settings"])
