"""A mail server that says yes to everything as fast as one Python process can; PIPELINING offered.

Run as a program, with the milliseconds of a round trip where it is to be far away: prints its
port, then takes letters until it is ended.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial


class Sink(asyncio.Protocol):
    """One SMTP conversation, read from a growing buffer; each answer comes `delay` seconds late."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.out = transport
        self.buffer = b""
        self.in_data = False
        self._answer(b"220 sink ready\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        answers = []
        while True:
            end = b"\r\n.\r\n" if self.in_data else b"\r\n"
            head, found, rest = self.buffer.partition(end)
            if not found:
                break
            self.buffer = rest
            if self.in_data:
                self.in_data = False
                answers.append(self._take())
            else:
                answers.append(self._obey(head[:4].upper(), head))
        if answers:
            self._answer(b"".join(answers))

    def _answer(self, words: bytes) -> None:
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self.out.write, words)
        else:
            self.out.write(words)

    def _take(self) -> bytes:
        return b"250 2.0.0 taken\r\n"

    def _obey(self, verb: bytes, line: bytes) -> bytes:  # noqa: ARG002 - other sinks read it
        if verb == b"EHLO":
            return b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
        if verb == b"DATA":
            self.in_data = True
            return b"354 go on\r\n"
        if verb == b"QUIT":
            self.out.write(b"221 bye\r\n")
            self.out.close()
            return b""
        return b"250 2.0.0 ok\r\n"


async def serve(make: Callable[[], Sink]) -> None:
    """Listen on a free port of this machine."""
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def sink(milliseconds: int = 0) -> AbstractContextManager[int]:
    """The sink as a process of its own, a round trip of so many milliseconds away; yields its port."""
    return running("bench.sink", str(milliseconds))


@contextmanager
def running(*program: str) -> Iterator[int]:
    """A module that prints its port, as a process of its own; yields the port."""
    process = subprocess.Popen([sys.executable, "-m", *program], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()


if __name__ == "__main__":
    asyncio.run(serve(partial(Sink, int(sys.argv[1]) / 1000)))
