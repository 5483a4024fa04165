"""A server that plays one script per connection, over real loopback sockets."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import ssl
import threading
from types import TracebackType
from typing import Self

from tests.loopback.peer import Peer, Script
from tests.loopback.wire import LIMIT, PeerGone, Wire

__all__ = ["ScriptedServer"]


class ScriptedServer:
    """A context manager that listens on a free loopback port and runs `script(peer)` in a thread per connection.

    A script that returns leaves in order: FIN, then whatever the client still sends is read and thrown away until it
    closes. On exit every script is interrupted and its thread joined. What scripts raised is raised again there (as a
    note where the body of the `with` has raised itself), except a client's going away.

    Args:
        script: called with the `Peer`; it accepts or refuses the upgrade itself.
        tls: a server context; the server then speaks TLS.
        host: the loopback address to listen on; an IPv6 one works too.
        port: 0 for any free one.
    """

    def __init__(
        self, script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._script = script
        self._tls = tls
        self._host = host
        self._wanted_port = port
        self._arrival = threading.Condition()
        self._state = _State()
        self.peers: list[Peer] = []
        """Every connection accepted so far, in order."""
        self.tls_failures: list[Exception] = []
        """TLS handshakes that came to nothing, such as a client's refusing the certificate."""

    def __enter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._listener = socket.create_server((self._host, self._wanted_port), family=family, backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept_all, name=f"loopback-{self.port}-accept", daemon=True)
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        if raised is None:
            self._raise_script_errors()
        else:
            for error in self._state.errors:
                raised.add_note(f"and the script of the loopback server raised {error!r}")

    @property
    def url(self) -> str:
        """The WebSocket address, without a path."""
        return f"{'wss' if self._tls else 'ws'}://{self.authority}"

    @property
    def http_url(self) -> str:
        """The same as an HTTP address."""
        return f"{'https' if self._tls else 'http'}://{self.authority}"

    @property
    def authority(self) -> str:
        """`host:port`, as it stands in a URL."""
        return f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted."""
        return len(self.peers)

    def wait_for_connections(self, count: int, limit: float = LIMIT) -> list[Peer]:
        """Return the peers once at least `count` connections were accepted."""
        with self._arrival:
            if not self._arrival.wait_for(lambda: len(self.peers) >= count, limit):
                raise TimeoutError(f"{len(self.peers)} of {count} connections came")
            return list(self.peers)

    def stop(self) -> None:
        """Refuse new connections, interrupt every script and wait for its thread."""
        self._state.stopping = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(LIMIT)
        self._listener.close()
        for peer in self.peers:
            peer.stop()
        for thread in self._state.threads:
            thread.join(LIMIT)
            assert not thread.is_alive(), f"{thread.name} did not end: its script waits for something else"

    def _accept_all(self) -> None:
        while not self._state.stopping:
            try:
                sock, _address = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(sock)

    def _start(self, sock: socket.socket) -> None:
        wrapped = sock if self._tls is None else _unshaken(self._tls, sock)
        with self._arrival:
            peer = Peer(Wire(wrapped), len(self.peers) + 1)
            self.peers.append(peer)
            self._arrival.notify_all()
        thread = threading.Thread(
            target=self._run, args=(peer,), name=f"loopback-{self.port}-peer-{peer.number}", daemon=True
        )
        self._state.threads.append(thread)
        thread.start()

    def _run(self, peer: Peer) -> None:
        try:
            if self._shaken(peer):
                self._play(peer)
        except (ConnectionError, ssl.SSLError) as gone:
            self._note_loss(gone)
        except BaseException as error:
            self._state.errors.append(error)
        finally:
            peer.wire.close()
            peer.finished.set()

    def _play(self, peer: Peer) -> None:
        self._script(peer)
        peer.finished.set()
        peer.wire.half_close()
        peer.wire.drain()

    def _shaken(self, peer: Peer) -> bool:
        try:
            peer.wire.shake_hands()
        except (OSError, PeerGone) as failure:
            self.tls_failures.append(failure)
            return False
        return True

    def _note_loss(self, gone: Exception) -> None:
        """A client may go whenever it likes; only what OpenSSL calls a broken stream is somebody's mistake."""
        if isinstance(gone, ssl.SSLError) and not self._state.stopping:
            self._state.errors.append(gone)

    def _raise_script_errors(self) -> None:
        errors = self._state.errors
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise BaseExceptionGroup("scripts of the loopback server failed", errors)


@dataclasses.dataclass
class _State:
    stopping: bool = False
    threads: list[threading.Thread] = dataclasses.field(default_factory=list)
    errors: list[BaseException] = dataclasses.field(default_factory=list)


def _unshaken(context: ssl.SSLContext, sock: socket.socket) -> ssl.SSLSocket:
    """Wrap without a handshake: that runs in the connection's own thread, so that a slow client delays no other."""
    return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
