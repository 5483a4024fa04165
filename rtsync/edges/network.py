"""From a URL to a connected socket, under one deadline: DNS, every address, proxy, TLS.

``open_socket`` runs in the reader thread. Another thread ends it at any moment with ``Interrupt.set()``: every wait
here also waits for the interrupt. Name resolution cannot be interrupted by the system, so it runs in a thread of its
own, which a timeout leaves behind to end by itself.
"""

from __future__ import annotations

import base64
import errno
import os
import selectors
import socket
import ssl
import string
import threading
import time
import traceback
import urllib.parse
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from rtsync.edges import forks
from rtsync.edges.guard import wait_ready
from rtsync.edges.nested_tls import NestedTLS
from rtsync.vocabulary.address import stays_on_this_machine
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import ConfigurationError, ConnectFailed, ConnectTimeout

__all__ = ["Address", "Interrupt", "Interrupted", "Proxy", "Route", "is_loopback", "open_tcp", "wrap_tls"]

# Happy Eyeballs (RFC 8305): how long an address may stay silent before the next is tried beside it.
_STAGGER = 0.25
_CONNECTING = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN})

_AddressInfo = tuple[int, int, int, str, tuple[object, ...]]


class _Closeable(Protocol):
    def close(self) -> None: ...


_Opened = TypeVar("_Opened", bound=_Closeable)


class Interrupted(Exception):
    """``Interrupt.set()`` was called."""


class Interrupt:
    """Ends the waits of a connecting thread from another one."""

    def __init__(self) -> None:
        self.is_set = False
        self._pair: tuple[socket.socket, socket.socket] | None = None
        self._opened: list[weakref.ref[_Closeable]] = []

    def arm(self) -> None:
        """Take the descriptors that waits need. Called by the thread that will wait, which also closes them."""
        with forks.whole():
            self._pair = socket.socketpair()
        for end in self._pair:
            end.setblocking(False)
        self.check()

    @property
    def reader(self) -> socket.socket:
        """Readable once set."""
        assert self._pair is not None
        return self._pair[0]

    def set(self) -> None:
        """End the wait. Takes no lock; callable from anywhere, more than once."""
        self.is_set = True
        self.nudge()

    def nudge(self) -> None:
        """End one wait, as ``set`` does, and leave nothing set."""
        if self._pair is not None:
            try:
                self._pair[1].send(b"\0")
            except OSError:  # Closed: the connecting is over.
                pass

    def check(self) -> None:
        """Raise ``Interrupted`` if set."""
        if self.is_set:
            raise Interrupted

    def note(self, opened: _Opened) -> _Opened:
        """Remember a descriptor that only the connecting thread has as yet; returns it. See ``abandon``."""
        self._opened.append(weakref.ref(opened))
        return opened

    def close(self) -> None:
        """Give the descriptors back."""
        with forks.whole():
            for end in self._pair or ():
                end.close()

    def abandon(self) -> None:
        """In a forked child: the connecting thread is not there to close what it had opened so far."""
        opened = [thing for reference in self._opened if (thing := reference()) is not None]
        for thing in reversed(opened):  # A selector last: it may be all that holds its sockets.
            thing.close()
        self.close()


