"""What a mail server's answer is about: this reader, this connection, us, or nobody yet.

One table decides, first row first. Rows that look at step, code and enhanced status stand before
those that look at words, and what is left is read by its first digit. Each row names its source:
RFC 5321 (codes), RFC 3463 and the registry of enhanced status codes, or a large mailbox's own list.
"""

import re
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

RFC3463 = "RFC 3463"
RFC4954 = "RFC 4954"
RFC5321 = "RFC 5321, 4.2.3"
RFC7504 = "RFC 7504"
REGISTRY = "IANA, SMTP enhanced status codes"
GMAIL = "Gmail SMTP errors and codes"
EXCHANGE = "Exchange Online, non-delivery reports"
OUTLOOK = "Outlook.com postmaster"
GMX = "GMX and web.de, error messages"
APPLE = "iCloud Mail, postmaster information"
T_ONLINE = "T-Online, postmaster"
YAHOO = "Yahoo, SMTP error codes"
SES = "Amazon SES, SMTP response codes"
SENDGRID = "SendGrid, SMTP errors"
MAILGUN = "Mailgun, sending limits"
POSTFIX = "Postfix, access restrictions"
EXIM = "Exim, relay control"
QMAIL = "qmail"


class Step(StrEnum):
    """Where in the conversation an answer came; after LETTER nothing more is asked."""

    CONNECT = "the greeting"
    RSET = "RSET"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    WRITING = "the letter"
    LETTER = "the end of the letter"


class About(StrEnum):
    """Whom an answer concerns. What is about us or the connection never counts against a letter."""

    READER = "reader"
    CONNECTION = "connection"
    US = "us"
    NOBODY = "nobody yet"


class Cause(StrEnum):
    """What the answer means, in the words that staff read."""

    GONE = "there is no such mailbox"
    FULL = "the mailbox is full"
    BUSY = "the mailbox takes no more at the moment"
    TOO_BIG = "the letter is larger than the server takes"
    UNWANTED = "the letter was refused, and the server does not say clearly why"
    LINE = "the mail server was out of reach, or broke off"
    QUOTA = "we send more, or faster, than the server allows us"
    BLOCKED = "we are blocked"
    ACCOUNT = "the server does not accept our account, or our sender's address"
    UNPROVED = "the server cannot prove that the letters are ours"
    NEW_HERE = "the server asks every new sender to come back later"
    LATER = "the server asks us to come back later"


class Judgement(NamedTuple):
    """What one answer is about. Not `is_final`: worth another try."""

    about: About
    cause: Cause
    is_final: bool
    source: str


class Row:
    """One line of the table; what it leaves open fits everything."""

    def __init__(
        self,
        about: About,
        cause: Cause,
        source: str,
        *,
        codes: str = "",
        status: str = "",
        words: str = "",
        steps: frozenset[Step] = frozenset(),
        later: bool = False,
    ) -> None:
        self.about, self.cause, self.source = about, cause, source
        self.codes, self.status, self.words, self.steps = codes, status, words, steps
        self.later = later  # also where the code says never

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
        any_at_all = ".*"
        return (
            re.compile(self.codes or any_at_all),
            re.compile(self.status or any_at_all),
            re.compile(self.words, re.IGNORECASE),
        )

    def fits(self, step: Step | None, code: int, status: str, words: str) -> bool:
        """Whether this row speaks of such an answer."""
        codes, statuses, spoken = self._patterns
        return (
            (not self.steps or step in self.steps)
            and codes.fullmatch(str(code)) is not None
            and statuses.fullmatch(status) is not None
            and spoken.search(words) is not None
        )

    def judge(self, code: int) -> Judgement:
        """About a reader alone can an answer be final."""
        never = self.about is About.READER and 500 <= code < 600 and not self.later
        return Judgement(self.about, self.cause, never, self.source)


# The reader has not been named yet.
_BEFORE_THE_READER = frozenset({Step.CONNECT, Step.RSET, Step.MAIL})

