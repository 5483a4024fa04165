"""A TLS 1.3 server that sends post-handshake messages in the middle of full duplex traffic, in a process of its own.

OpenSSL processes a NewSessionTicket or KeyUpdate inside SSL_read; where another thread is in SSL_write on the same
connection at that moment, an unguarded client loses the connection or its whole process. So this server sends them all
the time. Python offers no call for it: the messages are ordered from libssl itself, through the pointer that an
`ssl.SSLSocket` holds. That pointer is used only after the object's layout has been checked; where it is not as
expected, the program ends with status 3 and says so.

Run as `python -m tests.loopback.tls_tickets --help`. It prints its port on the first line, serves until its standard
input ends, and then prints one line of JSON: connections, post-handshake messages, bytes each way, errors.
`TicketServer` does all that from a test. One thread per connection is the only user of its TLS state, so that what
breaks is the client.
"""

from __future__ import annotations

import argparse
import collections
import ctypes
import dataclasses
import json
import select
import ssl
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.loopback.certificates import Certificates
from tests.loopback.peer import TEXT, Peer, frame
from tests.loopback.server import ScriptedServer

__all__ = ["MESSAGES", "Report", "TicketServer"]

MESSAGES = ("ticket", "key-update", "key-update-requested")
"""What can be sent; a `key-update-requested` asks the client to change its keys too."""

_PROJECT = Path(__file__).resolve().parents[2]
_TLS_1_3 = 0x0304
_UNUSABLE = 3  # exit status
_SLICE = 16 * 1024
_LIMIT = 30.0


class UnknownLayoutError(Exception):
    """This Python keeps its TLS state in another place than we know; nothing was touched."""


# -- libssl ------------------------------------------------------------------------------------------------------------


class PostHandshake:
    """Orders post-handshake messages from the libssl that Python's own `ssl` module uses."""

    def __init__(self) -> None:
        import _ssl

        # Symbols are looked up in the module and the libraries it is linked with: never another OpenSSL of the process.
        self._library = ctypes.CDLL(getattr(_ssl, "__file__", None))
        try:
            self._version = self._function("SSL_version")
            self._descriptor = self._function("SSL_get_fd")
            self._ticket = self._function("SSL_new_session_ticket")
            self._key_update = self._function("SSL_key_update", ctypes.c_int)
        except AttributeError as exc:
            raise UnknownLayoutError(f"libssl ({ssl.OPENSSL_VERSION}) lacks a function: {exc}") from exc

    def _function(self, name: str, *more: type[Any]) -> Any:
        function = getattr(self._library, name)
        function.argtypes = [ctypes.c_void_p, *more]
        function.restype = ctypes.c_int
        return function

    def pointer(self, sock: ssl.SSLSocket) -> ctypes.c_void_p:
        """Return the `SSL *` of a connected TLS 1.3 socket.

        A `_ssl._SSLSocket` begins with the object header, a weak reference to the `SSLSocket`, and the `SSL *`. That
        the weak reference is where we expect it proves the layout before the pointer beside it is used.
        """
        inner = sock._sslobj  # type: ignore[attr-defined]
        fields = ctypes.cast(id(inner) + object.__basicsize__, ctypes.POINTER(ctypes.c_void_p))
        if fields[0] not in {id(reference) for reference in weakref.getweakrefs(sock)}:
            raise UnknownLayoutError(f"Python {sys.version.split()[0]} lays out _ssl._SSLSocket differently")
        found = ctypes.c_void_p(fields[1])
        if not found or self._descriptor(found) != sock.fileno() or self._version(found) != _TLS_1_3:
            raise UnknownLayoutError("the SSL object found is not the TLS 1.3 connection of this socket")
        return found

    def order(self, what: str, pointer: ctypes.c_void_p) -> bool:
        """Queue one message; it leaves with the next write. Return whether libssl took the order."""
        if what == "ticket":
            return bool(self._ticket(pointer) == 1)
        return bool(self._key_update(pointer, int(what == "key-update-requested")) == 1)


# -- server ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Report:
    """What the server has seen, over all connections."""

    connections: int = 0
    messages: int = 0
    """Post-handshake messages ordered."""
    sent: int = 0
    """Bytes to the clients."""
    received: int = 0
    """Bytes from the clients."""
    errors: dict[str, int] = dataclasses.field(default_factory=dict)
    """TLS errors that this side saw, by OpenSSL's name; a client's going away is none."""


@dataclasses.dataclass(frozen=True)
class _Traffic:
    """How to treat a connection: which message, how often, and how long to rest between two rounds."""

    what: str
    every: float
    rest: float
    delta: bytes = frame(TEXT, json.dumps({"type": "response.output_audio.delta", "delta": "A" * 900}))


