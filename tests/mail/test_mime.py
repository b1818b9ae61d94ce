"""What a reader's program makes of the octets that we write."""

import re
import string
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.kit.mailboxes import AddressUnwritable, wire_recipient
from store.kit.text import clean_line
from store.mail.mime import Envelope, LetterText, Mailbox, address_envelope

from .letter_rules import broken
from .letters_cut import NAMES, NOTES, ODD_TITLE, bodies, letter, mailbox, read


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stays_one_mailbox_whatever_it_holds(name: str) -> None:
    raw = letter(to=Mailbox("anna@reader.example", name))

    assert mailbox(raw, "To") == (name, "anna@reader.example")
    assert not broken(raw)


@pytest.mark.parametrize("name", NAMES)
def test_the_sender_and_reply_to_may_have_such_names_too(name: str) -> None:
    raw = letter(sender=Mailbox("a@shop.example.org", name), reply_to=Mailbox("b@x.example", name))

    assert mailbox(raw, "From") == (name, "a@shop.example.org")
    assert mailbox(raw, "Reply-To") == (name, "b@x.example")


def test_plain_words_round_the_odd_ones_are_left_readable() -> None:
    raw = letter(to=Mailbox("a@b.example", "Dr Zoë, Anne of Kent"))

    assert read(raw)["To"].addresses[0].display_name == "Dr Zoë, Anne of Kent"
    assert b"To: Dr =?utf-8?b?Wm/Dqyw=?= Anne of Kent\r\n <a@b.example>\r\n" in raw


def test_an_encoded_word_has_at_most_75_octets_and_its_line_76() -> None:
    raw = letter(LetterText("Ω" * 300, "", ""), to=Mailbox("a@b.example", "Ω" * 300))

    head = raw.split(b"\r\n\r\n", 1)[0]
    words = re.findall(rb"=\?[^ \r]+\?=", head)
    assert len(words) == 32
    assert max(map(len, words)) <= 75
    assert max(len(line) for line in head.split(b"\r\n") if b"=?" in line) <= 76
    for word in words:  # each holds whole characters
        assert set(str(read(b"Subject: " + word + b"\r\n\r\n")["Subject"])) == {"Ω"}


def test_an_odd_title_is_read_in_subject_and_bodies_as_it_was_written() -> None:
    html = "<p>Children&#39;s &quot;Q&amp;A&quot; &lt;2026&gt;: A &amp; B</p>\n"
    raw = letter(LetterText(ODD_TITLE, ODD_TITLE + "\n", html))

    assert read(raw)["Subject"] == ODD_TITLE
    assert bodies(raw) == (ODD_TITLE + "\n", html)
    assert b"&amp;amp;" not in raw
    assert not broken(raw)


@pytest.mark.parametrize(
    "subject",
    [
        "Édition 2 – nouvelles règles",
        "=?utf-8?q?not_a_word?=",
        "long " * 300 + "end",
        "x" * 5000,
        "İstanbul 🎉" * 40,
    ],
)
def test_a_subject_of_any_script_and_length_arrives_whole(subject: str) -> None:
    raw = letter(LetterText(subject, "", ""))

    assert read(raw)["Subject"] == clean_line(subject)
    assert not broken(raw)


def test_notes_that_relays_like_to_damage_arrive_unchanged() -> None:
    raw = letter(LetterText("Notes", NOTES, f"<pre>{NOTES}</pre>"))

    assert bodies(raw) == (NOTES + "\n", f"<pre>{NOTES}</pre>\n")
    assert not broken(raw)
    body = raw.split(b"\r\n\r\n", 1)[1]
    assert max(map(len, body.split(b"\r\n"))) <= 76
    assert not re.search(rb"^From ", raw.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1], re.MULTILINE)


def test_a_body_outside_latin_script_goes_as_base64() -> None:
    raw = letter(LetterText("Σ", "Ωμέγα και άλφα\n" * 100, "<p>Ω</p>"))

    plain, _ = read(raw).iter_parts()
    assert plain["Content-Transfer-Encoding"] == "base64"
    assert bodies(raw)[0] == "Ωμέγα και άλφα\n" * 100
    assert not broken(raw)


@given(st.text(), st.text(alphabet=".From \t=\n-_ex\u0416" + string.ascii_letters))
def test_every_body_arrives_as_it_was_written(text: str, html: str) -> None:
    raw = letter(LetterText("Round trip", text, html))

    def as_lines(content: str) -> str:
        return content.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n") + "\n"

    assert bodies(raw) == (as_lines(text), as_lines(html))
    assert not broken(raw)


def test_a_lone_surrogate_stops_no_letter() -> None:
    raw = letter(
        LetterText("a\ud800b", "a\ud800b", "a\ud800b"), to=Mailbox("a@b.example", "\ud800")
    )

    assert bodies(raw) == ("a?b\n", "a?b\n")
    assert read(raw)["Subject"] == "a?b"


ANY_LINE = st.text(st.characters(exclude_categories=["Cs"]))


@given(ANY_LINE, ANY_LINE)
def test_no_subject_or_name_can_add_a_header(subject: str, name: str) -> None:
    injected = "\r\nBcc: m@evil.example\n\rX: y\u2028"
    plain = read(letter())
    raw = letter(
        LetterText(subject + injected + subject, "", ""),
        to=Mailbox("a@b.example", name + injected + name),
    )

    message = read(raw)
    assert message.keys() == plain.keys()
    assert message["Subject"] == clean_line(subject + injected + subject)
    assert mailbox(raw, "To") == (clean_line(name + injected + name), "a@b.example")
    assert not broken(raw)


