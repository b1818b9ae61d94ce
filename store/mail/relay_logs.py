"""Which of our letters a mail server's log names, and what it says became of them.

Read are the lines that Postfix writes: a queue number with our Message-ID or return path, and the
same number with `status=`. Of any other text the marks alone count. Nothing of it is kept or logged.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from store.mail.marks import marks_in

# `… postfix/smtp[712]: 4Zb1c23XyZzWq: to=<…>, …, status=sent (250 2.0.0 Ok)`; other services than
# cleanup, qmgr and those that deliver name no queue number there.
_QUEUED = re.compile(r"\]: ([0-9A-Za-z]{5,20}): ")
_STATUS = re.compile(r"\bstatus=([a-z]+)\b")
_TO = re.compile(r"\bto=<([^<>\s]{1,320})>")
_ID = re.compile(r"message-id=(<[^<>\s]{1,110}>)")


@dataclass
class Named:
    """The marks that a log names: whose letter was handed on, and others. Beside each the Message-ID and
    where it went, where a line has that."""

    taken: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    message_ids: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)


def read_log(lines: Iterable[str]) -> Named:
    """What the lines say, in one pass: a log may be large."""
    found, queue = Named(), dict[str, str]()
    for line in lines:
        number, status = _QUEUED.search(line), _STATUS.search(line)
        for mark in marks_in(line):
            found.doubtful.add(mark)
            if number:
                queue[number[1]] = mark
            if (whole := _ID.search(line)) and mark in whole[1].lower():
                found.message_ids[mark] = whole[1]
        if number and status and number[1] in queue:
            mark = queue[number[1]]
            if to := _TO.search(line):
                found.addresses[mark] = to[1]
            if status[1] == "sent":
                found.taken.add(mark)
    found.doubtful -= found.taken
    return found