_BY_CODE = (
    # Our account: sign-in, encryption, the right to send.
    Row(About.US, Cause.ACCOUNT, RFC4954, codes="530|534|535|538"),
    Row(About.US, Cause.ACCOUNT, REGISTRY, status=r"[45]\.7\.(8|9|1[0-4])"),
    Row(About.US, Cause.ACCOUNT, RFC3463, status=r"[45]\.1\.[78]"),
    Row(About.US, Cause.ACCOUNT, EXCHANGE, status=r"5\.7\.(54|57|60|750)|5\.2\.252"),
    Row(About.US, Cause.ACCOUNT, RFC7504, codes="521"),
    # Whether the letters are ours: SPF, DKIM, DMARC, reverse DNS, TLS.
    Row(About.US, Cause.UNPROVED, REGISTRY, status=r"[45]\.7\.2[0-6]"),
    Row(About.US, Cause.UNPROVED, GMAIL, status=r"[45]\.7\.(27|29|3\d|40)"),
    Row(About.US, Cause.UNPROVED, EXCHANGE, status=r"5\.7\.(509|515)"),
    # How much we send.
    Row(About.US, Cause.QUOTA, REGISTRY, status=r"[45]\.7\.28"),
    Row(About.US, Cause.QUOTA, GMAIL, status=r"5\.4\.5"),
    Row(About.US, Cause.QUOTA, EXCHANGE, status=r"5\.1\.90|5\.2\.253|5\.7\.23[23]|5\.7\.705"),
    # What the server thinks of us. 5.7.703 is one reader's organisation.
    Row(About.US, Cause.BLOCKED, EXCHANGE, status=r"[45]\.7\.([56]\d\d|70[124-9]|7[1-4]\d)"),
    Row(About.CONNECTION, Cause.LINE, RFC5321, codes="421"),
    Row(
        About.CONNECTION,
        Cause.LINE,
        "the line is lost, or answers out of step",
        codes="0|-1|[123]..",
    ),
    # The letter's size is told with MAIL.
    Row(About.READER, Cause.TOO_BIG, RFC3463, status=r"5\.(3\.4|2\.3)"),
    Row(About.READER, Cause.TOO_BIG, "RFC 1870", codes="552", steps=frozenset({Step.MAIL})),
    Row(About.NOBODY, Cause.LATER, RFC3463, status=r"4\.[345]\..*", steps=_BEFORE_THE_READER),
    Row(About.US, Cause.ACCOUNT, "the reader is not named yet", steps=_BEFORE_THE_READER),
    # 454: too fast for Amazon, no account for Postfix, no encryption; never the reader.
    Row(About.US, Cause.QUOTA, SES, codes="454", words="throttl|quota|rate"),
    Row(About.US, Cause.ACCOUNT, RFC4954, codes="454"),
    Row(About.US, Cause.ACCOUNT, RFC5321, codes="500|502|503|504|555"),
    # The reader's mailbox.
    Row(About.READER, Cause.GONE, RFC3463, status=r"[45]\.1\.[1-6]"),
    Row(About.READER, Cause.GONE, REGISTRY, status=r"[45]\.1\.10|5\.7\.1[78]"),
    Row(About.READER, Cause.GONE, RFC7504, codes="556"),
    Row(
        About.READER,
        Cause.BUSY,
        GMAIL,
        codes="550",
        status=r"5\.2\.1",
        words="rate|quickly",
        later=True,
    ),
    Row(About.READER, Cause.GONE, RFC3463, status=r"5\.2\.1"),
    Row(About.READER, Cause.GONE, RFC3463, status=r"5\.4\.[46]"),
    Row(About.READER, Cause.GONE, EXCHANGE, status=r"5\.4\.(1|14|310)"),
    Row(About.READER, Cause.BUSY, RFC3463, status=r"4\.2\.1"),
    # "Persistent transient" even as 5.2.2: the reader can make room.
    Row(About.READER, Cause.FULL, RFC3463, status=r"[45]\.2\.2", later=True),
    Row(About.READER, Cause.UNWANTED, EXCHANGE, status=r"5\.7\.(1[2-3]\d|703)"),
)