def test_a_name_loses_control_and_bidirectional_characters() -> None:
    assert Mailbox("a@b.example", "An\x00na\t\u202eevil\u2066\r\n ").name == "An na evil"


def test_the_stop_button_is_a_whole_address_however_long() -> None:
    url = "https://shop.example.org/stop/" + "a" * 300
    raw = letter(unsubscribe_url=url, unsubscribe_mailto="mailto:stop@shop.example.org?subject=x")

    message = read(raw)
    assert f"<{url}>,\r\n <mailto:stop@shop.example.org?subject=x>\r\n".encode() in raw
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Id"] == "<send-practice.shop.example.org>"
    assert not broken(raw)


def test_a_receipt_has_no_list_fields() -> None:
    raw = letter(list_id="", unsubscribe_url="")

    assert not [field for field in read(raw) if field.lower().startswith("list-")]
    assert not broken(raw, "b-0123@shop.example.org", notice=False)


def test_the_header_section_says_what_it_should_in_utc() -> None:
    message_id = "<0123456789abcdef@shop.example.org>"
    message = read(letter(message_id=message_id))

    assert message.items() == [
        ("From", '"Colophon, the shop" <letters@shop.example.org>'),
        ("To", "Anna <anna@reader.example>"),
        ("Reply-To", "help@shop.example.org"),
        ("Subject", "Subject"),
        ("Date", "Sun, 01 Mar 2026 09:30:00 +0000"),
        ("Message-ID", message_id),
        ("List-Id", "<send-practice.shop.example.org>"),
        ("List-Unsubscribe", "<https://shop.example.org/stop/" + "t" * 92 + ">"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("Auto-Submitted", "auto-generated"),
        ("MIME-Version", "1.0"),
        ("Content-Type", 'multipart/alternative; boundary="=_letter"'),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"date": datetime(2026, 3, 1)},  # noqa: DTZ001
        {"message_id": "<a@b>\r\nBcc: <m@evil.example>"},
        {"message_id": "a@b.example"},
        {"list_id": "two words"},
        {"list_id": "a\r\nBcc: m@evil.example"},
        {"unsubscribe_url": "https://shop.example.org/stop/é"},
        {"unsubscribe_url": "https://a.example/>, <b"},
        {"unsubscribe_url": "https://a.example/" + "x" * 1000},
        {"unsubscribe_mailto": "mailto:a@b.example\r\nBcc: m@evil.example"},
    ],
)
def test_our_own_fields_must_stand_as_they_are(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"zone|header value"):
        letter(**wrong)


@pytest.mark.parametrize(
    ("address", "wire"),
    [
        ("a@reader.example", ("a@reader.example", False)),
        ("anna@münchen.example", ("anna@xn--mnchen-3ya.example", False)),
        ("anna@straße.example", ("anna@xn--strae-oqa.example", False)),
        ("anna@MÜNCHEN.example", ("anna@xn--mnchen-3ya.example", False)),
        ("müller@reader.example", ("müller@reader.example", True)),
        ("müller@münchen.example", ("müller@xn--mnchen-3ya.example", True)),
        ("o'neil+a.b@Reader.Example", ("o'neil+a.b@Reader.Example", False)),
    ],
)
def test_the_domain_goes_by_idna_and_only_the_local_part_needs_smtputf8(
    address: str, wire: tuple[str, bool]
) -> None:
    assert wire_recipient(address) == wire
    assert address_envelope("letters@shop.example.org", address) == Envelope(
        "letters@shop.example.org", *wire
    )


@pytest.mark.parametrize(
    "address",
    [
        "",
        "anna",
        "@reader.example",
        "anna@",
        "anna@reader.example>\r\nRCPT TO:<m@evil.example",
        "an na@reader.example",
        "a,b@reader.example",
        "a<b@reader.example",
        "a\u202eb@reader.example",
        "a\ud800b@reader.example",
        "anna@reader .example",
        "anna@-ü-.example",
        "anna@" + "ü" * 80 + ".example",
    ],
)
def test_an_address_that_could_break_the_conversation_is_refused(address: str) -> None:
    with pytest.raises(AddressUnwritable):
        wire_recipient(address)
    with pytest.raises(AddressUnwritable):
        letter(to=Mailbox(address))


def test_a_local_part_outside_ascii_stands_in_to_with_the_name_still_encoded() -> None:
    raw = letter(to=Mailbox("müller@münchen.example", "Müller, Anna"))

    assert "To: =?utf-8?b?TcO8bGxlciw=?= Anna\r\n <müller@xn--mnchen-3ya.example>".encode() in raw
    assert [row.rule for row in broken(raw)] == ["header section is ASCII"]


def test_the_shops_own_address_must_be_ascii_before_the_at_sign() -> None:
    with pytest.raises(AddressUnwritable, match="own e-mail address"):
        letter(reply_to=Mailbox("büro@shop.example.org"))


def test_the_rules_notice_a_letter_that_breaks_them() -> None:
    """Control: the checks above are worth something."""
    bad = letter().replace(b"auto-generated", b"no").replace(b"\r\n.", b"\n.") + b"x" * 999 + b"\n"

    assert {row.rule for row in broken(bad, domain="other.example")} == {
        "5322 2.1.1: no line over 998 octets",
        "5321 2.3.8: CRLF only, no bare CR or LF",
        "Message-ID names our domain",
        "3834: Auto-Submitted: auto-generated",
    }