class _Load:
    """One connection under load, on its one thread."""

    def __init__(self, peer: Peer, orders: PostHandshake, traffic: _Traffic) -> None:
        assert isinstance(peer.wire.sock, ssl.SSLSocket)
        self._sock = peer.wire.sock
        self._peer = peer
        self._orders = orders
        self._traffic = traffic
        self._unsent = b""
        self._due = time.monotonic()
        self.report = Report(connections=1)

    def run(self) -> None:
        """Send, receive and order messages until the client goes."""
        pointer = self._orders.pointer(self._sock)
        readiness = select.poll()
        readiness.register(self._sock, select.POLLIN | select.POLLOUT)
        while True:
            if not self._sock.pending():
                readiness.poll(1000)
            self._peer.wire.check()
            self._order_when_due(pointer)
            self._send()
            if not self._receive():
                return
            if self._traffic.rest:
                time.sleep(self._traffic.rest)

    def _order_when_due(self, pointer: ctypes.c_void_p) -> None:
        # Never inside a record that OpenSSL has begun to write: it would have to be repeated unchanged.
        if self._unsent or time.monotonic() < self._due:
            return
        self.report.messages += self._orders.order(self._traffic.what, pointer)
        self._due = time.monotonic() + self._traffic.every

    def _send(self) -> None:
        self._unsent = self._unsent or self._traffic.delta
        try:
            count = self._sock.send(self._unsent)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return
        self._unsent = self._unsent[count:]
        self.report.sent += count

    def _receive(self) -> bool:
        try:
            data = self._sock.recv(_SLICE)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return True
        self.report.received += len(data)
        return bool(data)


class _Service:
    """The script of every connection, and the sum of their reports."""

    def __init__(self, traffic: _Traffic) -> None:
        self._traffic = traffic
        self._orders = PostHandshake()
        self._sum = Report()
        self._errors = collections.Counter[str]()
        self._adding = threading.Lock()  # guards the sum
        self.unusable: UnknownLayoutError | None = None

    def script(self, peer: Peer) -> None:
        """Accept, then keep the connection under load."""
        peer.accept()
        load = _Load(peer, self._orders, self._traffic)
        trouble = ""
        try:
            load.run()
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError):
            pass  # the client went
        except ssl.SSLError as exc:
            trouble = exc.reason or type(exc).__name__
        except UnknownLayoutError as exc:
            self.unusable = exc
        self._add(load.report, trouble)

    def _add(self, report: Report, trouble: str) -> None:
        with self._adding:
            self._sum.connections += report.connections
            self._sum.messages += report.messages
            self._sum.sent += report.sent
            self._sum.received += report.received
            self._errors.update([trouble] if trouble else [])

    def report(self) -> Report:
        """Return the sum; complete once the server has stopped."""
        with self._adding:
            return dataclasses.replace(self._sum, errors=dict(self._errors))


def main() -> None:
    """Serve until standard input ends, then print the report."""
    options = _options()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(options.certificate)
    try:
        service = _Service(_Traffic(options.what, options.every, options.rest))
    except UnknownLayoutError as exc:
        _give_up(exc)
    with ScriptedServer(service.script, tls=context) as server:
        print(server.port, flush=True)
        sys.stdin.read()
    if service.unusable:
        _give_up(service.unusable)
    print(json.dumps(dataclasses.asdict(service.report())), flush=True)


def _give_up(reason: UnknownLayoutError) -> None:
    print(f"tls_tickets cannot order post-handshake messages here: {reason}", file=sys.stderr)
    sys.exit(_UNUSABLE)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.loopback.tls_tickets", description=__doc__.split("\n")[0])
    parser.add_argument("--certificate", required=True, help="PEM file with the key and the certificate chain")
    parser.add_argument("--what", choices=MESSAGES, default="ticket", help="the post-handshake message to send")
    parser.add_argument("--every", type=float, default=0.02, help="seconds between two messages (default: 0.02)")
    parser.add_argument("--rest", type=float, default=0.0, help="seconds between two rounds of traffic (default: 0)")
    return parser.parse_args()


# -- the test's side ---------------------------------------------------------------------------------------------------


class TicketServer:
    """A context manager: the server above in a process of its own. `report` is there after the block.

    Args:
        certificates: whose `ca_file` the client must trust.
        what: one of `MESSAGES`.
        every: seconds between two messages.
        rest: seconds that the server rests between two rounds of traffic; 0 is full load.

    Raises:
        RuntimeError: the server could not do its work; with what it said.
    """

    def __init__(
        self, certificates: Certificates, *, what: str = "ticket", every: float = 0.02, rest: float = 0.0
    ) -> None:
        options = {"certificate": certificates.server_file, "what": what, "every": every, "rest": rest}
        self._command = [sys.executable, "-m", __name__, *(f"--{name}={value}" for name, value in options.items())]
        self.report = Report()

    def __enter__(self) -> Self:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            self._command, cwd=_PROJECT, stdin=pipe, stdout=pipe, stderr=pipe, text=True, encoding="utf-8"
        )
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        if not first:
            self._finish()
        self.port = int(first)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> None:
        said = self._finish()
        self.report = Report(**json.loads(said))

    @property
    def url(self) -> str:
        """The WebSocket address, without a path."""
        return f"wss://127.0.0.1:{self.port}"

    def _finish(self) -> str:
        try:
            output, complaint = self._process.communicate(timeout=_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, complaint = self._process.communicate()
        if self._process.returncode or not output:
            raise RuntimeError(f"the TLS server ended with status {self._process.returncode}: {complaint.strip()}")
        return output


if __name__ == "__main__":
    main()
