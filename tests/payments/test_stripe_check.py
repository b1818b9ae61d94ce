"""`store check` looks at Stripe with the least key; the settings refuse what does not fit."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.testing import FlaskClient

from store import settings
from store.app import create_app
from store.cli import main
from store.kit import clock
from store.payments.gateways.registry import default_gateway, gateways
from store.payments.gateways.stripe_objects import EVENT_KINDS
from tests.conftest import make_settings
from tests.payments.stripe_shop import KEY, WEBHOOK_SECRET, stripe_settings
from tests.stripe_double import StripeDouble

SECRET = "k" * 32
GUIDE = Path(__file__).parents[2] / "docs" / "operators-guide.md"


@pytest.fixture
def check(double: StripeDouble, tmp_path: Path, database_url: str, port: int) -> Any:
    """Run the command with the settings of the Stripe shop; gives its lines about Stripe."""
    endpoint = double.world.tables["webhook_endpoint"]["we_default"]
    endpoint["url"] = f"http://127.0.0.1:{port}/webhooks/stripe"

    def run(**given: str) -> tuple[int, list[str]]:
        environment = {
            "STORE_ENV": "testing",
            "STORE_SECRET_KEY": SECRET,
            "STORE_DATA_DIR": str(tmp_path),
            "STORE_DATABASE_URL": database_url,
            "STORE_BASE_URL": f"http://127.0.0.1:{port}",
            "STORE_STRIPE_SECRET_KEY": KEY,
            "STORE_STRIPE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
            "STORE_STRIPE_API_BASE": double.url,
        } | given
        result: Result = CliRunner().invoke(main, ["check"], env=environment)
        assert KEY not in result.output
        assert WEBHOOK_SECRET not in result.output
        lines = [line for line in result.output.splitlines() if " stripe " in line]
        return result.exit_code, lines

    return run


def _endpoint(double: StripeDouble) -> dict[str, Any]:
    found: dict[str, Any] = double.world.tables["webhook_endpoint"]["we_default"]
    return found


def test_the_check_says_mode_version_and_events(
    check: Any, double: StripeDouble, port: int
) -> None:
    assert check() == (
        0,
        [
            "ok     stripe key: answers, test mode",
            (
                f"ok     stripe webhook: http://127.0.0.1:{port}/webhooks/stripe hears every event it "
                f"needs, as of {double.spec.version}"
            ),
        ],
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"api_version": "2020-08-27"}, "speaks version 2020-08-27, not 2026-10-28.endive"),
        ({"enabled_events": ["charge.updated"]}, "does not hear checkout.session.completed, "),
        ({"status": "disabled"}, "is switched off"),
        ({"url": "https://elsewhere.example/"}, "no endpoint for http://127.0.0.1:"),
    ],
)
def test_the_check_names_what_is_wrong_with_the_endpoint(
    check: Any, double: StripeDouble, change: dict[str, Any], words: str
) -> None:
    _endpoint(double).update(change)
    status, (line, _) = check()
    assert status == 1
    assert line.startswith("fault  stripe webhook: ")
    assert words in line


def test_the_check_says_that_the_clock_is_not_stripes(
    check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "machine_time", lambda: datetime.now(UTC) + timedelta(seconds=90))
    status, (line, _) = check()
    assert status == 1
    assert re.match(r"fault  stripe key: the clock is (89|90|91) seconds ahead of Stripe's", line)


def test_the_check_says_that_a_key_does_not_answer(check: Any, double: StripeDouble) -> None:
    double.control.fault("server_error", method="GET", times=6)
    status, lines = check()
    assert status == 1
    assert [line.split(":")[0] for line in lines] == ["fault  stripe key", "fault  stripe webhook"]


def _faults(**given: str) -> list[str]:
    with pytest.raises(settings.SettingsFault) as fault:
        settings.load({"STORE_SECRET_KEY": SECRET} | given)
    text = str(fault.value)
    assert "_42" not in text
    return fault.value.faults


@pytest.mark.parametrize("key", ["pk_test_42", "sk_42", "rk_test_", "sk_test_4 2", "whsec_42"])
def test_a_key_of_another_kind_is_refused(key: str) -> None:
    assert _faults(
        STORE_ENV="testing",
        STORE_STRIPE_SECRET_KEY=key,
        STORE_STRIPE_WEBHOOK_SECRETS="whsec_1",
    ) == [
        (
            "STORE_STRIPE_SECRET_KEY needs a key that begins with rk_live_, rk_test_, sk_live_ or "
            "sk_test_"
        )
    ]


@pytest.mark.parametrize("env", ["demo", "testing"])
@pytest.mark.parametrize("key", ["sk_live_42", "rk_live_42"])
def test_a_live_key_is_refused_outside_production(env: str, key: str, tmp_path: Path) -> None:
    assert _faults(
        STORE_ENV=env,
        STORE_DATA_DIR=str(tmp_path),
        STORE_STRIPE_SECRET_KEY=key,
        STORE_STRIPE_WEBHOOK_SECRETS="whsec_1",
    ) == ["STORE_STRIPE_SECRET_KEY must be a test key outside production"]


def test_production_refuses_test_keys_and_another_address_of_stripe() -> None:
    assert _faults(
        STORE_ENV="production",
        STORE_BASE_URL="https://shop.example.org",
        STORE_MAIL_SERVER="localhost",
        STORE_MAIL_DEFAULT_SENDER="shop@example.org",
        STORE_STRIPE_SECRET_KEY="sk_test_42",
        STORE_STRIPE_API_BASE="http://127.0.0.1:1",
    ) == [
        "STORE_STRIPE_WEBHOOK_SECRETS must be set beside STORE_STRIPE_SECRET_KEY",
        "STORE_STRIPE_SECRET_KEY must be a live key in production",
        "STORE_STRIPE_API_BASE is for tests only and must be unset in production",
    ]


def test_secrets_of_stripe_do_not_show() -> None:
    loaded = settings.load(
        {
            "STORE_ENV": "testing",
            "STORE_SECRET_KEY": SECRET,
            "STORE_STRIPE_SECRET_KEY": "sk_test_hunter2",
            "STORE_STRIPE_WEBHOOK_SECRETS": "whsec_hunter2, whsec_hunter3",
        }
    )
    assert "hunter" not in repr(loaded)
    assert "hunter" not in str(loaded.model_dump())
    assert len(loaded.stripe_webhook_secrets) == 2


def _production(tmp_path: Path, **given: Any) -> Flask:
    return create_app(
        make_settings(
            tmp_path,
            env="production",
            base_url="https://shop.example.org",
            mail_server="mail.example.org",
            mail_default_sender="shop@example.org",
            **given,
        )
    )


def test_stripe_comes_first_and_production_has_no_demonstration(
    double: StripeDouble, tmp_path: Path
) -> None:
    live = {"stripe_secret_key": "rk_live_42", "stripe_webhook_secrets": "whsec_1"}
    with _production(tmp_path, **live).app_context():
        assert default_gateway().name == "stripe"
        assert "demo" not in gateways()
    with create_app(make_settings(tmp_path, **stripe_settings(double))).app_context():
        assert default_gateway().name == "stripe"
        assert "demo" in gateways()


def test_forms_may_lead_on_to_stripes_page_and_nowhere_else(tmp_path: Path) -> None:
    live = {"stripe_secret_key": "rk_live_42", "stripe_webhook_secrets": "whsec_1"}
    client = _production(tmp_path, **live).test_client()
    answer = client.get("/healthz", base_url="https://shop.example.org")
    policy = answer.headers["Content-Security-Policy"]
    assert "form-action 'self' https://checkout.stripe.com; base-uri" in policy


def test_a_demonstration_with_test_keys_says_so_on_every_page(buyer: FlaskClient) -> None:
    assert "Demonstration shop with Stripe in test mode" in buyer.get("/find-my-copies").text


def test_the_guide_names_the_events_and_the_version_that_this_shop_reads() -> None:
    import re

    import stripe

    part = GUIDE.read_text(encoding="utf-8").split("\n## Stripe\n")[1].split("\n## ")[0]
    assert tuple(re.findall(r"`([a-z_]+\.[a-z_.]+)`", part)) == EVENT_KINDS
    assert f"`{stripe.api_version}`" in part
