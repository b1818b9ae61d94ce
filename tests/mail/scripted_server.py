"""A mail server that answers as the test says: a real conversation over a real socket."""

import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial

from tests.mail.listening import Listening, shut

CUT = "cut"  # closes the connection without a word
RESET = "reset"  # the line breaks off: what waits in it is thrown away
SILENCE = "silence"  # never answers, until the client goes away

DEFAULT_ANSWERS = {
    "HELO": "250 sink.example",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 Go ahead",
    ".": "250 2.0.0 Ok: queued",
    "RSET": "250 2.0.0 Ok",
    "NOOP": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye",
    "AUTH": "235 2.7.0 Ok",
    "STARTTLS": "220 2.0.0 Ready",
}


@dataclass
class Talk:
    """One connection: its number, its commands as they came, and the letter under way."""

    number: int
    commands: list[str] = field(default_factory=list)
    together: list[str] = field(default_factory=list)  # commands that came before an answer
    mail: str = ""
    rcpt: list[str] = field(default_factory=list)
    accepted: int = 0
    is_encrypted: bool = False


@dataclass(frozen=True)
class Received:
    connection: int
    mail: str
    rcpt: tuple[str, ...]
    octets: bytes


class Kept(str):
    """An answer to the dot of a server that has the letter all the same, whatever it says."""

    __slots__ = ()


# Given the connection, the verb ("CONNECT" for the greeting, "." for a whole letter) and the
# line; answers with a reply, CUT, RESET or SILENCE, or None for the usual reply.
Script = Callable[[Talk, str, str], str | None]


class ScriptedServer(Listening):
    def __init__(
        self,
        script: Script = lambda talk, verb, line: None,
        *,
        offers: tuple[str, ...] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 10000000"),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__()
        self.script = script
        self.offers = offers
        self.tls = tls
        self.talks: list[Talk] = []
        self.letters: list[Received] = []

    def _begin(self, connection: socket.socket) -> Callable[[], None]:
        talk = Talk(len(self.talks) + 1)
        self.talks.append(talk)
        return partial(self._converse, connection, talk)

    def _converse(self, connection: socket.socket, talk: Talk) -> None:
        line = _Line(connection)
        with closing(line), suppress(OSError):
            if self._answer(line, talk, "CONNECT", "", "220 sink.example ESMTP"):
                while self._take_command(line, talk):
                    pass

    def _take_command(self, line: "_Line", talk: Talk) -> bool:
        came_before_an_answer = bool(line.buffer)
        text = line.read_until(b"\r\n")
        if text is None:
            return False
        command = text.decode()
        verb = command.split(" ")[0].upper()
        talk.commands.append(command)
        if came_before_an_answer:
            talk.together.append(verb)
        return self._do(line, talk, verb, command)

    def _do(self, line: "_Line", talk: Talk, verb: str, command: str) -> bool:
        if verb == "EHLO":
            return self._answer(line, talk, verb, command, self._extensions(talk))
        out_of_turn = verb in ("RCPT", "DATA") and not talk.mail
        usual = (
            "503 5.5.1 MAIL first" if out_of_turn else DEFAULT_ANSWERS.get(verb, "500 5.5.2 What?")
        )
        reply = self._answer(line, talk, verb, command, usual)
        if verb in ("MAIL", "RSET"):
            begun = verb == "MAIL" and reply.startswith("2")
            talk.mail, talk.rcpt = command if begun else "", []
        if verb == "RCPT" and reply.startswith("2"):
            talk.rcpt.append(command)
        if verb == "DATA" and reply.startswith("354"):
            return self._take_letter(line, talk)
        if verb == "STARTTLS" and reply.startswith("220"):
            assert self.tls is not None
            line.encrypt(self.tls)
            talk.is_encrypted = True
        return bool(reply) and verb != "QUIT"

    def _take_letter(self, line: "_Line", talk: Talk) -> bool:
        text = line.read_until(b"\r\n.\r\n", lone=b".\r\n")
        if text is None:
            return False
        octets = b"\r\n".join(part.removeprefix(b".") for part in text.split(b"\r\n"))
        usual = DEFAULT_ANSWERS["."] if talk.rcpt else "554 5.5.1 No valid recipients"
        reply = self.script(talk, ".", octets.decode()) or usual
        if reply.startswith("2") or isinstance(reply, Kept):
            # Noted before it is answered for, so that who has the answer finds the letter.
            talk.accepted += 1
            letter = Received(talk.number, talk.mail, tuple(talk.rcpt), octets + b"\r\n")
            self.letters.append(letter)
        talk.mail = ""
        return bool(self._say(line, reply))

    def _answer(self, line: "_Line", talk: Talk, verb: str, command: str, usual: str) -> str:
        """The reply as sent; empty when the connection is over."""
        return self._say(line, self.script(talk, verb, command) or usual)

    def _say(self, line: "_Line", reply: str) -> str:
        if reply == CUT:
            return ""
        if reply == RESET:
            line.reset()
            return ""
        if reply == SILENCE:
            while line.receive():
                pass
            return ""
        line.connection.sendall(reply.encode() + b"\r\n")
        return "" if reply.startswith("421") else reply

    def _extensions(self, talk: Talk) -> str:
        offers = [each for each in self.offers if not (talk.is_encrypted and each == "STARTTLS")]
        lines = ["sink.example", *offers]
        return "\r\n".join([*(f"250-{each}" for each in lines[:-1]), f"250 {lines[-1]}"])


class _Line:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.buffer = b""

    def receive(self) -> bool:
        data = self.connection.recv(65536)
        self.buffer += data
        return bool(data)

    def read_until(self, end: bytes, lone: bytes | None = None) -> bytes | None:
        while True:
            if lone and self.buffer.startswith(lone):
                self.buffer = self.buffer.removeprefix(lone)
                return b""
            if end in self.buffer:
                text, _, self.buffer = self.buffer.partition(end)
                return text
            if not self.receive():
                return None

    def encrypt(self, tls: ssl.SSLContext) -> None:
        self.connection = tls.wrap_socket(self.connection, server_side=True)

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def close(self) -> None:
        shut(self.connection)
        self.connection.close()
