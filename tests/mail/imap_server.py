"""A server of one mailbox: IMAP4rev1 (RFC 3501) over a real socket, as far as a reader needs it."""

import base64
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial

from tests.mail.listening import Listening

TODAY = date(2027, 3, 1)  # where the tests' clock stands
CUT = "cut"  # closes the connection without a word
SILENCE = "silence"  # never answers, until the client goes away
USER, PASSWORD = "bounces@shop.example.org", 'hunter2 "quoted" \\ hunter2'

# Given the verb and the whole command; answers with what is said instead, CUT or SILENCE, or None.
Script = Callable[[str, str], str | None]


@dataclass
class Kept:
    octets: bytes
    day: date
    flags: set[str] = field(default_factory=set)


class ImapServer(Listening):
    """`messages` by their UID. What it was told stands in `commands`, passwords too."""

    def __init__(
        self,
        tls: ssl.SSLContext,
        script: Script = lambda verb, line: None,
        *,
        is_tls: bool = True,
        offers: str = "AUTH=PLAIN",
        is_read_only: bool = False,
    ) -> None:
        super().__init__()
        self.tls, self.script, self.is_tls = tls, script, is_tls
        self.offers, self.is_read_only = offers, is_read_only
        self.messages: dict[int, Kept] = {}
        self.validity = 1
        self.folder = "INBOX"
        self.commands: list[str] = []
        self.connections = 0
        self._next = 1

    def put(self, octets: bytes, day: date = TODAY) -> int:
        """A message comes in; returns its UID."""
        uid = self._next
        self._next += 1
        self.messages[uid] = Kept(octets, day)
        return uid

    def number_anew(self) -> None:
        """As after a restore of the server: other UIDs, and it says so."""
        self.validity += 1
        kept, self.messages, self._next = list(self.messages.values()), {}, 1
        for one in kept:
            self.messages[self.put(one.octets, one.day)].flags = one.flags

    def read(self) -> list[int]:
        """Which messages are marked as read."""
        return [uid for uid, one in self.messages.items() if "\\Seen" in one.flags]

    def verbs(self) -> list[str]:
        found = (line.split()[1:3] for line in self.commands)
        return [" ".join(two) if two[0] == "UID" else two[0] for two in found]

    def _begin(self, connection: socket.socket) -> Callable[[], None]:
        self.connections += 1
        return partial(self._converse, connection)

    def _converse(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self.is_tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            talk = _Talk(self, connection)
            with suppress(OSError):
                talk.say("* OK IMAP4rev1 ready")
                while talk.take():
                    pass
            talk.file.close()
            connection = talk.connection
        connection.close()


class _Talk:
    def __init__(self, server: ImapServer, connection: socket.socket) -> None:
        self.server, self.connection = server, connection
        self.file = connection.makefile("rb")
        self.tag = ""
        self.is_signed_in = False

    def say(self, line: str, octets: bytes = b"") -> None:
        self.connection.sendall(line.encode() + octets + b"\r\n")

    def done(self, word: str = "OK done") -> bool:
        self.say(f"{self.tag} {word}")
        return True

    def take(self) -> bool:
        line = self.file.readline().decode().rstrip("\r\n")
        if not line:
            return False
        self.server.commands.append(line)
        self.tag, _, rest = line.partition(" ")
        verb, _, given = rest.partition(" ")
        if verb.upper() == "UID":
            second, _, given = given.partition(" ")
            verb = f"UID {second}"
        said = self.server.script(verb.upper(), line)
        if said == SILENCE:
            while self.connection.recv(1000):
                pass
        if said in (CUT, SILENCE):
            return False
        if said is not None:
            return self.done(said)
        do = getattr(self, f"_{verb.lower().replace(' ', '_')}", None)
        assert do is not None, f"a command that a reader has no need of: {line}"
        return bool(do(given))

    def _capability(self, given: str) -> bool:
        starttls = "" if isinstance(self.connection, ssl.SSLSocket) else " STARTTLS"
        self.say(f"* CAPABILITY IMAP4rev1 {self.server.offers}{starttls}")
        return self.done()

    def _starttls(self, given: str) -> bool:
        self.done()
        self.file.close()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.file = self.connection.makefile("rb")
        return True

    def _authenticate(self, given: str) -> bool:
        assert given == "PLAIN"
        self.say("+ ")
        _, user, password = base64.b64decode(self.file.readline()).decode().split("\0")
        return self._sign_in(user, password)

    def _login(self, given: str) -> bool:
        found = re.fullmatch(r'"((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"', given)
        assert found, given
        return self._sign_in(*(re.sub(r"\\(.)", r"\1", one) for one in found.groups()))

    def _sign_in(self, user: str, password: str) -> bool:
        self.is_signed_in = (user, password) == (USER, PASSWORD)
        if not self.is_signed_in:
            return self.done(f"NO [AUTHENTICATIONFAILED] not with {password}")
        return self.done()

    def _select(self, given: str) -> bool:
        return self._open(given, "READ-ONLY" if self.server.is_read_only else "READ-WRITE")

    def _examine(self, given: str) -> bool:
        return self._open(given, "READ-ONLY")

    def _open(self, given: str, how: str) -> bool:
        if given != f'"{self.server.folder}"' or not self.is_signed_in:
            return self.done("NO no such folder")
        self.say("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)")
        self.say(f"* {len(self.server.messages)} EXISTS")
        self.say("* 0 RECENT")
        if self.server.validity:
            self.say(f"* OK [UIDVALIDITY {self.server.validity}] UIDs valid")
        return self.done(f"OK [{how}] open")

    def _uid_search(self, given: str) -> bool:
        uids = sorted(self.server.messages)
        if found := re.fullmatch(r"UID (\d+):\*", given):
            # `n:*` is the same as `*:n`: the last message is always among them.
            chosen = [uid for uid in uids if uid >= int(found[1])] or uids[-1:]
        else:
            found = re.fullmatch(r"SINCE (\d\d-[A-Z][a-z]{2}-\d{4})", given)
            assert found, given
            day = datetime.strptime(found[1], "%d-%b-%Y").replace(tzinfo=UTC).date()
            chosen = [uid for uid in uids if self.server.messages[uid].day >= day]
        self.say(" ".join(["* SEARCH", *map(str, chosen)]))
        return self.done()

    def _uid_fetch(self, given: str) -> bool:
        found = re.fullmatch(r"(\d+) \(UID BODY\.PEEK\[\]<0\.(\d+)>\)", given)
        assert found, given
        one = self.server.messages.get(int(found[1]))
        if one is not None:
            part = one.octets[: int(found[2])]
            # What changed meanwhile is told unasked, in between.
            self.say("* 1 FETCH (FLAGS (\\Flagged))")
            self.say(f"* 1 FETCH (UID {found[1]} BODY[]<0> {{{len(part)}}}\r\n", part + b")")
        return self.done()

    def _uid_store(self, given: str) -> bool:
        found = re.fullmatch(r"(\d+) \+FLAGS\.SILENT \((\\Seen)\)", given)
        assert found, given
        if self.server.is_read_only:
            return self.done("NO [READ-ONLY]")
        if one := self.server.messages.get(int(found[1])):
            one.flags.add(found[2])
        return self.done()

    def _logout(self, given: str) -> bool:
        self.say("* BYE")
        self.done()
        return False
