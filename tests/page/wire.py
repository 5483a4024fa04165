"""A line between the browser and the server that can be cut, and is then down until it is mended."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

__all__ = ["Wire"]

_RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: closing resets


class Wire:
    """Forwards connections to `port`; its own is `.port`."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._lock = threading.Lock()  # Guards _ends and _down.
        self._ends: set[socket.socket] = set()
        self._down = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut(self) -> None:
        """Reset what is connected, and let nobody in."""
        with self._lock:
            self._down = True
            ends, self._ends = self._ends, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        with self._lock:
            self._down = False

    def close(self) -> None:
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._joined(near):
                near.close()

    def _joined(self, near: socket.socket) -> bool:
        with self._lock:
            if self._down:
                return False
            far = socket.create_connection(("127.0.0.1", self._to))
            self._ends |= {near, far}
        both = [threading.Thread(target=self._forward, args=ends) for ends in ((near, far), (far, near))]
        self._threads += both
        for thread in both:
            thread.start()
        return True

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        """Until `one` has no more to say. Each direction closes the end that it reads from."""
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)
        with self._lock:
            self._ends.discard(one)
        one.close()
