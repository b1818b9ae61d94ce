"""Lines of the log: tokens and addresses are masked wherever they come from."""

import logging

import pytest

from store.kit import logs

TOKEN = "IjZuTnRpZmhKVkQ2SVJka1ZMZUFCRHci.awanpg.Rv5SJUMgjT8MtwCbvP8iZ1wuh4jXO6e5WgB9QTz5xsA"


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        (f"Exception on /library/{TOKEN} [GET]", "Exception on /library/[token] [GET]"),
        (f"'{TOKEN.split('.', maxsplit=1)[0]}' unknown", "'[token]' unknown"),
        ("Key (email_key)=(anna@reader.example) exists", "Key (email_key)=([address]) exists"),
        ("to <Änne.o'neil+x@bücher.example>", "to <[address]>"),
        ("Invalid API Key provided: rk_live_********abcd", "Invalid API Key provided: [key]"),
        ("sk_test_51Abc, whsec_12ab", "[key], [key]"),
        ("Exception on /publications/send [GET]", "Exception on /publications/send [GET]"),
        (
            "version 1.2.3 of sqlalchemy.exc at 10:00:01",
            "version 1.2.3 of sqlalchemy.exc at 10:00:01",
        ),
    ],
)
def test_tokens_and_addresses_are_masked(line: str, masked: str) -> None:
    assert logs.mask_secrets(line) == masked


@pytest.mark.parametrize(
    ("formatter", "shows"), [(logs.Discreet, False), (logging.Formatter, True)]
)
def test_tracebacks_are_masked_and_would_show_without(
    formatter: type[logging.Formatter], shows: bool
) -> None:
    try:
        {}[TOKEN]
    except KeyError as error:
        found = (KeyError, error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "%s fails", (TOKEN,), found)
    assert (TOKEN in formatter(logs.FORMAT).format(record)) is shows
