"""Settings: all faults at once, in words; secrets masked; production refuses what is unfit."""

from importlib.resources import files
from pathlib import Path
from zoneinfo import reset_tzpath

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
        "STORE_BASE_URL must begin with https:// in production",
        "STORE_MAIL_SERVER must name the mail server in production",
        "STORE_MAIL_DEFAULT_SENDER must name the sender in production",
    ]


WRONG = {
    "STORE_BASE_URL": [
        "shop.example",
        "https://shop.example/path",
        "https://shop.example?x=1",
        "https://shop.example#x",
        "https://user:hunter2@shop.example",
        "https://shop.example:port",
        "https://shop example",
        "https://",
        "https://shöp.example",
    ],
    "STORE_MAIL_DEFAULT_SENDER": [
        "shop",
        "Shop <shop@press.example>",
        "shöp@press.example",
        "shop@press..example",
        ".shop@press.example",
        "shop@press.example\r\nBcc: x@y.example",
        "a@b.example, c@d.example",
    ],
    "STORE_ALERTS_TO": ["desk", "desk@press.example, nobody", "d\u00ebsk@press.example"],
    "STORE_MAIL_SERVER": ["smtp://mail.example", "mail.example:587", "mail example", "-x-"],
    "STORE_BOUNCE_ADDRESS": [
        "bounces",
        "Bounces+{token}@press.example",
        "bounces+{token}+{token}@press.example",
        "bounces{token}@press.example",
        "bounces@{token}.example",
        f"{'b' * 24}+{{token}}@press.example",
        "bounces+{mark}@press.example",
        "b\u00f6unces+{token}@press.example",
    ],
    "STORE_BOUNCE_IMAP": [
        "imap.press.example",
        "https://bounces:hunter2@imap.press.example",
        "imaps://bounces@imap.press.example",
        "imaps://bounces:hunter2@",
        "imaps://bounces:hunter2@imap.press.example:port",
        "imaps://bounces:hunter2#@imap.press.example",
        "imaps://bounces:hunter2@imap.press.example/INBOX?x=1",
        "imaps://bounces:hunter2%0d%0a@imap.press.example",
        "imaps://bounces:hunter2@imap.press.example/Zur\u00fcck",
    ],
    "STORE_MAIL_WEBHOOK_POSTMARK": ["short", "with a blank in it, and long"],
    "STORE_MAIL_WEBHOOK_SENDGRID": ["hunter2", "MCowBQYDK2VwAyEAhunter2"],
    "STORE_MAIL_WEBHOOK_SES": ["bounces", "arn:aws:sqs:eu-west-1:123456789012:bounces"],
    "STORE_MAIL_PORT": ["0", "65536", "smtp"],
    "STORE_DATABASE_URL": [
        "mysql://shop:hunter2@db.example/shop",
        "hunter2",
        "postgresql://shop:hunter2@db.example",
        "postgresql://shop:hunter2@db.example:port/shop",
    ],
    "STORE_STORAGE_URL": [
        "files",
        "file://host/files",
        "s3:bucket",
        "ftp://user:hunter2@x/y",
        "s3://",
    ],
    "STORE_BIND": ["", "8000", ":8000", "http://127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", "::1:80"],
    "STORE_WEB_WORKERS": ["0", "many"],
    "STORE_ACCEL_REDIRECT": [
        "files",
        "/files\r\nX: y",
        "https://x.example/files",
        "/../etc",
        "/a b",
    ],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, all_ in WRONG.items() for v in all_])
def test_a_value_that_could_not_work_is_refused_where_it_is_given(name: str, value: str) -> None:
    with pytest.raises(settings.SettingsFault) as fault:
        settings.load({"STORE_ENV": "testing", "STORE_SECRET_KEY": KEY, name: value})
    (told,) = fault.value.faults
    assert told.startswith(f"{name} ")
    assert "hunter2" not in told


def test_what_does_not_fit_together_is_told_with_all_else_of_its_kind() -> None:
    given = {
        "STORE_ENV": "testing",
        "STORE_SECRET_KEY": KEY,
        "STORE_MAIL_USE_TLS": "true",
        "STORE_MAIL_USE_SSL": "true",
        "STORE_MAIL_USERNAME": "shop",
        "STORE_BASE_URL": "http://[::1]:8000",
        "STORE_STRIPE_SECRET_KEY": "sk_live_x",
    }
    with pytest.raises(settings.SettingsFault) as fault:
        settings.load(given)
    assert [line.split()[0] for line in fault.value.faults] == [
        "STORE_STRIPE_WEBHOOK_SECRETS",
        "STORE_STRIPE_SECRET_KEY",
        "STORE_MAIL_USE_TLS",
        "STORE_MAIL_USERNAME",
        "STORE_MAIL_DEFAULT_SENDER",
    ]


def test_what_does_not_fit_together_is_told_beside_values_that_are_wrong() -> None:
    given = {
        "STORE_ENV": "production",
        "STORE_TIME_ZONE": "Mars",
        "STORE_MAIL_PORT": "smtp",
        "STORE_MAIL_SERVER": "smtp://mail.example",
        "STORE_MAIL_USE_TLS": "true",
        "STORE_MAIL_USE_SSL": "true",
        "STORE_STRIPE_SECRET_KEY": "sk_test_x",
        "STORE_FOO": "1",
    }
    with pytest.raises(settings.SettingsFault) as fault:
        settings.load(given)
    assert [line.split()[0] for line in fault.value.faults] == [
        "STORE_SECRET_KEY",
        "STORE_MAIL_SERVER",
        "STORE_MAIL_PORT",
        "STORE_TIME_ZONE",
        "STORE_FOO",
        "STORE_STRIPE_WEBHOOK_SECRETS",
        "STORE_STRIPE_SECRET_KEY",
        "STORE_MAIL_USE_TLS",
        "STORE_BASE_URL",
        "STORE_MAIL_DEFAULT_SENDER",
    ]


