"""Messages that come to the door of what came back, as mail servers and mail programs write them."""

from base64 import b64encode, encodebytes

ANNA = "anna@reader.example"
HOST = "mx.reader.example"


def letter_head(message_id: str, path: str = "shop@shop.example.org") -> str:
    """The head of a letter of ours, as it was given back."""
    return f"""Return-Path: <{path}>
From: Elm Press <shop@shop.example.org>
To: Anna Berg <{ANNA}>
Subject: Edition 2 is out
Message-ID: {message_id}
Auto-Submitted: auto-generated
Content-Type: text/plain; charset=utf-8
"""


def dsn(
    message_id: str = "",
    *,
    to: str = "shop@shop.example.org",
    action: str = "failed",
    status: str = "5.1.1",
    diagnosis: str = "smtp; 550 5.1.1 <anna@reader.example>: Recipient address rejected: User unknown",
    kind: str = "message/delivery-status",
    gives_back: str = "message/rfc822",
    head: str = "",
    name: str = "20270301@mx.reader.example",
) -> bytes:
    """A delivery status notification, as Postfix writes it (RFC 3464)."""
    returned = head or letter_head(message_id)
    text = f"""Return-Path: <>
Delivered-To: {to}
From: MAILER-DAEMON@{HOST} (Mail Delivery System)
To: {to}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
Message-ID: <{name}>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="4B1A/mx.reader.example"

This is a MIME-encapsulated message.

--4B1A/mx.reader.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients.

<anna@reader.example>: host {HOST}[192.0.2.7] said: {diagnosis}

--4B1A/mx.reader.example
Content-Description: Delivery report
Content-Type: {kind}

Reporting-MTA: dns; {HOST}
X-Postfix-Queue-ID: 4B1A
Arrival-Date: Mon,  1 Mar 2027 10:00:00 +0000 (GMT)

Final-Recipient: rfc822; anna@reader.example
Original-Recipient: rfc822;anna@reader.example
Action: {action}
Status: {status}
Remote-MTA: dns; {HOST}
Diagnostic-Code: {diagnosis}

--4B1A/mx.reader.example
Content-Description: Undelivered Message
Content-Type: {gives_back}

{returned}
Edition 2 of your copy is out.

--4B1A/mx.reader.example--
"""
    return text.replace("\n", "\r\n").encode()


def global_dsn(message_id: str, encoding: str) -> bytes:
    """The same of an address outside ASCII (RFC 6533), in one of three encodings."""
    part = f"""Reporting-MTA: dns; {HOST}

Original-Recipient: utf-8; änna@reader.example
Final-Recipient: utf-8; änna@reader.example
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 kein Postfach für änna
"""
    if encoding == "base64":
        part = b64encode(part.encode()).decode()
    if encoding == "quoted-printable":
        part = part.replace("ä", "=C3=A4").replace("ü", "=C3=BC")
    text = f"""From: MAILER-DAEMON@{HOST}
To: shop@shop.example.org
Subject: Zurück
MIME-Version: 1.0
Content-Type: multipart/report; report-type=global-delivery-status; boundary=b

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Nicht zugestellt: änna

--b
Content-Type: message/global-delivery-status
Content-Transfer-Encoding: {encoding}

{part}
--b
Content-Type: message/global-headers

{letter_head(message_id)}
--b--
"""
    return text.encode()


def complaint(message_id: str, kind: str = "abuse") -> bytes:
    """A reader pressed “this is spam” (RFC 5965)."""
    return f"""From: <abuse@{HOST}>
To: abuse@shop.example.org
Subject: FW: Edition 2 is out
Message-ID: <arf-1@{HOST}>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="p"

--p
Content-Type: text/plain; charset="US-ASCII"

This is an email abuse report for an email message received from IP 192.0.2.1.

--p
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <shop@shop.example.org>
Original-Rcpt-To: <{ANNA}>

--p
Content-Type: message/rfc822

{letter_head(message_id)}
Edition 2 of your copy is out.
--p--
""".encode()


def qmail(message_id: str, said: str = "Sorry, no mailbox here by that name. (#5.1.1)") -> bytes:
    """A server from before there were machine-readable reports."""
    return f"""Return-Path: <>
From: MAILER-DAEMON@{HOST}
To: shop@shop.example.org
Subject: failure notice

Hi. This is the qmail-send program at {HOST}.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<{ANNA}>:
{said}

--- Below this line is a copy of the message.

{letter_head(message_id)}
Edition 2 of your copy is out.
""".encode()


