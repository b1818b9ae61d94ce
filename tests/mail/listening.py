"""A server on a port of its own, with a thread for who comes and one for each conversation."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self


class Listening:
    """Listens from the start of the block; at its end every connection is broken off, and every
    conversation must have ended."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self._is_closing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def _begin(self, connection: socket.socket) -> Callable[[], None]:
        """Note who came, one after the other; returns the conversation, for a thread of its own."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_closing = True
        socket.create_connection(("127.0.0.1", self.port)).close()  # wakes accept()
        for connection in self._connections:
            shut(connection)
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
        self._listener.close()

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._is_closing:
                connection.close()
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            self._start(self._begin(connection))


def shut(connection: socket.socket) -> None:
    """Break a connection off from our side; a thread that waits in it wakes."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
