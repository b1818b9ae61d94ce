"""A mail server that says yes to everything as fast as one Python process can; PIPELINING offered.

Run as a program: prints its port, then counts letters until it is ended.
"""

import asyncio


class Sink(asyncio.Protocol):
    """One SMTP conversation, read from a growing buffer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.out = transport
        self.buffer = b""
        self.in_data = False
        self.out.write(b"220 sink ready\r\n")

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
                answers.append(b"250 2.0.0 taken\r\n")
            else:
                answers.append(self._answer(head[:4].upper()))
        if answers:
            self.out.write(b"".join(answers))

    def _answer(self, verb: bytes) -> bytes:
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


async def serve() -> None:
    """Listen on a free port of this machine."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