def exim(message_id: str) -> bytes:
    """Exim before it wrote machine-readable reports: auto-replied, and yet a report."""
    return f"""Return-path: <>
X-Failed-Recipients: {ANNA}
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@{HOST}>
To: shop@shop.example.org
Subject: Mail delivery failed: returning message to sender
Message-Id: <E1abc-0001@{HOST}>

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  {ANNA}
    SMTP error from remote mail server after RCPT TO:<{ANNA}>:
    host {HOST} [192.0.2.7]: 550 No such user here

------ This is a copy of the message, including all the headers. ------

{letter_head(message_id)}
Edition 2 of your copy is out.
""".encode()


def without_diagnosis(message_id: str, said: str) -> bytes:
    """web.de, and Exim of an address of its own: only the words for people say why."""
    octets = dsn(message_id, status="5.0.0", diagnosis="")
    return octets.replace(b"Diagnostic-Code: \r\n", b"").replace(
        f"<{ANNA}>: host {HOST}[192.0.2.7] said: ".encode(),
        f"    {ANNA}:\r\n        {said}".encode(),
    )


def given_back_as(message_id: str, kind: str, encoding: str = "7bit") -> bytes:
    """The letter comes along as an attachment that is not named a letter, or is wrapped up."""
    octets = dsn(message_id, gives_back=f"{kind}\nContent-Transfer-Encoding: {encoding}")
    head = letter_head(message_id).replace("\n", "\r\n").encode()
    return octets.replace(head, encodebytes(head)) if encoding == "base64" else octets


def long_advice(message_id: str) -> bytes:
    """Exchange, and companies with pictures: pages before the part that says it."""
    advice = b"<p style=3D'color:#444'>More information for e-mail administrators</p>=\r\n"
    return dsn(message_id).replace(b"I'm sorry", advice * 2200 + b"I'm sorry")


def gmx(message_id: str) -> bytes:
    """An address in quotes, and a server that says auto-replied of its reports."""
    return f"""Return-Path: <>
From: "GMX Mailer Daemon" <mailer-daemon@gmx.example>
To: shop@shop.example.org
Subject: Mail delivery failed: returning message to sender
Auto-Submitted: auto-replied
Message-ID: <0M-1@gmx.example>

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of
its recipients. This is a permanent error. The following address
failed:

"{ANNA}":
SMTP error from remote server after RCPT command:
host: {HOST}
Requested action not taken: mailbox unavailable

--- The header of the original message is following. ---

{letter_head(message_id)}
""".encode()


def yahoo(message_id: str) -> bytes:
    """A colon behind the code."""
    said = f"554: delivery error: dd This user doesn't have a reader.example account ({ANNA}) [0]"
    return qmail(message_id, said).replace(b"(#5.1.1)", b"")


def microsoft_complaint(message_id: str) -> bytes:
    """The Junk Mail Reporting Program of Outlook.com: the letter as it came, with a field on top."""
    return f"""From: <staff@hotmail.example>
To: abuse@shop.example.org
Subject: complaint about message from 192.0.2.1
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="j"

--j
Content-Type: message/rfc822
Content-Disposition: attachment

X-HmXmrOriginalRecipient: {ANNA}
{letter_head(message_id)}
Edition 2 of your copy is out.
--j--
""".encode()


def out_of_office(message_id: str) -> bytes:
    return f"""From: Anna Berg <{ANNA}>
To: shop@shop.example.org
Subject: Abwesenheit: Edition 2 is out
Auto-Submitted: auto-replied
In-Reply-To: {message_id}
References: {message_id}
Message-ID: <ooo@reader.example>

Ich bin bis zum 15. März nicht im Haus. Fehler 550 5.1.1 kenne ich nicht.
""".encode()


def bare_automatic_reply(message_id: str) -> bytes:
    return f"""From: Anna Berg <{ANNA}>
Subject: Automatic reply: Edition 2 is out

I am out of the office until 15 March and have no access to my mailbox.

> Message-ID: {message_id}
""".encode()


def report_about_a_report(message_id: str, path: str) -> bytes:
    """Something that was sent as a report to our return path could not be delivered in its turn."""
    inner = f"""Return-Path: <>
From: MAILER-DAEMON@other.example
To: {path}
Message-ID: {message_id}
Content-Type: multipart/report; report-type=delivery-status; boundary=inner
"""
    return dsn(to=path, head=inner)