class Address(msgspec.Struct, frozen=True):
    """Where a URL points: host without brackets, port, whether over TLS, path with query."""

    host: str
    port: int
    secure: bool
    resource: str

    @classmethod
    def of(cls, url: str) -> Address:
        """The address in a ``ws://`` or ``wss://`` URL."""
        parts, port = _split(url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ConfigurationError("not a WebSocket URL: it begins with ws:// or wss:// and names a host")
        secure = parts.scheme == "wss"
        resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        # What a request line cannot carry (spaces, letters beyond ASCII) is quoted, what is quoted already stays.
        resource = urllib.parse.quote(resource, safe=string.punctuation)
        return cls(parts.hostname, port or (443 if secure else 80), secure, resource)

    @property
    def netloc(self) -> str:
        """Host and port as a ``Host`` header has them: no default port, brackets around IPv6."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def authority(self) -> str:
        """Host and port as CONNECT wants them: always with the port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def _split(url: str) -> tuple[urllib.parse.SplitResult, int | None]:
    """The parts of ``url``, and its port where it has a valid one; no host where the URL is none at all."""
    try:
        parts = urllib.parse.urlsplit(url)
        return parts, parts.port
    except ValueError:  # Its text may show a piece of a password.
        return urllib.parse.SplitResult("", "", "", "", ""), None


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine itself, by its spelling: nothing that a proxy could reach better.

    Wider than where a credential may travel in clear: names under ``.localhost`` (RFC 6761, 6.3) may resolve elsewhere.
    """
    return stays_on_this_machine(host) or host.endswith(".localhost")


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy that answers CONNECT, reached plainly or (``secure``) over TLS. Its credentials are not shown."""

    host: str
    port: int
    authorization: str | None = None
    secure: bool = False

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("host", self.host), ("port", self.port)]

    @classmethod
    def parse(cls, url: str, source: str) -> Proxy:
        """The proxy at ``http[s]://[user:password@]host[:port]``; ``source`` names the setting for the message."""
        parts, port = _split(url if "://" in url else f"http://{url}")
        if not parts.scheme:
            raise ConfigurationError(f"{source}: not the URL of a proxy; it is http://[user:password@]host:port")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                f"{source}: rtsync speaks to http:// and https:// proxies (CONNECT), not to {parts.scheme or 'this'}://;"
                " give such a proxy, or proxy=False for none"
            )
        secure = parts.scheme == "https"
        authorization = None
        if parts.username is not None:
            pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            authorization = "Basic " + base64.b64encode(pair.encode()).decode()
        return cls(parts.hostname, port or (443 if secure else 80), authorization, secure)


class Route(msgspec.Struct, frozen=True):
    """How to reach an address: directly, or through a proxy."""

    address: Address
    proxy: Proxy | None = None

    @classmethod
    def to(cls, address: Address, proxy: str | bool | None = None) -> Route:
        """The route to ``address``.

        Args:
            address: where to.
            proxy: a proxy URL; False for none; None to follow ``https_proxy``, ``http_proxy`` and ``no_proxy`` (and
                the system's settings where Python reads them). Loopback is never reached through a proxy of the
                environment.
        """
        if proxy is False or proxy == "":
            return cls(address)
        if isinstance(proxy, str):
            return cls(address, Proxy.parse(proxy, "proxy="))
        found = None if is_loopback(address.host) else _proxy_of_environment(address)
        return cls(address, found)


def _proxy_of_environment(address: Address) -> Proxy | None:
    with forks.whole():
        import urllib.request  # Costs a third of the import of rtsync, and only connections off loopback need it.

    scheme = "https" if address.secure else "http"
    url = urllib.request.getproxies().get(scheme)
    if not url or urllib.request.proxy_bypass(address.authority):
        return None
    return Proxy.parse(url, f"{scheme}_proxy")


# -- DNS and TCP --------------------------------------------------------------------------------------------------


def open_tcp(
    host: str, port: int, deadline: Deadline, interrupt: Interrupt, phase: Callable[[str], None]
) -> socket.socket:
    """A connected TCP socket to the first address of ``host`` that answers.

    Addresses are tried in the system's order, the next one beside the last after 250 ms of silence or at its refusal,
    so that a dead IPv6 route costs a quarter of a second and not the whole deadline.

    Raises:
        ConnectFailed: phase ``"dns"`` or ``"tcp"``.
        ConnectTimeout: likewise.
        Interrupted: the interrupt was set.
    """
    phase("dns")
    addresses = _resolve(host, port, deadline, interrupt)
    phase("tcp")
    sock = _Race(addresses, f"{host}:{port}", deadline, interrupt).run()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _resolve(host: str, port: int, deadline: Deadline, interrupt: Interrupt) -> Sequence[_AddressInfo]:
    if _is_numeric(host):
        return _lookup(host, port)
    with forks.whole():
        done, signal = map(interrupt.note, socket.socketpair())
    answer: list[Sequence[_AddressInfo] | Exception] = []

    def work() -> None:
        try:
            answer.append(_lookup(host, port))
        except Exception as error:
            answer.append(error)
        with signal:
            try:
                signal.send(b"\0")
            except OSError:  # Nobody waits any more.
                pass

    threading.Thread(target=work, name=f"rtsync-dns-{host}", daemon=True).start()
    with done:
        ready = wait_ready(done, write=False, timeout=deadline.remaining(), also=interrupt.reader)
    interrupt.check()
    if not ready or not answer:
        raise ConnectTimeout(
            f"no answer to the name lookup of {host!r} within {deadline.timeout:g} s; check the network and the DNS",
            phase="dns",
        )
    if isinstance(answer[0], Exception):
        raise answer[0]
    return answer[0]


