"""Every row of the table of answers, with the words that its source documents."""

import re

import pytest

from store.mail.answers import (
    ANSWERS,
    About,
    Cause,
    Judgement,
    Row,
    Step,
    _row,
    judge,
    judge_report,
    status_in,
)

US, READER, CONNECTION, NOBODY = About.US, About.READER, About.CONNECTION, About.NOBODY

# Step, the server's words, whom they are about, what they mean, whether for good.
ACCOUNT = [
    (Step.CONNECT, "535 5.7.8 Authentication credentials invalid", US, Cause.ACCOUNT),
    (Step.CONNECT, "535 Authentication Credentials Invalid", US, Cause.ACCOUNT),
    (Step.CONNECT, "454 4.7.0 Temporary authentication failure", US, Cause.ACCOUNT),
    (Step.MAIL, "530 5.7.0 Authentication required", US, Cause.ACCOUNT),
    (Step.MAIL, "530 5.7.57 Client not authenticated to send mail", US, Cause.ACCOUNT),
    (Step.LETTER, "550 5.7.9 Application-specific password required", US, Cause.ACCOUNT),
    (Step.RCPT, "525 5.7.13 User account disabled", US, Cause.ACCOUNT),
    (Step.RCPT, "550 5.1.8 Access denied, bad outbound sender", US, Cause.ACCOUNT),
    (Step.RCPT, "450 4.1.8 <b@shop.example>: Sender address rejected: Domain not found", US, Cause.ACCOUNT),
    (Step.RCPT, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", US, Cause.ACCOUNT),
    (Step.LETTER, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", US, Cause.ACCOUNT),
    (Step.LETTER, "554 5.2.252 SendAsDenied; b@shop.example not allowed to send as", US, Cause.ACCOUNT),
    (Step.LETTER, "550 5.7.750 Client blocked from sending from unregistered domain", US, Cause.ACCOUNT),
    (Step.CONNECT, "521 sink.example does not accept mail", US, Cause.ACCOUNT),
    (Step.CONNECT, "554 No SMTP service here", US, Cause.ACCOUNT),
    (Step.MAIL, "550 5.7.1 Sender refused", US, Cause.ACCOUNT),
    (Step.MAIL, "451 4.7.1 Slow down", US, Cause.ACCOUNT),
    (Step.RCPT, "454 4.7.1 <anna@reader.example>: Relay access denied", US, Cause.ACCOUNT),
    (Step.RCPT, "554 5.7.1 <anna@reader.example>: Relay access denied", US, Cause.ACCOUNT),
    (Step.RCPT, "553 5.7.1 <b@shop.example>: Sender address rejected: not owned by user shop", US, Cause.ACCOUNT),
    (Step.RCPT, "504 5.5.2 <shop>: Helo command rejected: need fully-qualified hostname", US, Cause.ACCOUNT),
    (Step.RCPT, "502 5.7.0 Please authenticate first", US, Cause.ACCOUNT),
    (Step.RCPT, "550 relay not permitted", US, Cause.ACCOUNT),
    (Step.RCPT, "550 5.7.1 Unable to relay", US, Cause.ACCOUNT),
    (
        Step.LETTER,
        ("554 Message rejected: Email address is not verified. The following identities failed"
        " the check in region EU-WEST-1: b@shop.example"),
        US,
        Cause.ACCOUNT,
    ),
    (
        Step.LETTER,
        ("554 Message rejected: Sending is paused for this account. For more information, please"
        " check the inbox of the email address associated with your account."),
        US,
        Cause.ACCOUNT,
    ),
    (
        Step.LETTER,
        ("550 The from address does not match a verified Sender Identity. Mail cannot be sent until"
        " this error is resolved."),
        US,
        Cause.ACCOUNT,
    ),
    (Step.LETTER, "550 Unauthenticated senders not allowed", US, Cause.ACCOUNT),
    (Step.LETTER, "550 Domain mg.shop.example is not allowed to send: Sending is disabled", US, Cause.ACCOUNT),
    (Step.LETTER, "550 Domain mg.shop.example is not allowed to send: activate your account", US, Cause.ACCOUNT),
    (Step.RCPT, "550 5.7.1 Invalid credentials for relay [192.0.2.1].", US, Cause.ACCOUNT),
    (Step.RCPT, "550 5.7.0 Mail relay denied [192.0.2.1].", US, Cause.ACCOUNT),
]  # fmt: skip
UNPROVED = [
    (Step.LETTER, "550 5.7.23 The message was rejected because of SPF", US, Cause.UNPROVED),
    (Step.LETTER, "550 5.7.25 The sending IP does not have a PTR record", US, Cause.UNPROVED),
    (Step.LETTER, "550 5.7.26 This mail is unauthenticated, which poses a security risk", US, Cause.UNPROVED),
    (Step.LETTER, "421 4.7.26 This mail has been rate limited because it is unauthenticated", US, Cause.UNPROVED),
    (Step.LETTER, "550 5.7.27 This mail has been blocked because SPF does not pass", US, Cause.UNPROVED),
    (Step.LETTER, "550 5.7.30 This mail has been blocked because DKIM does not pass", US, Cause.UNPROVED),
    (Step.LETTER, "550 5.7.40 This mail has been blocked, no DMARC record", US, Cause.UNPROVED),
    (Step.LETTER, "550 5.7.509 Access denied, sending domain does not pass DMARC verification", US, Cause.UNPROVED),
    (Step.LETTER, "550 5.7.515 Access denied, sending domain does not meet the required authentication level", US, Cause.UNPROVED),
    (Step.LETTER, "550 5.7.1 Email rejected per DMARC policy for shop.example", US, Cause.UNPROVED),
    (Step.RCPT, "450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]", US, Cause.UNPROVED),
]  # fmt: skip
QUOTA = [
    (Step.LETTER, "454 Throttling failure: Maximum sending rate exceeded", US, Cause.QUOTA),
    (Step.LETTER, "454 Throttling failure: Daily message quota exceeded", US, Cause.QUOTA),
    (Step.LETTER, "554 Throttling failure: Daily sending quota exceeded", US, Cause.QUOTA),
    (Step.LETTER, "421 4.7.28 Our system has detected an unusual rate of unsolicited mail", US, Cause.QUOTA),
    (Step.RCPT, "550 5.4.5 Daily user sending limit exceeded", US, Cause.QUOTA),
    (Step.RCPT, "550 5.4.5 Daily SMTP relay sending limit exceeded for user", US, Cause.QUOTA),
    (Step.RCPT, "550 5.7.1 Daily SMTP relay limit exceeded for customer", US, Cause.QUOTA),
    (
        Step.LETTER,
        ("550 5.1.90 Your message can't be sent because you've reached your daily limit for message"
        " recipients"),
        US,
        Cause.QUOTA,
    ),
    (Step.LETTER, "550 5.2.253 Sender throttled due to continuous invalid licence errors", US, Cause.QUOTA),
    (Step.LETTER, "550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit", US, Cause.QUOTA),
    (Step.LETTER, "550 5.7.705 Access denied, tenant has exceeded threshold", US, Cause.QUOTA),
    (Step.LETTER, "451 Authentication failed: Maximum credits exceeded", US, Cause.ACCOUNT),
    (Step.RCPT, "452 Too many recipients received this hour", US, Cause.QUOTA),
    (Step.RCPT, "450 too frequent connects from 192.0.2.1, please try again later.", US, Cause.QUOTA),
    (Step.LETTER, "550 Domain mg.shop.example is not allowed to send: recipient limit exceeded, try again after Sun, 05 Oct 2025", US, Cause.QUOTA),
    (Step.DATA, "550 5.7.1 <DATA>: Data command rejected: limit of 400 rcpts per 24 hours for client b reached", US, Cause.QUOTA),
    (Step.LETTER, "451 4.7.0 rate limited", US, Cause.QUOTA),
]  # fmt: skip
BLOCKED = [
    (Step.LETTER, "550 5.7.501 Access denied, spam abuse detected", US, Cause.BLOCKED),
    (Step.RCPT, "550 5.7.606 Access denied, banned sending IP [192.0.2.1]", US, Cause.BLOCKED),
    (Step.RCPT, "550 5.7.708 Access denied, traffic not accepted from this IP", US, Cause.BLOCKED),
    (Step.RCPT, "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation", US, Cause.BLOCKED),
    (Step.LETTER, "550 5.7.1 Our system has detected that this message is likely unsolicited mail", US, Cause.BLOCKED),
    (Step.LETTER, "550 5.7.1 Our system has detected that this message is likely suspicious", US, Cause.BLOCKED),
    (
        Step.RCPT,
        ("550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your"
        " Internet service provider since part of their network is on our block list (S3150)."),
        US,
        Cause.BLOCKED,
    ),
    (Step.RCPT, "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1", US, Cause.BLOCKED),
    (
        Step.LETTER,
        ("451 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or"
        " user complaints - 4.16.55.1"),
        US,
        Cause.BLOCKED,
    ),
    (
        Step.RCPT,
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
        US,
        Cause.BLOCKED,
    ),
    (Step.LETTER, "554 Message not allowed - [PH01] Email not accepted for policy reasons.", US, Cause.BLOCKED),
    (Step.LETTER, "554-Transaction failed 554-Reject due to policy restrictions.", US, Cause.BLOCKED),
    (Step.LETTER, "554 5.7.1 [CS01] Message rejected due to local policy.", US, Cause.BLOCKED),
    (Step.CONNECT, "554 IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.)", US, Cause.ACCOUNT),
    (Step.RCPT, "554 IP=192.0.2.1 - A problem occurred. (contact tosa@rx.t-online.de to clarify.)", US, Cause.BLOCKED),
]  # fmt: skip
LINE = [
    (Step.CONNECT, "421 Too many concurrent SMTP connections", CONNECTION, Cause.LINE),
    (Step.MAIL, "421 4.7.0 too many messages in this connection", CONNECTION, Cause.LINE),
    (Step.RCPT, "421 4.4.5 Server busy, try again later.", CONNECTION, Cause.LINE),
    (Step.LETTER, "421 4.3.0 Temporary System Problem. Try again later", CONNECTION, Cause.LINE),
    (Step.RCPT, "000 connection lost at RCPT", CONNECTION, Cause.LINE),
    (Step.RCPT, "354 Go ahead", CONNECTION, Cause.LINE),
    (Step.RCPT, "700 What?", CONNECTION, Cause.LINE),
]
LATER = [
    (Step.RCPT, "450 4.2.0 <anna@reader.example>: Recipient address rejected: Greylisted", NOBODY, Cause.NEW_HERE),
    (Step.RCPT, "451 4.7.1 Greylisting in action, please come back later", NOBODY, Cause.NEW_HERE),
    (Step.MAIL, "452 4.3.1 Insufficient system storage", NOBODY, Cause.LATER),
    (Step.LETTER, "451 4.3.0 Mail server temporarily rejected message.", NOBODY, Cause.LATER),
    (Step.RCPT, "450 Requested mail action not taken: mailbox busy", NOBODY, Cause.LATER),
    (Step.LETTER, "451 Temporary service failure", NOBODY, Cause.LATER),
    (Step.LETTER, "451 Temporary local problem - please try later", NOBODY, Cause.LATER),
]  # fmt: skip
READERS = [
    (Step.RCPT, "550 5.1.1 The email account that you tried to reach does not exist.", READER, Cause.GONE, True),
    (Step.RCPT, "550 5.1.1 Blocked: no such user, our ip is 192.0.2.1", READER, Cause.GONE, True),
    (Step.RCPT, "450 4.1.1 <anna@reader.example>: Recipient address rejected: unverified address", READER, Cause.GONE, False),
    (Step.RCPT, "553 5.1.3 The recipient address is not a valid RFC 5321 address.", READER, Cause.GONE, True),
    (Step.RCPT, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", READER, Cause.GONE, True),
    (Step.RCPT, "556 5.1.10 Recipient address has null MX", READER, Cause.GONE, True),
    (Step.RCPT, "556 Domain does not accept mail", READER, Cause.GONE, True),
    (Step.RCPT, "550 5.2.1 The user you are trying to contact is receiving mail too quickly", READER, Cause.BUSY, False),
    (Step.RCPT, "550 5.2.1 The email account that you tried to reach is inactive.", READER, Cause.GONE, True),
    (Step.RCPT, "550 5.4.4 SMTP; unable to route", READER, Cause.GONE, True),
    (Step.RCPT, "550 5.4.1 Recipient address rejected: Access denied.", READER, Cause.GONE, True),
    (Step.RCPT, "450 4.2.1 The user you are trying to contact is receiving mail too quickly.", READER, Cause.BUSY, False),
    (Step.RCPT, "450 User is receiving mail too quickly", READER, Cause.BUSY, False),
    (Step.RCPT, "452 4.2.2 The email account that you tried to reach is over quota.", READER, Cause.FULL, False),
    (Step.RCPT, "552 5.2.2 The email account that you tried to reach is over quota.", READER, Cause.FULL, False),
    (Step.RCPT, "550 mailbox is full", READER, Cause.FULL, False),
    (Step.RCPT, "552 Requested mail action aborted: exceeded storage allocation", READER, Cause.FULL, False),
    (Step.RCPT, "552 Not now", READER, Cause.FULL, False),
    (Step.LETTER, "552 5.3.4 Your message exceeded the size limits.", READER, Cause.TOO_BIG, True),
    (Step.LETTER, "554 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large", READER, Cause.TOO_BIG, True),
    (Step.MAIL, "552 Message size exceeds fixed maximum message size", READER, Cause.TOO_BIG, True),
    (Step.LETTER, "550 5.7.129 RESOLVER.RST.RestrictedToRecipientsPermission; not authorized", READER, Cause.UNWANTED, True),
    (Step.LETTER, "550 5.7.703 Your message can't be delivered, blocked by Tenant Allow Block List", READER, Cause.UNWANTED, True),
    (Step.RCPT, "554 delivery error: dd This user doesn't have a yahoo.com account (anna@yahoo.com)", READER, Cause.GONE, True),
    (Step.RCPT, "552 1 Requested mail action aborted, mailbox not found", READER, Cause.GONE, True),
    (Step.RCPT, "550 sorry, no mailbox here by that name", READER, Cause.GONE, True),
    (Step.RCPT, "553 sorry, no mailbox here by that name (#5.1.1 - chkuser)", READER, Cause.GONE, True),
    (Step.RCPT, "550 No such user here", READER, Cause.GONE, True),
    (Step.RCPT, "550 5.0.0 User unknown", READER, Cause.GONE, True),
    (Step.RCPT, "550 Requested action not taken: mailbox unavailable", READER, Cause.GONE, True),
    (Step.RCPT, "551 User not local; please try <ben@reader.example>", READER, Cause.GONE, True),
    (Step.RCPT, "553 Mailbox name not allowed", READER, Cause.GONE, True),
    (Step.LETTER, "554 Transaction failed", READER, Cause.UNWANTED, True),
    (Step.LETTER, "554 5.7.1 Spam", READER, Cause.UNWANTED, True),
    (Step.LETTER, "550 5.7.1 This message violates example.com email policy. - gcdp", READER, Cause.UNWANTED, True),
    (Step.LETTER, "554 5.6.0 Content rejected", READER, Cause.UNWANTED, True),
]  # fmt: skip
NOT_FOR_GOOD = [(*one, False) for one in [*ACCOUNT, *UNPROVED, *QUOTA, *BLOCKED, *LINE, *LATER]]
DOCUMENTED = [*NOT_FOR_GOOD, *READERS]


def judged(step: Step | None, words: str) -> Judgement:
    return judge(step, int(words[:3]), words)


@pytest.mark.parametrize(("step", "words", "about", "cause", "is_final"), DOCUMENTED)
def test_documented_words_are_judged(
    step: Step, words: str, about: About, cause: Cause, *, is_final: bool
) -> None:
    assert judged(step, words)[:3] == (about, cause, is_final)


def test_every_row_has_documented_words_and_a_source() -> None:
    said = {_row(step, int(words[:3]), status_in(words), words) for step, words, *_ in DOCUMENTED}
    assert [vars(row) for row in ANSWERS if row not in said] == []
    assert all(row.source for row in ANSWERS)


def test_codes_are_looked_at_before_words() -> None:
    kinds = ["words" if row.words and not row.codes else "code" for row in ANSWERS]
    first, last = kinds.index("words"), len(kinds) - kinds[::-1].index("words")
    by_words = [row for row in ANSWERS[first:last] if not row.words]
    assert by_words == []
    assert not [row for row in ANSWERS[last:] if row.words or row.status]


def test_only_a_reader_is_refused_for_good() -> None:
    rows = [Row(about, Cause.LATER, "x") for about in About]
    assert [row.about for row in rows if row.judge(550).is_final] == [About.READER]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("550 5.1.1 No", "5.1.1"),
        ("550-5.1.1 No", "5.1.1"),
        ("5.1.1 No", "5.1.1"),
        ("550 5.7.606 No", "5.7.606"),
        ("550 sorry (#5.1.1)", "5.1.1"),
        ("550 192.0.2.1 is listed", ""),
        ("550 No", ""),
        ("", ""),
    ],
)
def test_the_enhanced_status_is_found_in_the_words(words: str, status: str) -> None:
    assert status_in(words) == status


@pytest.mark.parametrize(
    ("status", "words", "cause", "is_final"),
    [
        ("5.1.1", "smtp; 550 5.1.1 No such user", Cause.GONE, True),
        ("5.1.1", "", Cause.GONE, True),
        ("5.2.2", "smtp; 552 5.2.2 Over quota", Cause.FULL, False),
        ("4.4.7", "delivery time expired", Cause.LATER, False),
        ("", "smtp;550 User unknown", Cause.GONE, True),
        ("", "smtp; 550 5.7.26 unauthenticated", Cause.UNPROVED, False),
        ("", "host mx.reader.example said: 450 Later", Cause.LATER, False),
        ("5.4.7", "", Cause.UNWANTED, True),
        ("", "", Cause.UNWANTED, True),
    ],
)
def test_a_report_is_judged_by_the_same_table(
    status: str, words: str, cause: Cause, *, is_final: bool
) -> None:
    found = judge_report(status, words)
    assert (found.cause, found.is_final) == (cause, is_final)


def test_no_pattern_is_slow_over_a_long_answer() -> None:
    words = "550 " + "recipient user account messages from ip " * 12
    for _ in range(50):
        assert judged(Step.LETTER, words).about in About
    assert all(re.compile(row.words) for row in ANSWERS)
