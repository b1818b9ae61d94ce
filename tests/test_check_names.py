"""`store check` and what the name system says of the sender: SPF, DKIM, DMARC, and where letters that
come back are taken; asked of a real name server."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from store.cli import main
from store.staff import mail_names
from tests.conftest import SECRET
from tests.name_server import Zone, name_server

WELL: dict[str, list[str]] = {
    "press.example TXT": ["something else", "v=spf1 include:relay.example -all"],
    "_dmarc.press.example TXT": ["v=DMARC1; p=quarantine"],
    "one._domainkey.press.example TXT": ["v=DKIM1; k=rsa; p=MIIB"],
    "gone._domainkey.press.example TXT": ["v=DKIM1; p="],
    "press.example MX": ["10 mx.press.example."],
}


pytestmark = pytest.mark.usefixtures("app")


def _check(folder: Path, resolver: str, *words: str, sender: str = "shop@press.example") -> Any:
    environment = {
        "STORE_ENV": "testing",
        "STORE_SECRET_KEY": SECRET,
        "STORE_DATA_DIR": str(folder),
        "STORE_MAIL_DEFAULT_SENDER": sender,
    }
    return CliRunner().invoke(main, ["check", "--resolver", resolver, *words], env=environment)


def _names(said: str) -> list[str]:
    return [line for line in said.splitlines() if " mail names: " in line]


def test_a_domain_that_may_send_is_well(tmp_path: Path) -> None:
    with name_server(WELL) as resolver:
        done = _check(tmp_path, resolver, "--dkim", "one")
    assert done.exit_code == 0
    assert _names(done.output) == [
        (
            "ok     mail names: SPF of press.example; DKIM key one; DMARC of press.example "
            "(quarantine); mail to press.example is taken"
        )
    ]


def test_a_policy_of_the_domain_above_counts(tmp_path: Path) -> None:
    zone = WELL | {"post.press.example TXT": ["v=spf1 -all"], "post.press.example A": ["192.0.2.1"]}
    with name_server(zone) as resolver:
        done = _check(tmp_path, resolver, sender="shop@post.press.example")
    assert "DMARC of press.example (quarantine); mail to post.press.example is taken" in done.output


def test_without_the_keys_name_a_look_at_a_letter_is_asked_for(tmp_path: Path) -> None:
    with name_server(WELL) as resolver:
        done = _check(tmp_path, resolver)
    assert done.exit_code == 0
    assert _names(done.output)[1].startswith(
        "note   mail names: press.example has a place for DKIM keys; "
    )
    zone = {name: texts for name, texts in WELL.items() if "_domainkey" not in name}
    with name_server(zone) as resolver:
        done = _check(tmp_path, resolver)
    assert _names(done.output)[1].startswith("note   mail names: press.example shows no DKIM key: ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"press.example TXT": []}, "press.example has no SPF record: publish one"),
        ({"press.example TXT": ["v=spf1 -all", "v=spf1 ~all"]}, "press.example has 2 SPF records"),
        ({"press.example TXT": ["v=spf1 +all"]}, "lets everybody send (+all)"),
        ({"press.example TXT": ["v=spf1 all"]}, "lets everybody send (+all)"),
        ({"_dmarc.press.example TXT": []}, "press.example has no DMARC record: publish v=DMARC1"),
        (
            {"_dmarc.press.example TXT": ["v=DMARC1; p=none", "v=DMARC1; p=reject"]},
            "_dmarc.press.example has 2 records: then none counts",
        ),
        ({"press.example MX": []}, "press.example takes no mail (no MX)"),
        ({"press.example MX": ["0 ."]}, "press.example takes no mail (no MX)"),
        ({"one._domainkey.press.example TXT": []}, "no DKIM key at one._domainkey.press.example"),
        ({"one._domainkey.press.example TXT": ["v=DKIM1; p="]}, "was withdrawn (p=)"),
    ],
)
def test_what_large_mailboxes_refuse_for_is_a_fault(
    tmp_path: Path, change: Zone, words: str
) -> None:
    with name_server({**WELL, **change}) as resolver:
        done = _check(tmp_path, resolver, "--dkim", "one")
    assert done.exit_code == 1
    (line,) = _names(done.output)
    assert line.startswith("fault  mail names: ")
    assert words in line


def test_a_resolver_that_says_nothing_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_names, "SECONDS", 0.2)
    with name_server(WELL, is_silent=True) as resolver:
        done = _check(tmp_path, resolver)
    assert done.exit_code == 0
    (_, note) = _names(done.output)
    assert note.startswith("note   mail names: no answer about press.example (LifetimeTimeout)")


def test_nobody_is_asked_of_a_shop_that_is_not_in_production(tmp_path: Path) -> None:
    done = _check(tmp_path, "")
    assert _names(done.output) == [
        "ok     mail names: nobody is asked about press.example here; --resolver says whom"
    ]


@pytest.mark.parametrize("resolver", ["nowhere", "127.0.0.1:port"])
def test_a_resolver_that_is_none_is_a_fault_and_no_traceback(tmp_path: Path, resolver: str) -> None:
    done = _check(tmp_path, resolver)
    assert done.exit_code == 1
    (line,) = _names(done.output)
    assert line.startswith("fault  mail names: ValueError: ")
