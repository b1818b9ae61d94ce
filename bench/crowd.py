"""Many readers at once, as a process of its own: `python -m bench.crowd` reads a plan and prints what
came of it, both JSON.

Each reader comes at a time that was fixed before, over a connection of its own, however long the
others wait; what is measured begins at that time.
"""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

_HEADERS_END = b"\r\n\r\n"
# What the machine keeps for a slow reader; more, and the file would be in there before it is read.
_SLOW_BUFFER = 65_536


@dataclass(frozen=True)
class Plan:
    """Readers of `paths`, evenly over so many seconds; beside them slow readers, each so many bytes a
    second, and so many visits a second to the page and to its reference."""

    port: int
    seconds: float
    paths: list[str]
    slow: list[str] = field(default_factory=list)
    slow_rate: int = 0
    page: str = "/"
    reference: str = "/"
    visits: float = 0


@dataclass(frozen=True)
class Outcome:
    """Milliseconds until the first byte of each reader and each visit, how many readers did not get
    all of it, what was wrong first, and the bytes that each slow reader has."""

    first: list[float]
    failed: int
    fault: str
    slow: list[int]
    page: list[float]
    reference: list[float]


def play(plan: Plan) -> Outcome:
    """Let them come, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.crowd"],
        input=json.dumps(asdict(plan)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Outcome(**json.loads(done.stdout))


class _Reader(asyncio.Protocol):
    """One request and all of its answer; a slow one reads `rate` bytes a second."""

    def __init__(self, path: str, came: float, rate: int = 0) -> None:
        self._path, self._came, self._rate = path, came, rate
        self._head = b""
        self._length = -1
        self._loop = asyncio.get_running_loop()
        self.first = 0.0
        self.received = 0
        self.over: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        host = "Host: 127.0.0.1\r\nUser-Agent: crowd\r\nConnection: close"
        transport.write(f"GET {self._path} HTTP/1.1\r\n{host}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        if not self.first:
            self.first = self._loop.time() - self._came
        if self._length < 0:
            self._head += data
            data = self._after_head()
        self.received += len(data)
        if self._rate:
            self._transport.pause_reading()
            self._loop.call_later(len(data) / self._rate, self._go_on)

    def connection_lost(self, _fault: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def fault(self) -> str:
        """Why it is not the whole of a good answer; empty where it is."""
        if self._head[9:12] != b"200":
            return f"answered {self._head[9:12].decode() or 'nothing'}"
        if self.received != self._length >= 0:
            return f"{self.received} of {self._length} bytes came"
        return ""

    def _after_head(self) -> bytes:
        head, ended, body = self._head.partition(_HEADERS_END)
        if not ended:
            return b""
        said = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        self._head, self._length = head, int(said or 0)
        return body

    def _go_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()


async def _begin(port: int, reader: _Reader, buffer: int = 0) -> asyncio.Transport:
    """Connect and ask; `buffer` bytes are all that the machine keeps of what is not read yet."""
    loop = asyncio.get_running_loop()
    door = socket.socket()
    if buffer:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    door.setblocking(False)
    try:
        await loop.sock_connect(door, ("127.0.0.1", port))
    except BaseException:
        door.close()
        raise
    transport, _ = await loop.create_connection(lambda: reader, sock=door)
    return transport


async def _reads(port: int, path: str, came: float) -> _Reader:
    reader = _Reader(path, came)
    await _begin(port, reader)
    await reader.over
    return reader


async def _come(
    count: int, seconds: float, path: Callable[[int], str], port: int, begun: float
) -> list[_Reader | BaseException]:
    """So many readers, one after the other at even times."""
    loop = asyncio.get_running_loop()
    coming = []
    for number in range(count):
        at = begun + number * seconds / count
        if at > loop.time():
            await asyncio.sleep(at - loop.time())
        coming.append(asyncio.ensure_future(_reads(port, path(number), at)))
    return await asyncio.gather(*coming, return_exceptions=True)


async def _play(plan: Plan) -> Outcome:
    loop = asyncio.get_running_loop()
    slow = [
        asyncio.ensure_future(_slow(plan, path, loop.time() + plan.seconds)) for path in plan.slow
    ]
    await asyncio.sleep(1 if slow else 0)
    begun = loop.time() + 0.1
    visits = int(plan.visits * plan.seconds)
    everybody = (
        _come(len(plan.paths), plan.seconds, plan.paths.__getitem__, plan.port, begun),
        _come(visits, plan.seconds, lambda _: plan.page, plan.port, begun),
        _come(visits, plan.seconds, lambda _: plan.reference, plan.port, begun),
    )
    readers, pages, bare = await asyncio.gather(*everybody)
    faults = [fault for one in (*readers, *pages, *bare) if (fault := _fault(one))]
    return Outcome(
        first=_first(readers),
        failed=len(faults),
        fault=faults[0] if faults else "",
        slow=await asyncio.gather(*slow),
        page=_first(pages),
        reference=_first(bare),
    )


async def _slow(plan: Plan, path: str, until: float) -> int:
    """Bytes that a slow reader has at the end, or 0 where the answer broke off."""
    loop = asyncio.get_running_loop()
    reader = _Reader(path, loop.time(), plan.slow_rate)
    transport = await _begin(plan.port, reader, _SLOW_BUFFER)
    await asyncio.sleep(until - loop.time())
    broke_off = reader.over.done()
    transport.abort()
    return 0 if broke_off else reader.received


def _fault(one: _Reader | BaseException) -> str:
    return one.fault() if isinstance(one, _Reader) else repr(one)


def _first(readers: list[_Reader | BaseException]) -> list[float]:
    return [1000 * one.first for one in readers if isinstance(one, _Reader)]


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(_play(Plan(**json.load(sys.stdin)))))))