_BY_WORDS = (
    Row(About.NOBODY, Cause.NEW_HERE, POSTFIX, codes="4..", words=r"gr[ea]y ?-?list"),
    # What stands before the reader's words names us, or our sender.
    Row(
        About.US,
        Cause.ACCOUNT,
        POSTFIX,
        words=r"relay access denied|sender address rejected|not owned by user|helo command rejected",
    ),
    Row(
        About.US,
        Cause.ACCOUNT,
        EXIM,
        words=r"relay(ing)? (is )?(not (permitted|allowed)|denied)|unable to relay|not permitted to relay",
    ),
    Row(
        About.US,
        Cause.ACCOUNT,
        SES,
        words=r"address is not verified|authentication (required|failed|credentials)"
        r"|sending (is |has been )?(paused|disabled|suspended)|ability to send .*paused",
    ),
    Row(About.US, Cause.QUOTA, SES, words=r"\bthrottl|sending (quota|limit|rate)"),
    Row(
        About.US,
        Cause.QUOTA,
        SENDGRID,
        words=r"credits exceeded|too many recipients received|too frequent connects",
    ),
    Row(About.US, Cause.ACCOUNT, SENDGRID, words=r"verified sender|unauthenticated senders"),
    Row(About.US, Cause.QUOTA, MAILGUN, words=r"recipient limit exceeded"),
    Row(About.US, Cause.ACCOUNT, MAILGUN, words=r"not allowed to send"),
    Row(
        About.US,
        Cause.QUOTA,
        GMAIL,
        words=r"(daily|hourly|monthly|relay|message|rcpts?) .*(quota|limit)( is| has been)?"
        r" (exceeded|reached)|limit of \d+ (rcpts|recipients|messages)|unusual rate|rate.?limited",
    ),
    Row(About.US, Cause.ACCOUNT, GMAIL, words=r"invalid credentials|mail relay denied"),
    Row(
        About.US,
        Cause.UNPROVED,
        GMAIL,
        words=r"\b(spf|dkim|dmarc)\b|unauthenticated|reverse (dns|hostname)|\bptr\b",
    ),
    Row(
        About.US,
        Cause.BLOCKED,
        GMAIL,
        words=r"(likely|originating).*(unsolicited|suspicious)|unsolicited mail",
    ),
    Row(
        About.US,
        Cause.BLOCKED,
        OUTLOOK,
        words=r"block ?list|black ?list|messages from .*weren't sent|banned send",
    ),
    Row(
        About.US,
        Cause.BLOCKED,
        YAHOO,
        words=r"connections (will )?not (be )?accepted|(messages|mail) from .*deferred|user complaints"
        r"|not accepted for policy reasons",
    ),
    Row(About.US, Cause.BLOCKED, GMX, words=r"due to policy restrictions"),
    Row(About.US, Cause.BLOCKED, APPLE, words=r"rejected due to local policy"),
    Row(About.US, Cause.BLOCKED, T_ONLINE, words=r"\btosa@rx\.t-online\.de"),
    Row(
        About.US,
        Cause.BLOCKED,
        POSTFIX,
        words=r"client host (\S+ )?(rejected|blocked)|spamhaus|spamcop|barracuda|\b(rbl|dnsbl)\b"
        r"|\bip\b.*(blocked|listed)|blocked.*\bip\b|(poor|bad|low) reputation",
    ),
    # The reader's mailbox, where no enhanced status says it.
    Row(
        About.READER,
        Cause.FULL,
        RFC5321,
        words=r"(mailbox|inbox|account|user|recipient).*(\bfull\b|over ?quota|exceed)"
        r"|over quota|quota exceeded|exceed\w* .*storage",
        later=True,
    ),
    Row(
        About.READER,
        Cause.BUSY,
        GMAIL,
        codes="4..",
        words=r"receiving mail (too quickly|at a rate)",
    ),
    Row(
        About.READER,
        Cause.GONE,
        YAHOO,
        words=r"user doesn't have an? \S+ account|mailbox not found",
    ),
    Row(About.READER, Cause.GONE, QMAIL, words=r"no mailbox here by that name"),
    Row(
        About.READER,
        Cause.GONE,
        RFC5321,
        words=r"no such (user|mailbox|recipient|address|person|account)|unknown (user|recipient|mailbox|address)"
        r"|(user|recipient|mailbox|address|account)\b( \S+){0,4} (unknown|not found|does ?n.t exist|does not exist)"
        r"|mailbox unavailable|invalid (recipient|mailbox|user)|not a (valid|known) (user|mailbox|recipient)",
    ),
)

_BY_FIRST_DIGIT = (
    Row(About.READER, Cause.FULL, RFC5321, codes="552", later=True),
    Row(About.READER, Cause.GONE, RFC5321, codes="551|553", steps=frozenset({Step.RCPT})),
    Row(About.READER, Cause.UNWANTED, RFC5321, codes="5.."),
    Row(About.NOBODY, Cause.LATER, RFC5321, codes="4.."),
    Row(About.CONNECTION, Cause.LINE, RFC5321),
)

ANSWERS = (*_BY_CODE, *_BY_WORDS, *_BY_FIRST_DIGIT)

# "550 5.1.1 …" as servers answer; qmail puts "(#5.1.1)" behind.
_STATUS = re.compile(
    r"\s*(?:\d{3}[ -])?\s*(?P<before>[245]\.\d{1,3}\.\d{1,3})\b|.*#(?P<behind>[45]\.\d\.\d)"
)
_CODE = re.compile(r"(?<![\d.])([45]\d\d)(?=[ -])")


def judge(step: Step | None, code: int, words: str) -> Judgement:
    """What an answer is about. `words` may begin with code and enhanced status, as servers say
    them; `code` 0 where the line was lost."""
    return _row(step, code, status_in(words), words).judge(code)


def judge_report(status: str, words: str) -> Judgement:
    """The same for a letter that came back: the status of the report, and the words quoted there.
    Where no code is quoted, what comes back is refused for good unless the status says otherwise."""
    quoted = _CODE.search(words)
    code = int(quoted[1]) if quoted else 450 if status[:1] == "4" else 550
    return _row(None, code, status or status_in(words), words).judge(code)


def status_in(words: str) -> str:
    """The enhanced status in a server's words, or nothing."""
    found = _STATUS.match(words)
    return (found["before"] or found["behind"] or "") if found else ""


def _row(step: Step | None, code: int, status: str, words: str) -> Row:
    # The last row fits everything.
    return next(row for row in ANSWERS if row.fits(step, code, status, words))
