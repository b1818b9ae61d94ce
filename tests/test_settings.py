"""Settings: all faults at once, in words; secrets masked; production refuses what is unfit."""

from pathlib import Path

import pytest

from store import settings

KEY = "k" * 32


def test_all_faults_are_told_at_once_each_by_its_variable() -> None:
    with pytest.raises(settings.SettingsFault) as fault:
        settings.load(
            {"STORE_FOO": "1", "STORE_TIME_ZONE": "Mars", "STORE_BASE_URL": "shop.example"}
        )
    assert fault.value.faults == [
        "STORE_ENV is not set: demo, production or testing",
        "STORE_BASE_URL needs an address like https://shop.example.org, without a path",
        "STORE_SECRET_KEY is not set: `openssl rand -hex 32` makes one",
        "STORE_TIME_ZONE needs a name like Europe/London",
        "STORE_FOO is not a setting; see the operator's guide for those that are",
    ]


def test_production_names_what_it_lacks() -> None:
    with pytest.raises(settings.SettingsFault) as fault:
        settings.load({"STORE_ENV": "production", "STORE_SECRET_KEY": KEY})
    assert fault.value.faults == [
        (
            "STORE_BASE_URL must begin with https:// in production; "
            "STORE_MAIL_SERVER must name the mail server in production; "
            "STORE_MAIL_DEFAULT_SENDER must name the sender in production"
        )
    ]


def test_secrets_do_not_show() -> None:
    loaded = settings.load(
        {
            "STORE_ENV": "testing",
            "STORE_SECRET_KEY": KEY,
            "STORE_SECRET_KEY_FALLBACKS": f"{'a' * 32},{'b' * 32}",
            "STORE_MAIL_PASSWORD": "hunter2",
            "STORE_DATABASE_URL": "postgresql://shop:hunter2@db.example/shop",
        }
    )
    assert "hunter2" not in repr(loaded)
    assert KEY not in repr(loaded)
    assert loaded.signing_keys == [KEY, "a" * 32, "b" * 32]


def test_lists_are_separated_by_commas() -> None:
    loaded = settings.load(
        {
            "STORE_ENV": "testing",
            "STORE_SECRET_KEY": KEY,
            "STORE_ALERTS_TO": "a@b.example, c@d.example",
        }
    )
    assert loaded.alerts_to == ["a@b.example", "c@d.example"]


def test_the_demo_keeps_the_key_that_it_made(tmp_path: Path) -> None:
    environment = {"STORE_ENV": "demo", "STORE_DATA_DIR": str(tmp_path)}
    first, second = settings.load(environment), settings.load(environment)
    assert first.signing_keys == second.signing_keys
    assert first.release_delay == 0
    assert (tmp_path / "demo-secret-key").stat().st_mode & 0o777 == 0o600