def _is_numeric(host: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except OSError:
        return False
    return True


def _lookup(host: str, port: int) -> Sequence[_AddressInfo]:
    with forks.whole():
        import encodings.idna  # noqa: F401 - as getaddrinfo does
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectFailed(
            f"the host {host!r} could not be found ({getattr(error, 'strerror', None) or error}); check its spelling"
            " and the network",
            phase="dns",
        ) from error


class _Race:
    """Connection attempts to several addresses, each a little later than the last; the first to answer wins."""

    def __init__(self, addresses: Sequence[_AddressInfo], name: str, deadline: Deadline, interrupt: Interrupt) -> None:
        self._waiting = _interleaved(addresses)
        self._name = name
        self._deadline = deadline
        self._interrupt = interrupt
        self._next_at = 0.0
        self._refusals: list[str] = []
        self._won: socket.socket | None = None

    def run(self) -> socket.socket:
        with forks.whole():
            opened = self._interrupt.note(selectors.DefaultSelector())
        with opened as selector:
            selector.register(self._interrupt.reader, selectors.EVENT_READ)
            try:
                while self._won is None:
                    self._start_due(selector)
                    if self._won is None:
                        self._await_one(selector)
            finally:
                self._discard_losers(selector)
        return self._won

    def _running(self, selector: selectors.BaseSelector) -> int:
        return len(selector.get_map()) - 1  # All but the interrupt.

    def _start_due(self, selector: selectors.BaseSelector) -> None:
        self._interrupt.check()
        while self._waiting and (not self._running(selector) or time.monotonic() >= self._next_at):
            self._attempt(self._waiting.pop(0), selector)
            self._next_at = time.monotonic() + _STAGGER
        if not self._running(selector) and self._won is None:
            raise ConnectFailed(
                f"cannot connect to {self._name}: {'; '.join(dict.fromkeys(self._refusals))}. Is the server there, and"
                " does a firewall let you through?",
                phase="tcp",
            )

    def _attempt(self, info: _AddressInfo, selector: selectors.BaseSelector) -> None:
        family, kind, protocol, _, address = info
        sock = None
        try:
            with forks.whole():
                sock = self._interrupt.note(socket.socket(family, kind, protocol))
            sock.setblocking(False)
            status = sock.connect_ex(address)
            if status not in _CONNECTING:  # Said at once (no route): SO_ERROR would not repeat it.
                raise OSError(status, os.strerror(status))
            selector.register(sock, selectors.EVENT_WRITE, address)
        except OSError as error:
            if sock is not None:
                sock.close()
            self._refusals.append(f"{address[0]}: {error.strerror or error}")

    def _await_one(self, selector: selectors.BaseSelector) -> None:
        wait = self._deadline.remaining()
        if self._waiting:
            step = max(0.0, self._next_at - time.monotonic())
            wait = step if wait is None else min(step, wait)
        for key, _ in selector.select(wait):
            if key.fileobj is not self._interrupt.reader and self._won is None:
                assert isinstance(key.fileobj, socket.socket)
                self._finish(key.fileobj, selector)
        if self._won is None and self._deadline.passed:
            self._interrupt.check()
            raise ConnectTimeout(
                f"no answer from {self._name} within {self._deadline.timeout:g} s; is the host right, and does a"
                " firewall let you through?",
                phase="tcp",
            )

    def _finish(self, sock: socket.socket, selector: selectors.BaseSelector) -> None:
        selector_key = selector.unregister(sock)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            sock.close()
            self._refusals.append(f"{selector_key.data[0]}: {os.strerror(error)}")
            self._next_at = 0.0
        else:
            self._won = sock

    def _discard_losers(self, selector: selectors.BaseSelector) -> None:
        for key in list(selector.get_map().values()):
            if key.fileobj is not self._interrupt.reader:
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()


def _interleaved(addresses: Sequence[_AddressInfo]) -> list[_AddressInfo]:
    """The addresses with the families taking turns, the system's first choice first (RFC 8305, section 4)."""
    first = [info for info in addresses if info[0] == addresses[0][0]]
    other = [info for info in addresses if info[0] != addresses[0][0]]
    mixed: list[_AddressInfo] = []
    while first or other:
        mixed += first[:1] + other[:1]
        first, other = first[1:], other[1:]
    return mixed


# -- TLS ----------------------------------------------------------------------------------------------------------

_default_context: ssl.SSLContext | None = None
_building = threading.Lock()


def _shared_context() -> ssl.SSLContext:
    """The context for sessions that bring none. Building one costs 50 ms, so there is one for all."""
    global _default_context
    with _building:
        # isinstance: gevent, when it patches ssl, puts a class of its own there, which an older context is none of.
        if not isinstance(_default_context, ssl.SSLContext):
            with forks.whole():
                _default_context = ssl.create_default_context()
        return _default_context


def _start_anew() -> None:
    """In a forked child: a thread that is not there may hold our lock, or be at work inside the context."""
    global _building, _default_context
    _building = threading.Lock()
    _default_context = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


def wrap_tls(
    sock: socket.socket | NestedTLS, host: str, context: ssl.SSLContext | None, deadline: Deadline, interrupt: Interrupt
) -> ssl.SSLSocket | NestedTLS:
    """TLS over a connected socket, verified for ``host``; inside the TLS of a proxy where that is the socket.

    Raises:
        ConnectFailed: phase ``"tls"``; the certificate or the protocol was refused.
        ConnectTimeout: likewise.
        Interrupted: the interrupt was set.
    """
    chosen = context if context is not None else _shared_context()
    sock.setblocking(False)
    try:
        with forks.whole():  # The descriptor changes hands.
            secure: ssl.SSLSocket | NestedTLS = interrupt.note(
                NestedTLS(sock, chosen, host)
                if isinstance(sock, ssl.SSLSocket)
                else chosen.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)  # type: ignore[arg-type]
            )
    except (OSError, ValueError) as error:  # Reset before the first byte, or a name that no certificate can have.
        _close_half_made(error)
        cut = isinstance(error, OSError)
        raise ConnectFailed(f"TLS with {host} failed: {error}", phase="tls", retryable=cut) from error
    try:
        _shake_hands(secure, host, deadline, interrupt)
    except BaseException:
        secure.close()
        raise
    return secure


