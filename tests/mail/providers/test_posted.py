"""`/webhooks/mail/…`: each provider's documented shape opens a repair, and only where it is proved."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask

from store.entitlements.addresses import correct_address
from store.kit.database import db, transaction
from store.mail.matching import take_report
from store.mail.models import Attempt, Delivery, DeliveryStatus, Repair
from store.mail.reports import read_report
from store.orders.models import Customer
from tests.admin.sign_in import press, signed_in
from tests.conftest import Clock, make_settings, on_both
from tests.letters import send
from tests.mail import posted
from tests.mail.messages import dsn
from tests.mail.posted import SECRET, SHAPES, Letter, Message, proved
from tests.mail.posting import BOUNCED, PROVIDERS, UNTOUCHED, letter_of_ours, post
from tests.mail.returned import Stand, notice, sent_edition, stand
from tests.pages import read


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_bounce_opens_a_repair_once(shop: Flask, provider: str) -> None:
    message = proved(provider, SHAPES[provider](letter_of_ours(), "hard"))
    assert post(shop, provider, message) == 200
    assert stand() == BOUNCED
    assert post(shop, provider, message) == 200
    assert stand() == BOUNCED


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_came_back_is_mended_at_the_desk(shop: Flask, provider: str) -> None:
    """From what the provider posts, by a press, to the edition at its reader; the same message then
    says nothing of the letter that was sent again."""
    desk = signed_in(shop.test_client(), "support")
    message = proved(provider, SHAPES[provider](letter_of_ours(), "hard"))
    assert post(shop, provider, message) == 200
    page = read(desk, "/admin/repairs")
    assert "User unknown" in page
    assert posted.ANNA in page
    with transaction() as session:
        repair = session.scalars(sa.select(Repair.id)).one()
    pressed = press(desk, f"/admin/repairs/{repair}/resend", seen_on="/admin/repairs")
    assert pressed.status_code == 303
    send()
    assert post(shop, provider, message) == 200
    assert stand() == Stand(DeliveryStatus.SENT, [], 0, 1)
    assert "Nothing to repair" in read(desk, "/admin/repairs")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_came_back_is_mended_by_another_address(shop: Flask, provider: str) -> None:
    """From what the provider posts to the edition at its reader."""
    assert post(shop, provider, proved(provider, SHAPES[provider](letter_of_ours(), "hard"))) == 200
    with transaction() as session:
        customer = session.scalars(sa.select(Customer)).one()
        correct_address(customer, "anna@new.example", who="Olga")
    send()
    reached = sa.select(Attempt.address).join(Delivery, Delivery.id == Attempt.delivery_id)
    addresses = list(db.session.scalars(reached.where(Delivery.kind == "edition_notice")))
    assert addresses == [posted.ANNA, "anna@new.example"]
    assert stand() == Stand(DeliveryStatus.SENT, [posted.ANNA], 0, 1)


@on_both
def test_the_same_message_many_times_at_once_counts_once(shop: Flask) -> None:
    message = proved("postmark", SHAPES["postmark"](letter_of_ours(), "hard"))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(shop, "postmark", message), range(8)))
    assert answers == [200] * 8
    assert stand() == BOUNCED


def test_what_comes_by_several_doors_opens_one_repair(shop: Flask) -> None:
    letter = letter_of_ours()
    assert post(shop, "brevo", proved("brevo", SHAPES["brevo"](letter, "hard"))) == 200
    report = read_report(dsn(letter.message_id))
    assert report is not None
    with transaction():
        assert take_report(report) is True
    assert stand() == Stand(DeliveryStatus.BOUNCED, [posted.ANNA], 1, 2)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("kind", "status", "reports"),
    [
        ("soft", DeliveryStatus.QUEUED, 1),
        ("complaint", DeliveryStatus.SENT, 1),
        ("nothing", DeliveryStatus.SENT, 0),
    ],
)
def test_what_is_no_bounce_opens_none(
    shop: Flask, provider: str, kind: str, status: DeliveryStatus, reports: int
) -> None:
    assert post(shop, provider, proved(provider, SHAPES[provider](letter_of_ours(), kind))) == 200
    assert stand() == Stand(status, [], 0, reports)


def of_postmark(kind: str, details: str) -> object:
    return SHAPES["postmark"](letter_of_ours(), "hard") | {"Type": kind, "Details": details}


def of_mailgun(reason: str, code: int, message: str) -> object:
    said = SHAPES["mailgun"](letter_of_ours(), "hard")
    status = {"code": code, "message": message, "attempt-no": 8}
    said["event-data"] |= {"reason": reason, "delivery-status": status}
    return said


def of_sendgrid(**given: str) -> object:
    opened, event, processed = SHAPES["sendgrid"](letter_of_ours(), "hard")
    return [opened, event | given, processed]


def of_amazon(kind: str) -> object:
    said = SHAPES["ses"](letter_of_ours(), "nothing")
    said["bounce"]["bounceSubType"] = kind
    return said


SOFT, HARD = DeliveryStatus.QUEUED, DeliveryStatus.BOUNCED
RARE: dict[str, tuple[str, Callable[[], object], DeliveryStatus]] = {
    "given up by Mailgun": ("mailgun", lambda: of_mailgun("old", 602, "Too old"), SOFT),
    "blocked at a mailbox provider": (
        "mailgun",
        lambda: of_mailgun("espblock", 550, "5.7.1 Our system has detected an unusual rate"),
        SOFT,
    ),
    "on Mailgun's list": (
        "mailgun",
        lambda: of_mailgun("suppress-bounce", 605, ""),
        HARD,
    ),
    "unknown to Postmark": ("postmark", lambda: of_postmark("Unknown", ""), SOFT),
    "taken by SMTP and not sent": (
        "postmark",
        lambda: of_postmark("SMTPApiError", "The message is too large"),
        SOFT,
    ),
    "on Postmark's list": (
        "postmark",
        lambda: of_postmark("SMTPApiError", "Recipient is marked as inactive"),
        HARD,
    ),
    "given up by SendGrid": (
        "sendgrid",
        lambda: of_sendgrid(type="expired", status="", reason="Delayed Bounce - Unable to deliver"),
        SOFT,
    ),
    "on SendGrid's list": (
        "sendgrid",
        lambda: of_sendgrid(event="dropped", type="", status="", reason="Bounced Address"),
        HARD,
    ),
    "full, Amazon": ("ses", lambda: of_amazon("MailboxFull"), SOFT),
    "refused for what is in it, Amazon": ("ses", lambda: of_amazon("ContentRejected"), SOFT),
}


@pytest.mark.parametrize("name", RARE)
def test_rarer_words_of_the_providers_are_understood(shop: Flask, name: str) -> None:
    """A letter that its relay did not hand over is never one that counts as arrived."""
    provider, said, status = RARE[name]
    assert post(shop, provider, proved(provider, said())) == 200
    assert stand() == (BOUNCED if status is HARD else Stand(SOFT, [], 0, 1))


@pytest.mark.parametrize("provider", sorted({"brevo", "postmark", "sendgrid", "ses"}))
def test_the_providers_own_name_of_the_letter_is_enough(shop: Flask, provider: str) -> None:
    sent_edition()
    name = Letter().relay_id
    with transaction() as session:
        session.execute(
            sa.update(Attempt)
            .where(
                Attempt.delivery_id == sa.select(sa.func.max(Attempt.delivery_id)).scalar_subquery()
            )
            .values(reply=f"250 2.0.0 Ok: queued as <{name}>")
        )
    ours = db.session.scalar(sa.select(sa.func.max(Attempt.delivery_id)))
    assert ours == notice().id
    assert post(shop, provider, proved(provider, SHAPES[provider](Letter(), "hard"))) == 200
    assert stand() == BOUNCED


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_not_proved_writes_nothing(shop: Flask, provider: str) -> None:
    message = proved(provider, SHAPES[provider](letter_of_ours(), "hard"))
    bare = Message(message.body.replace(b'"signature": "', b'"signature": "0'))
    bare.body = bare.body.replace(b'"Signature": "', b'"Signature": "AAAA')
    assert post(shop, provider, bare) == 403
    assert stand() == UNTOUCHED
    assert post(shop, provider, message) == 200  # control
    assert stand() == BOUNCED


def _with_another_secret(provider: str, patch: pytest.MonkeyPatch) -> str:
    """What the settings have of it; from now on the provider proves by it."""
    if provider == "sendgrid":
        patch.setattr(posted, "SENDGRID_KEY", ec.generate_private_key(ec.SECP256R1()))
        return posted.public_key(posted.SENDGRID_KEY)
    if provider == "ses":
        patch.setattr(posted, "TOPIC", posted.TOPIC.replace("letters", "letters-2"))
        return posted.TOPIC
    patch.setattr(posted, "SECRET", f"another-{SECRET}")
    return posted.SECRET


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_new_secret_serves_beside_the_old_one_and_the_old_one_dropped_proves_nothing(
    shop: Flask, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter, settings = letter_of_ours(), shop.extensions["colophon.settings"]
    name = f"mail_webhook_{provider}"
    (old,) = posted.SETTINGS[name]
    by_old = proved(provider, SHAPES[provider](letter, "nothing"))
    new = _with_another_secret(provider, monkeypatch)
    given = {"key": new, "token": "u" * 50} if provider == "mailgun" else {}
    by_new = proved(provider, SHAPES[provider](letter, "hard"), **given)

    def heard(message: Message, *known: str) -> int:
        loaded = make_settings(settings.data_dir, **{name: ",".join(known)})
        update = {name: getattr(loaded, name)}
        shop.extensions["colophon.settings"] = settings.model_copy(update=update)
        return post(shop, provider, message)

    assert [heard(one, old) for one in (by_old, by_new)] == [200, 403]
    assert stand() == UNTOUCHED
    assert heard(by_old, new, old) == 200
    assert heard(by_old, new) == 403
    assert heard(by_new, new, old) == 200
    assert stand() == BOUNCED
    assert heard(by_new, new) == 200


def test_nobody_listens_where_nothing_is_set(app: Flask) -> None:
    for provider in [*PROVIDERS, "nobody", "__class__"]:
        assert post(app, provider, Message(b"{}")) == 404


@pytest.mark.parametrize("provider", ["mailgun", "sendgrid", "ses"])
def test_what_was_signed_long_ago_proves_nothing(shop: Flask, frozen: Clock, provider: str) -> None:
    letter = letter_of_ours()
    message = proved(provider, SHAPES[provider](letter, "hard"))
    for days in (3, -3):
        frozen.advance(days=days)
        assert post(shop, provider, message) == 403
        frozen.advance(days=-days)
    assert stand() == UNTOUCHED
    frozen.advance(days=1)  # the provider tries again for a day
    assert post(shop, provider, message) == 200
    assert stand() == BOUNCED


def test_a_proof_of_mailgun_serves_once(shop: Flask, frozen: Clock) -> None:
    letter, now = letter_of_ours(), frozen.at.timestamp()
    used = proved("mailgun", posted.mailgun(Letter(mark="0" * 40), "hard"), at=now)
    assert post(shop, "mailgun", used) == 200
    # The signature covers nothing of what is said, so that it must not prove another message.
    stolen = proved("mailgun", posted.mailgun(letter, "hard"), at=now)
    assert post(shop, "mailgun", stolen) == 200
    assert stand() == UNTOUCHED
    fresh = proved("mailgun", posted.mailgun(letter, "hard"), at=now, token="u" * 50)
    assert post(shop, "mailgun", fresh) == 200
    assert stand() == BOUNCED


def test_what_proves_nothing_is_counted_by_network(
    shop: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    """What is proved comes through all the same: a stranger may post by way of our provider."""
    message = proved("brevo", posted.brevo(letter_of_ours(), "hard"))
    answers = [post(shop, "brevo", Message(message.body)) for _ in range(40)]
    assert answers == [403] * 30 + [429] * 10
    assert caplog.text.count("was refused") == 30
    elsewhere = {"REMOTE_ADDR": "192.0.2.77"}
    refused = shop.test_client().post("/webhooks/mail/brevo", environ_base=elsewhere)
    assert (refused.status_code, refused.text) == (403, "That is not proved.\n")
    last = shop.test_client().post("/webhooks/mail/brevo")
    assert 0 < int(last.headers["Retry-After"]) <= 60
    assert stand() == UNTOUCHED
    assert post(shop, "brevo", message) == 200
    assert stand() == BOUNCED


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {SECRET[:-1]}",
        f"Bearer {SECRET}x",
        f"Digest {SECRET}",
        SECRET,
        "Basic ====",
        "Basic /w==",
        f"Basic {base64.b64encode(SECRET.encode()).decode()}",
        f"Basic {base64.b64encode(f'{SECRET}:'.encode()).decode()}",
        f"Bearer {SECRET}\u00fc",
    ],
)
@pytest.mark.parametrize("provider", ["brevo", "postmark"])
def test_a_secret_counts_whole_and_in_its_place(shop: Flask, provider: str, shown: str) -> None:
    message = proved(provider, SHAPES[provider](letter_of_ours(), "hard"))
    message.headers = {"Authorization": shown}
    assert post(shop, provider, message) == 403
    assert stand() == UNTOUCHED
