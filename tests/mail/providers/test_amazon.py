"""Amazon is asked for its certificate, and for nothing else that a message names."""

import json
import socket
import threading
from contextlib import suppress

import pytest
from flask import Flask

from store.kit import limits
from store.mail.providers import ses
from store.mail.providers.base import NotReachable
from tests.mail import posted
from tests.mail.posted import Letter, Message, proved
from tests.mail.posting import BOUNCED, UNTOUCHED, letter_of_ours, post
from tests.mail.returned import stand


@pytest.mark.parametrize("version", ["1", "2"])
def test_amazon_is_asked_for_its_certificate_once(
    shop: Flask, asked: list[str], version: str
) -> None:
    letter = letter_of_ours()
    for kind in ("nothing", "hard"):
        message = proved("ses", posted.ses(letter, kind), version=version)
        assert post(shop, "ses", message) == 200
    assert asked == [posted.CERTIFICATE]
    assert stand() == BOUNCED


@pytest.mark.parametrize(
    "given",
    [
        {"TopicArn": "arn:aws:sns:eu-west-1:999999999999:returned-letters"},
        {"SignatureVersion": "3"},
    ],
)
def test_another_topic_proves_nothing(shop: Flask, asked: list[str], given: dict[str, str]) -> None:
    assert post(shop, "ses", proved("ses", posted.ses(letter_of_ours(), "hard"), **given)) == 403
    assert stand() == UNTOUCHED


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x.pem",
        "http://sns.eu-west-1.amazonaws.com/{name}",
        "https://sns.eu-west-1.amazonaws.com.evil.example/{name}",
        "https://sns.eu-west-1.amazonaws.com@evil.example/{name}",
        "https://sns.eu-west-1.amazonaws.com:8443/{name}",
        "https://sns.us-east-1.amazonaws.com/{name}",
        "https://s3.eu-west-1.amazonaws.com/{name}",
        "https://sns.eu-west-1.amazonaws.com/x.html",
        "https://sns.eu-west-1.amazonaws.com/?Action=Publish&x={name}",
        "https://sns.eu-west-1.amazonaws.com/{name}#",
        "https://sns.eu-west-1.amazonaws.com/../{name}",
        "file:///etc/passwd",
        "",
    ],
)
def test_the_certificate_is_amazons_own(shop: Flask, asked: list[str], url: str) -> None:
    name = posted.CERTIFICATE.rpartition("/")[2]
    given = {"SigningCertURL": url.format(name=name)}
    assert post(shop, "ses", proved("ses", posted.ses(letter_of_ours(), "hard"), **given)) == 403
    assert (asked, stand()) == ([], UNTOUCHED)


def test_one_address_after_the_other_is_not_fetched(shop: Flask, asked: list[str]) -> None:
    """SNS posts again what is answered with 503, and gives up what is answered with 403."""
    message = proved("ses", posted.ses(letter_of_ours(), "hard"))
    other = posted.CERTIFICATE.replace("0123", "3210")
    forged = proved("ses", posted.ses(Letter(), "hard"), SigningCertURL=other)
    forged.body = forged.body.replace(b'"Signature": "', b'"Signature": "AAAA')
    assert post(shop, "ses", forged) == 403
    assert post(shop, "ses", message) == 503
    assert asked == [other]
    limits.end_turn("certificate of SNS")  # two seconds later
    assert post(shop, "ses", message) == 200
    assert stand() == BOUNCED


CONFIRM = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t&TopicArn="
CONFIRM += posted.TOPIC


def test_our_subscription_is_confirmed_once_it_is_proved(shop: Flask, asked: list[str]) -> None:
    given = {"Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": CONFIRM}
    message = posted.notification("", **given)
    assert post(shop, "ses", Message(json.dumps(message | {"Token": "u"}).encode())) == 403
    assert asked == [posted.CERTIFICATE]
    assert post(shop, "ses", Message(json.dumps(message).encode())) == 200
    assert asked == [posted.CERTIFICATE, CONFIRM]
    assert limits.is_turn("certificate of SNS", 2) is False  # or anybody could have us ask on


@pytest.mark.parametrize(
    "url",
    [
        CONFIRM.replace("Confirm", "Delete"),
        CONFIRM.replace("returned-letters", "another"),
        CONFIRM.replace("https://sns.eu-west-1.amazonaws.com/", "https://127.0.0.1/"),
        CONFIRM.replace("https", "http"),
    ],
)
def test_no_other_link_is_followed(shop: Flask, asked: list[str], url: str) -> None:
    given = {"Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": url}
    message = Message(json.dumps(posted.notification("", **given)).encode())
    assert post(shop, "ses", message) == 403
    assert asked == [posted.CERTIFICATE]


def test_what_amazon_says_beside_changes_nothing(shop: Flask, asked: list[str]) -> None:
    """It tries a topic in plain words, and takes leave; each must be proved as well."""
    farewell = {"Type": "UnsubscribeConfirmation", "Token": "t", "SubscribeURL": CONFIRM}
    tried = "Successfully validated SNS topic for Amazon SES event publishing."
    for said in (farewell, {"Message": tried}):
        message = posted.notification("", **said)
        forged = json.dumps(message | {"MessageId": "another"}).encode()
        assert post(shop, "ses", Message(forged)) == 403
        assert post(shop, "ses", Message(json.dumps(message).encode())) == 200
    assert post(shop, "ses", proved("ses", {}, Type="Anything")) == 403
    assert post(shop, "ses", Message(b"[]")) == 400
    assert asked == [posted.CERTIFICATE]


@pytest.mark.parametrize("answer", ["moved", "missing", "endless", "silent", "away"])
def test_amazon_is_read_within_bounds(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr(ses, "_SECONDS", 0.5)

    def serve(listener: socket.socket, said: bytes) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(said)
            if answer != "away":
                connection.recv(1)  # until the client goes away

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_server(("127.0.0.1", 0)) as elsewhere,
    ):
        there = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/"
        said = {
            "moved": f"HTTP/1.1 302 Found\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n".encode(),
            "missing": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "endless": b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000,
        }.get(answer, b"")
        server = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread = threading.Thread(target=serve, args=(listener, said))
        thread.start()
        if answer == "endless":
            assert len(ses._fetched(server)) == 64 * 1024
        else:
            with pytest.raises(NotReachable):
                ses._fetched(server)
        thread.join(10)
        assert not thread.is_alive()
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has followed
            elsewhere.accept()