def _close_half_made(error: Exception) -> None:
    """Close what ``wrap_socket`` left open: it forgets the descriptor when it finds the connection reset."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        made = frame.f_locals.get("self")
        if isinstance(made, ssl.SSLSocket):
            made.close()


def _cut_off(error: OSError) -> bool:
    """Whether the connection ended, rather than one side refusing the other."""
    return isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or not isinstance(error, ssl.SSLError)


def _shake_hands(secure: ssl.SSLSocket | NestedTLS, host: str, deadline: Deadline, interrupt: Interrupt) -> None:
    while True:
        write = False
        try:
            with forks.whole():
                secure.do_handshake()
            return
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLWantWriteError:
            write = True
        except ssl.SSLCertVerificationError as error:
            raise ConnectFailed(
                f"the certificate of {host} is not trusted: {error.verify_message}. For a private authority pass"
                " tls='/path/to/ca.pem'",
                phase="tls",
            ) from error
        except OSError as error:
            why = getattr(error, "reason", None) or error.strerror or str(error)
            raise ConnectFailed(f"TLS with {host} failed: {why}", phase="tls", retryable=_cut_off(error)) from error
        ready = wait_ready(secure, write=write, timeout=deadline.remaining(), also=interrupt.reader)
        interrupt.check()
        if not ready:
            raise ConnectTimeout(f"no TLS answer from {host} within {deadline.timeout:g} s", phase="tls")