@pytest.mark.parametrize("zone", ["right/Europe/London", "posix/Europe/London", "posixrules"])
def test_a_time_zone_is_one_of_the_usual_list(zone: str, tmp_path: Path) -> None:
    here = tmp_path / zone
    here.parent.mkdir(parents=True, exist_ok=True)
    here.write_bytes(files("tzdata.zoneinfo.Europe").joinpath("London").read_bytes())
    reset_tzpath([str(tmp_path)])
    try:
        with pytest.raises(settings.SettingsFault, match="STORE_TIME_ZONE needs a name"):
            settings.load(
                {"STORE_ENV": "testing", "STORE_SECRET_KEY": KEY, "STORE_TIME_ZONE": zone}
            )
    finally:
        reset_tzpath()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STORE_ENV", "production "),
        ("STORE_BASE_URL", "http://[::1]:8000/path"),
        ("STORE_STRIPE_SECRET_KEY", "live"),
        ("STORE_STRIPE_WEBHOOK_SECRETS", "secret"),
        ("STORE_MAIL_USE_SSL", "perhaps"),
    ],
)
def test_nothing_is_said_of_a_wrong_value_beside_its_own_fault(name: str, value: str) -> None:
    given = {
        "STORE_ENV": "testing",
        "STORE_SECRET_KEY": KEY,
        "STORE_MAIL_USE_TLS": "true",
        "STORE_STRIPE_SECRET_KEY": "sk_test_x",
        "STORE_STRIPE_WEBHOOK_SECRETS": "whsec_x",
    }
    with pytest.raises(settings.SettingsFault) as fault:
        settings.load(given | {name: value})
    (told,) = fault.value.faults
    assert told.startswith(f"{name} ")


def test_values_that_work_are_taken() -> None:
    settings.load(
        {
            "STORE_ENV": "production",
            "STORE_SECRET_KEY": KEY,
            "STORE_BASE_URL": "https://shop.example:8443/",
            "STORE_MAIL_SERVER": "smtp-1.mail.example",
            "STORE_MAIL_DEFAULT_SENDER": "shop+news@b\u00fccher.example",
            "STORE_ALERTS_TO": "a@b.example, c@d.example",
            "STORE_DATABASE_URL": "postgresql://shop:hunter2@/shop?host=/run/postgresql",
            "STORE_STORAGE_URL": "s3://bucket/prefix",
            "STORE_ACCEL_REDIRECT": "/files/",
        }
    )


def test_a_path_without_a_word_is_not_set(tmp_path: Path) -> None:
    given = {"STORE_ENV": "testing", "STORE_SECRET_KEY": KEY, "STORE_DATA_DIR": str(tmp_path)}
    names = ("STORE_ERASURE_JOURNAL", "STORE_BACKUP_PASSPHRASE_FILE", "STORE_POSTGRESQL_PROGRAMS")
    loaded = settings.load(given | dict.fromkeys(names, ""))
    assert loaded.erasures_file == tmp_path / "erasures.jsonl"
    assert (loaded.backup_passphrase_file, loaded.postgresql_programs) == (None, None)


def test_secrets_do_not_show() -> None:
    loaded = settings.load(
        {
            "STORE_ENV": "testing",
            "STORE_SECRET_KEY": KEY,
            "STORE_SECRET_KEY_FALLBACKS": f"{'a' * 32},{'b' * 32}",
            "STORE_MAIL_USERNAME": "shop",
            "STORE_MAIL_PASSWORD": "hunter2",
            "STORE_DATABASE_URL": "postgresql://shop:hunter2@db.example/shop",
            "STORE_BOUNCE_IMAP": "imaps://bounces:hunter2@imap.press.example",
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


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("127.0.0.1", "127.0.0.1:8000"),
        ("0.0.0.0:80", "0.0.0.0:80"),
        ("[::1]", "[::1]:8000"),
        ("[::]:8443", "[::]:8443"),
        ("localhost:81", "localhost:81"),
    ],
)
def test_where_to_listen_may_be_given_without_a_port(given: str, used: str) -> None:
    demo = settings.load({"STORE_ENV": "demo", "STORE_SECRET_KEY": KEY, "STORE_BIND": given})
    assert demo.bind == used


@pytest.mark.parametrize(
    ("name", "value", "extra"),
    [
        ("STORE_DATABASE_URL", "postgresql://shop@db.example/shop", "postgresql"),
        ("STORE_STORAGE_URL", "s3://bucket/prefix", "s3"),
    ],
)
def test_what_is_not_installed_is_named_with_the_way_to_it(
    name: str, value: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"STORE_ENV": "demo", "STORE_SECRET_KEY": KEY, name: value}
    settings.load(given)
    monkeypatch.setattr("importlib.util.find_spec", lambda _module: None)
    with pytest.raises(settings.SettingsFault) as fault:
        settings.load(given)
    said = f"{name} needs more to be installed: pip install 'colophon[{extra}]'"
    assert fault.value.faults == [said]
