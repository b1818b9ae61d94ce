"""Signed texts: one purpose each, one spelling each, and what becomes of torn and altered ones."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.kit import tokens
from tests.conftest import Clock, make_settings

DAY = 86_400


@pytest.fixture
def token(app: Flask) -> tuple[str, str]:
    reference = tokens.new_reference()
    return reference, tokens.sign(reference, "library")


def test_a_token_gives_its_reference_back(token: tuple[str, str]) -> None:
    reference, text = token
    assert tokens.read(text, "library", DAY) == reference


def test_the_path_of_a_mailed_address_fits_into_92_characters(token: tuple[str, str]) -> None:
    assert len("/library/" + token[1]) == 92


@pytest.mark.parametrize("break_", ["\r\n", "\n", " ", "=\r\n", "=\n", "\t"])
def test_a_link_that_a_mail_program_tore_still_works(token: tuple[str, str], break_: str) -> None:
    reference, text = token
    torn = text[:67] + break_ + text[67:]
    assert tokens.read(torn, "library", DAY) == reference


def test_a_token_for_one_purpose_is_not_valid_for_another(token: tuple[str, str]) -> None:
    with pytest.raises(tokens.NotValid) as refused:
        tokens.read(token[1], "order", DAY)
    assert refused.value.reference == token[0]


def test_an_old_token_still_names_its_reference(token: tuple[str, str]) -> None:
    with pytest.raises(tokens.NotValid) as refused:
        tokens.read(token[1], "library", -1)
    assert refused.value.reference == token[0]


def test_only_one_spelling_of_a_token_is_accepted(token: tuple[str, str]) -> None:
    text = token[1]
    others = [
        text[:-1] + other for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefgh" if other != text[-1]
    ]
    for other in [*others, text + "A", text + "é", text.replace(".", "%2E"), "." + text]:
        with pytest.raises((tokens.NotValid, tokens.Unreadable)):
            tokens.read(other, "library", DAY)


def test_a_token_signed_with_an_older_key_is_accepted_while_the_key_is_kept(
    app: Flask, token: tuple[str, str]
) -> None:
    old = app.extensions["colophon.settings"]
    newer = make_settings(
        old.data_dir,
        secret_key="another-key-that-is-long-enough-0123456789",
        secret_key_fallbacks=[old.signing_keys[0]],
    )
    app.extensions["colophon.settings"] = newer

    assert tokens.read(token[1], "library", DAY) == token[0]


MARKS = [
    *".,)>]}\"';:!?*_-…’”»«。，）！？：；」】＞",
    ").",
    ">.",
    '".',
    "...",
    "%2E",
    "%2e",
    "%22",
    "%3E",
    "%29",
    "%252E",
    "%E2%80%A6",
    "%E2%80%9D",
    " .",
    "=",
    "=\n",
    "\u200b",
    "\u00a0",
]


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_or_a_bracket_behind_a_link_is_not_part_of_it(
    token: tuple[str, str], mark: str
) -> None:
    assert tokens.read(token[1] + mark, "library", DAY) == token[0]
    assert tokens.cleaned(token[1] + mark) == token[1]


def test_a_token_that_ends_in_a_dash_or_a_line_keeps_it(app: Flask) -> None:
    seen = set()
    while not {"-", "_"} <= seen:
        text = tokens.sign(tokens.new_reference(), "library")
        # The last letter holds four bits only, so it is the one before that may be either.
        seen.add(text[-2])
        assert tokens.cleaned(text) == text


def test_a_token_cut_short_names_its_reference_and_opens_nothing(token: tuple[str, str]) -> None:
    reference, text = token
    for end in range(len(text)):
        for cut in (text[:end], text[:end] + ".", text[:end] + "="):
            if end >= 31:
                with pytest.raises(tokens.NotValid) as refused:
                    tokens.read(cut, "library", DAY)
                assert (refused.value.reference, refused.value.is_old) == (reference, False)
                assert tokens.reference_of(cut) == reference
            else:
                with pytest.raises(tokens.Unreadable):
                    tokens.read(cut, "library", DAY)
                with pytest.raises(tokens.Unreadable):
                    tokens.reference_of(cut)


def test_what_names_a_row_without_a_signature_opens_nothing(token: tuple[str, str]) -> None:
    text = tokens.unsigned(token[0])
    assert tokens.reference_of(text) == token[0]
    with pytest.raises(tokens.NotValid):
        tokens.read(text, "library", DAY)


def test_an_old_token_is_told_from_a_broken_one(token: tuple[str, str]) -> None:
    with pytest.raises(tokens.NotValid) as refused:
        tokens.read(token[1] + ".", "library", -1)
    assert refused.value.is_old


@settings(
    deadline=timedelta(seconds=30), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(noise=st.text(max_size=120))
def test_whatever_is_typed_is_refused_without_a_crash(app: Flask, noise: str) -> None:
    with pytest.raises((tokens.NotValid, tokens.Unreadable)):
        tokens.read(noise, "library", DAY)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.integers() | st.text(max_size=30),
    st.sampled_from(["library", "stop"]),
    st.integers(10**9, 10**10) | st.none(),
)
def test_a_token_is_what_the_serializer_would_write(
    app: Flask, frozen: Clock, given: int | str, purpose: str, seconds: int | None
) -> None:
    """The key is kept, which no reader of the token can tell."""
    if isinstance(given, int):  # as random as a reference is
        digest = hashlib.sha256(str(given).encode()).digest()
        given = base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()
    at = None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    assert tokens.sign(given, purpose, at) == tokens._serializer(purpose, at).dumps(given)


@pytest.mark.parametrize("is_quick", [True, False])
@pytest.mark.parametrize("age", [-1, 0, DAY, DAY + 1])
def test_what_is_read_at_once_is_what_the_serializer_would_read(
    app: Flask, frozen: Clock, monkeypatch: pytest.MonkeyPatch, age: int, is_quick: bool
) -> None:
    reference = tokens.new_reference()
    text = tokens.sign(reference, "library", frozen.at - timedelta(seconds=age))
    if not is_quick:
        monkeypatch.setattr(tokens, "read_at_once", lambda *_: None)
    elif 0 <= age <= DAY:
        monkeypatch.setattr(tokens, "_serializer", None)
    if 0 <= age <= DAY:
        assert tokens.read(text, "library", DAY) == reference
    else:
        with pytest.raises(tokens.NotValid) as refused:
            tokens.read(text, "library", DAY)
        assert (refused.value.reference, refused.value.is_old) == (reference, True)


def test_no_letter_of_a_token_may_be_another(token: tuple[str, str]) -> None:
    text = token[1]
    for at, letter in enumerate(text):
        altered = text[:at] + ("A" if letter != "A" else "B") + text[at + 1 :]
        with pytest.raises((tokens.NotValid, tokens.Unreadable)):
            tokens.read(altered, "library", DAY)
