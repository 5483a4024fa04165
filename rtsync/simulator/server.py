"""The simulator's server: HTTP, TLS and WebSocket on one port.

Theory
------
1. One thread accepts; each connection gets a thread of its own, which does the TLS handshake, reads the request, and
   holds the session if the request is an upgrade. All are named ``rtsync-simulator-...``.
2. Every connection is registered from its first moment, so that ``stop`` finds it whatever it is doing.
3. ``stop`` asks first (close frames with 1001), then cuts off. It takes less than three seconds. ``crash`` cuts off.
4. The faults of a connection are dealt out when it comes, and again when its upgrade is asked for. One that has none
   is served as if there were no such thing (``trouble.py``).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import secrets
import selectors
import shutil
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from rtsync.simulator.brains import Brain, ScriptedBrain
from rtsync.simulator.desk import Desk
from rtsync.simulator.ears import Ears
from rtsync.simulator.entrance import (
    Admission,
    Entrance,
    Request,
    TurnedAway,
    is_handshake,
    is_realtime_path,
    read_request,
)
from rtsync.simulator.faults import Effect, Fault, Refuse
from rtsync.simulator.ids import new_id
from rtsync.simulator.ledger import Ledger
from rtsync.simulator.line import GuardedSocket, Line
from rtsync.simulator.mcp import McpServer, McpServers
from rtsync.simulator.rest import Rest, is_rest_path
from rtsync.simulator.senses import detector_named, ears_named, voice_named
from rtsync.simulator.session import HeldSession, SimulatedSession
from rtsync.simulator.session_config import SessionConfig
from rtsync.simulator.transcription import Transcriber
from rtsync.simulator.translation import TranslationConfig, TranslationDesk
from rtsync.simulator.trouble import FaultLab, Trouble, stop_at_the_door
from rtsync.simulator.vad import Detector
from rtsync.simulator.voices import Voice
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.events import encode

__all__ = ["SimulatorServer"]

log = logging.getLogger("rtsync.simulator")

_numbers = itertools.count(1)
_REQUEST_SECONDS = 10.0  # for the TLS handshake and the request head
_ASK_SECONDS = 1.0
_STOP_SECONDS = 2.5
_LINGER_SECONDS = 1.0
_MINUTES = {False: 60, True: 30}  # the service's maximum session, Azure or not (protocol 6.1)
_REGION = "local"
_LARGEST_BODY = 1 << 20


@dataclass(frozen=True)
class _Options:
    """What sessions are made with."""

    brain: Brain
    ears: Ears
    voice: Voice | None
    detector: Callable[[], Detector]
    mcp: McpServers
    pace: bool
    max_session_seconds: float | None
    rate_limits_first: bool
    obfuscation: bool
    strict_session_type: bool
    ping_interval: float
    max_message_size: int
    send_timeout: float


class _Connection:
    """One accepted connection, as ``stop`` sees it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._cut = False
        self._troubling = threading.Lock()  # a line has one trouble, and none when it is over
        self._guarded: GuardedSocket | None = None
        self._line: Line | None = None
        self._trouble: Trouble | None = None
        self._over = False
        self.number = 0
        """Of its line; 0 until an upgrade is asked for."""
        self.thread: threading.Thread | None = None

    def stop_at_the_door(self, faults: list[Fault], lab: FaultLab) -> bool:
        """Suffer what strikes before anything is read; whether that was all."""
        for fault in faults:
            lab.note(fault.what, None)
            self._guarded = GuardedSocket(self._sock, send_timeout=_LINGER_SECONDS)
            if stop_at_the_door(fault.what, self._guarded):
                return True
        return False

    def secure(self, context: ssl.SSLContext) -> socket.socket:
        """Do the TLS handshake, within the request's time."""
        self._sock = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
        if self._cut:  # while the plain socket was being replaced
            raise ConnectionError("the server is stopping")
        self._sock.settimeout(_REQUEST_SECONDS)
        self._sock.do_handshake()
        return self._sock

    def open_line(self, headers: dict[str, str], options: _Options, lab: FaultLab, faults: list[Fault]) -> Line:
        """Answer the upgrade, as the line's faults let it."""
        self._guarded = guarded = GuardedSocket(self._sock, send_timeout=options.send_timeout)
        if faults:
            self._trouble = Trouble(guarded, self.number, faults, lab)
        line = Line(guarded, headers, ping_interval=options.ping_interval, max_message_size=options.max_message_size)
        if self._trouble is not None:
            self._trouble.watch(line)
        self._line = line
        return line

    def suffer(self, effect: Effect, lab: FaultLab) -> bool:
        """Strike the line now; False where none is open."""
        with self._troubling:
            if self._line is None or self._guarded is None or self._over:
                return False
            if self._trouble is None:
                self._trouble = Trouble(self._guarded, self.number, (), lab)
                self._trouble.watch(self._line)
        self._trouble.suffer(effect)
        return True

    def finish(self) -> None:
        """The session is over: the peer is given time to go, too."""
        self._end_trouble()
        if self._guarded is not None:
            self._guarded.linger(_LINGER_SECONDS)

    def _end_trouble(self) -> None:
        with self._troubling:
            self._over = True
        if self._trouble is not None:
            self._trouble.end()

    def ask_to_end(self, timeout: float) -> None:
        """Close a session politely; end anything else at once."""
        if self._line is None or not self._line.close(1001, "server shutdown", timeout=timeout):
            self.cut()

    def cut(self) -> None:
        """Wake and end whatever the connection's thread does. Takes no lock."""
        self._cut = True
        if self._guarded is not None:
            self._guarded.abort()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the descriptor back."""
        self._end_trouble()
        self._sock.close()


class _Listener(ThreadingHTTPServer):
    """Accepts connections, and keeps a list of them."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(
        self,
        address: tuple[str, int],
        entrance: Entrance,
        ledger: Ledger,
        options: _Options,
        lab: FaultLab,
        context: ssl.SSLContext | None,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.entrance = entrance
        self.options = options
        self.lab = lab
        self._context = context
        self._registering = threading.Lock()  # the set of connections, and whether new ones are still taken
        self._connections: set[_Connection] = set()
        self.rest = Rest(ledger)
        self.ledger = ledger
        self._stopping = False
        self._wake_reader, self._wake_writer = socket.socketpair()
        super().__init__(address, BaseHTTPRequestHandler)  # never used as such: see process_request
        self.timeout = 0  # handle_request finds a waiting connection or returns

    def accept_until_woken(self) -> None:
        """The accepting thread: no polling, ends when ``wake`` is called."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            while all(key.fileobj is not self._wake_reader for key, _ in selector.select()):
                self.handle_request()

    def wake(self) -> None:
        """End the accepting thread."""
        self._wake_writer.send(b"x")

    def server_bind(self) -> None:
        """Bind without the reverse DNS look-up of the HTTP server."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def server_close(self) -> None:
        """Give every descriptor back."""
        super().server_close()
        self._wake_reader.close()
        self._wake_writer.close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection its thread."""
        # A session is many small frames: with Nagle's algorithm a turn takes 44 ms instead of 2.
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(request)
        with self._registering:
            if self._stopping:
                connection.close()
                return
            self._connections.add(connection)
            connection.thread = threading.Thread(
                target=self._serve,
                args=(connection, request, client_address),
                name=f"rtsync-simulator-session-{next(_numbers)}",
                daemon=True,
            )
            connection.thread.start()

    def _serve(self, connection: _Connection, request: socket.socket, client_address: Any) -> None:
        """The connection's thread."""
        try:
            if connection.stop_at_the_door(self.lab.at_the_door(), self.lab):
                return
            request.settimeout(_REQUEST_SECONDS)
            if self._context is not None:
                request = connection.secure(self._context)
            _Handler(request, client_address, self, connection)
        except (OSError, ValueError) as error:  # ValueError: closed under a thread that was just starting
            log.debug("connection ended: %s", error)
        except Exception:
            log.exception("the simulator failed on a connection")
        finally:
            connection.close()
            with self._registering:
                self._connections.discard(connection)

    def connections(self) -> list[_Connection]:
        """Those that there are now."""
        with self._registering:
            return sorted(self._connections, key=lambda connection: connection.number)

    def end_connections(self, *, politely: bool) -> None:
        """Ask every connection to end, if ``politely``, and cut those that did not. Bounded by ``_STOP_SECONDS``."""
        started = time.monotonic()
        with self._registering:
            self._stopping = True
            connections = list(self._connections)
        if politely:
            patience = started + _ASK_SECONDS / 2
            for connection in connections:
                connection.ask_to_end(timeout=max(0.0, min(0.05, patience - time.monotonic())))
            _join(connections, started + _ASK_SECONDS)
        for connection in connections:
            connection.cut()
        _join(connections, started + _STOP_SECONDS)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Failures of the accepting thread go to the log, not to stderr."""
        log.exception("the simulator failed to take a connection")


def _join(connections: list[_Connection], until: float) -> None:
    for connection in connections:
        if connection.thread is not None:
            connection.thread.join(max(0.0, until - time.monotonic()))


class _Handler(BaseHTTPRequestHandler):
    """One HTTP request: an upgrade to a session, a REST request, ``GET /health``, or 404."""

    protocol_version = "HTTP/1.1"
    server_version = "rtsync-simulator"
    sys_version = ""
    server: _Listener

    def __init__(self, request: Any, client_address: Any, server: _Listener, connection: _Connection) -> None:
        self._connection = connection
        self._read_to_the_end = False
        super().__init__(request, client_address, server)

    def do_GET(self) -> None:
        """Answer a GET."""
        self._read_to_the_end = True  # It has no body.
        headers = _joined(self.headers.items())
        request = read_request(self.path, headers)
        if request.path == "/health":
            self._answer(HTTPStatus.OK, {"status": "ok"})
        elif not is_realtime_path(request.path):
            self._answer_unknown()
        elif headers.get("upgrade", "").lower() != "websocket":
            error = _error("This endpoint expects a WebSocket upgrade.", "invalid_request_error", None)
            self._answer(HTTPStatus.UPGRADE_REQUIRED, error, {"Upgrade": "websocket"})
        elif not is_handshake(headers):
            error = _error("This is not a WebSocket handshake of version 13.", "invalid_request_error", None)
            self._answer(HTTPStatus.BAD_REQUEST, error, {"Sec-WebSocket-Version": "13"})
        else:
            self._upgrade(headers, request)

    def _answer_unknown(self) -> None:
        message = f"Invalid URL ({self.command} {self.path.partition('?')[0]})"
        self._answer(HTTPStatus.NOT_FOUND, _error(message, "invalid_request_error", "unknown_url"))

    def do_POST(self) -> None:
        """Answer a REST request."""
        headers = _joined(self.headers.items())
        request = read_request(self.path, headers)
        if not is_rest_path(request.path):
            self._answer_unknown()
            return
        try:
            self.server.entrance.check_key(request)
        except TurnedAway as refusal:
            self._answer(HTTPStatus.UNAUTHORIZED, refusal.body() if refusal.azure else refusal.envelope())
            return
        body = self._body(headers)
        if body is not None:
            answer = self.server.rest.answer(request.path, body)
            self._answer(answer.status, answer.body)

    def _body(self, headers: dict[str, str]) -> bytes | None:
        """The request's body; None when it was refused."""
        length = headers.get("content-length", "0" if "transfer-encoding" not in headers else "")
        if not length.isdecimal():
            error = _error("Send a Content-Length.", "invalid_request_error", None)
            self._answer(HTTPStatus.LENGTH_REQUIRED, error)
        elif int(length) > _LARGEST_BODY:
            error = _error("The body is too large.", "invalid_request_error", None)
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error)
        else:
            self._read_to_the_end = True
            return self.rfile.read(int(length))
        return None

    do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _answer_unknown  # noqa: N815

    def _answer(self, status: HTTPStatus | int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = b"" if body is None else encode(body)
        self.close_connection = True
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        if not self._read_to_the_end:
            # Closing on a body that nobody read would reset the connection, and the answer might never arrive.
            GuardedSocket(self.connection, send_timeout=_LINGER_SECONDS).linger(_LINGER_SECONDS)

    def _upgrade(self, headers: dict[str, str], request: Request) -> None:
        self.close_connection = True
        self._connection.number, self._faults = self.server.lab.next_line()
        refusal = next((fault.what for fault in self._faults if isinstance(fault.what, Refuse)), None)
        if refusal is None:
            self._admit(headers, request)
        else:
            self.server.lab.note(refusal, self._connection.number)
            error = _error("The fault lab refuses this request.", "server_error", None)
            self._answer(refusal.status, error, _headers(refusal))

    def _admit(self, headers: dict[str, str], request: Request) -> None:
        try:
            admission = self.server.entrance.admit(request)
        except TurnedAway as refusal:
            if refusal.azure:
                ids = {"apim-request-id": secrets.token_hex(16), "x-ms-region": _REGION}
                self._answer(refusal.status, refusal.body(), ids)
            else:
                self._refuse_after_upgrade(headers, refusal)
            return
        self._hold_session(headers, admission)

    def _open_line(self, headers: dict[str, str]) -> Line:
        return self._connection.open_line(headers, self.server.options, self.server.lab, self._faults)

    def _refuse_after_upgrade(self, headers: dict[str, str], refusal: TurnedAway) -> None:
        """OpenAI's way: 101, one error event, and the close frame right behind it (protocol 1.2)."""
        line = self._open_line(headers)
        line.send(json.dumps({"event_id": new_id("event"), **refusal.event()}))
        line.close(refusal.close_code, refusal.close_reason)
        line.run(lambda message: None)
        self._connection.finish()

    def _hold_session(self, headers: dict[str, str], admission: Admission) -> None:
        line = self._open_line(headers)
        session = _session(line, admission, self.server.options)
        if admission.call_id is None:
            session.run()
        else:
            self._run_beside(admission.call_id, line, session)
        self._connection.finish()

    def _run_beside(self, call_id: str, line: Line, session: HeldSession) -> None:
        """Hold a session until it ends or the call does."""

        def hang_up() -> None:
            line.close(1000, "The call has ended.", timeout=_ASK_SECONDS)

        if self.server.ledger.join(call_id, hang_up):
            try:
                session.run()
            finally:
                self.server.ledger.leave(call_id, hang_up)
        else:  # It ended while the session was being opened.
            hang_up()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that cannot be read with the error envelope instead of a page."""
        self.command = self.command or ""
        self.requestline = ""
        self._answer(code, _error(message or HTTPStatus(code).phrase, "invalid_request_error", None))

    def log_message(self, *args: Any) -> None:
        """Nothing here: what is worth saying is logged where it happens, and a request line may hold a key."""


def _headers(refusal: Refuse) -> dict[str, str]:
    named = {"Retry-After": refusal.retry_after, "Location": refusal.location}
    return {name: value for name, value in named.items() if value is not None}


def _session(line: Line, admission: Admission, options: _Options) -> HeldSession:
    minutes = _MINUTES[admission.azure]
    expires_at = int(time.time() + (options.max_session_seconds or minutes * 60))
    if admission.kind == "translation":
        return HeldSession(
            line,
            TranslationDesk(_translation(admission, expires_at), options.detector()),
            max_session_seconds=options.max_session_seconds,
            documented_minutes=minutes,
        )
    desk = Desk(
        _configuration(admission, options, expires_at),
        now=time.monotonic,
        rate_limits_first=options.rate_limits_first,
        obfuscation=options.obfuscation,
        mcp=options.mcp,
        detector=options.detector,
        speaks=options.voice is None,
    )
    return SimulatedSession(
        line,
        desk,
        options.brain,
        ears=options.ears,
        voice=options.voice,
        mcp=options.mcp,
        pace=options.pace,
        max_session_seconds=options.max_session_seconds,
        documented_minutes=minutes,
    )


def _translation(admission: Admission, expires_at: int) -> TranslationConfig:
    config = TranslationConfig(admission.model, expires_at)
    if admission.terms is not None:
        config.adopt(admission.terms.values)
    return config


def _configuration(admission: Admission, options: _Options, expires_at: int) -> SessionConfig:
    config = SessionConfig(
        admission.dialect,
        admission.kind,
        model=admission.model,
        expires_at=expires_at,
        strict_type=options.strict_session_type,
    )
    if admission.terms is not None:
        config.adopt(admission.terms.values)
    return config


def _joined(items: list[tuple[str, str]]) -> dict[str, str]:
    """Headers in lower case; those that came several times joined by commas."""
    result: dict[str, str] = {}
    for name, value in items:
        key = name.lower()
        result[key] = f"{result[key]}, {value}" if key in result else value
    return result


def _error(message: str, kind: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


class SimulatorServer:
    """The service's half of the Realtime protocol on a port of this machine.

    A context manager: ``with SimulatorServer() as server: ... server.openai_url``. Options are keyword-only.

    Args:
        host: address to bind; loopback unless told otherwise.
        port: 0 lets the system choose.
        tls: True makes a certificate authority of its own (``ca_file``); a context is used as it is.
        brain: what answers; ``ScriptedBrain()`` unless given.
        ears: what gives the words of the user's audio, for transcripts and for the brain: ``builtin`` measures the
            audio and says that it does not listen; ``pocketsphinx`` hears the sentences of a small grammar,
            ``pocketsphinx-open`` any words, not well; the base URL of an OpenAI-compatible endpoint; or a callable
            ``transcriber(pcm, sample_rate) -> str`` (16-bit little-endian mono). It runs on a thread of its own; what
            it raises becomes the event of a failed transcription.
        voice: what says the answers: ``builtin`` has rhythm and no words; ``flite``, ``espeak-ng``, ``espeak`` or
            ``say`` where it is on the PATH; the base URL of an OpenAI-compatible endpoint; or a callable that takes an
            ``Utterance`` and yields its sound. Translation sessions keep the built-in one.
        vad: what tells speech from noise: ``energy``, or ``webrtc``, which holds in noise that comes and goes.
        mcp_servers: servers that sessions can name in ``tools``, beside the built-in ``simulator``.
        pace: spread deltas over time like a model's speech (40 tokens a second); False sends them at once.
        dialect: ``auto`` chooses by path: ``/openai/realtime`` is preview, ``/v1/realtime`` and
            ``/openai/v1/realtime`` are GA (protocol 6.5).
        api_keys: accepted credentials; None accepts every one that is not empty.
        refuse_like: how connections are refused: ``openai`` (101, error, close), ``azure`` (HTTP status), or by path.
        max_session_seconds: expire sessions after this time; None: never.
        rate_limits_first: send ``rate_limits.updated`` after ``response.created`` instead of after ``response.done``.
        obfuscation: put the padding field on text deltas.
        strict_session_type: refuse a GA ``session.update`` without ``session.type``.
        ping_interval: seconds between the server's pings; a peer that lets two of them go unanswered is dropped.
        models: served models and deployments; None serves every name.
        max_message_size: bytes; longer messages end the connection with 1009.
        send_timeout: seconds after which a client that does not read is given up.
        faults: what goes wrong: a ``Fault``, a text as ``"reset@events=20,first=1"``, or several (see ``faults.py``).

    Ears, voice and vad can also be ``auto``: the best that is installed here. That is not the default, and an installed
    package changes nothing by itself, because the same audio shall give the same events on every machine.

    Raises:
        ConfigurationError: a fault's text is wrong; says which part, and what could stand there. Or ears, voice or vad
            are not known, or need a package or program that is not there; says how to install it.

    Threads: every method may be called from any thread.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool | ssl.SSLContext = False,
        brain: Brain | None = None,
        ears: str | Transcriber = "builtin",
        voice: str | Voice = "builtin",
        vad: str = "energy",
        mcp_servers: Iterable[McpServer] = (),
        pace: bool = True,
        dialect: Literal["auto", "ga", "preview"] = "auto",
        api_keys: Collection[str] | None = None,
        refuse_like: Literal["openai", "azure", "auto"] = "auto",
        max_session_seconds: float | None = None,
        rate_limits_first: bool = False,
        obfuscation: bool = True,
        strict_session_type: bool = False,
        ping_interval: float = 20.0,
        models: Collection[str] | None = None,
        max_message_size: int = 32 << 20,
        send_timeout: float = 20.0,
        faults: Iterable[Fault | str] | Fault | str = (),
    ) -> None:
        self._address = (host, port)
        self._last_port = port
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        faults = [faults] if isinstance(faults, str | Fault) else faults
        self._lab = FaultLab(Fault.parse(fault) if isinstance(fault, str) else fault for fault in faults)
        self._ledger = Ledger(time.time, threading.Lock())
        self._entrance = Entrance(
            dialect=dialect, refuse_like=refuse_like, api_keys=api_keys, models=models, ledger=self._ledger
        )
        self._options = _Options(
            brain=ScriptedBrain() if brain is None else brain,
            ears=ears_named(ears),
            voice=voice_named(voice),
            detector=detector_named(vad),
            mcp=McpServers(mcp_servers),
            pace=pace,
            max_session_seconds=max_session_seconds,
            rate_limits_first=rate_limits_first,
            obfuscation=obfuscation,
            strict_session_type=strict_session_type,
            ping_interval=ping_interval,
            max_message_size=max_message_size,
            send_timeout=send_timeout,
        )
        self._changing = threading.Lock()  # start and stop, one at a time
        self._process = os.getpid()
        self._listener: _Listener | None = None
        self._acceptor: threading.Thread | None = None
        self._directory: Path | None = None

    def start(self, *, same_port: bool = False) -> Self:
        """Bind the port and accept connections. Returns when clients can connect; starting twice does nothing.

        ``same_port``: where ``port`` is 0, take the port of the last time again.

        Raises:
            OSError: the address cannot be bound.

        Threads: starts the accepting thread.
        """
        self._options.ears.prepare()
        with self._changing:
            if self._listener is None:
                address = (self._address[0], self._last_port if same_port else self._address[1])
                try:
                    self._listener = _Listener(
                        address, self._entrance, self._ledger, self._options, self._lab, self._tls_context()
                    )
                except BaseException:
                    self._remove_directory()
                    raise
                self._last_port = self._listener.server_port
                self._acceptor = threading.Thread(
                    target=self._listener.accept_until_woken,
                    name=f"rtsync-simulator-accept-{self.port}",
                    daemon=True,
                )
                self._acceptor.start()
                self._process = os.getpid()
        return self

    def stop(self) -> None:
        """End every session with 1001, give back port, descriptors and files. Stopping twice does nothing.

        Threads: blocks less than three seconds; afterwards no thread of the simulator is left, except one whose brain
        does not return. In a forked child nothing happens: port, sessions and files are the parent's.
        """
        if self._process != os.getpid():
            return
        with self._changing:
            self._take_down(politely=True)
            self._remove_directory()

    def crash(self) -> None:
        """Break off, as if the process had been killed: every connection ends without a word.

        ``start(same_port=True)`` brings it back at the same address, with the same certificate and nothing remembered
        of its sessions.

        Threads: as ``stop``.
        """
        with self._changing:
            self._take_down(politely=False)

    def _take_down(self, *, politely: bool) -> None:
        listener, self._listener = self._listener, None
        acceptor, self._acceptor = self._acceptor, None
        if listener is not None and acceptor is not None:
            listener.wake()
            acceptor.join()
            listener.end_connections(politely=politely)
            listener.server_close()

    def strike(self, fault: Fault | Effect | str, *, line: int | None = None) -> int:
        """Let open lines suffer ``fault`` now; returns how many did.

        Args:
            fault: an effect, or a fault without a moment, which may choose lines by their numbers (``each=2``).
            line: the number of the only line that shall suffer; the latest is ``lines``.

        Raises:
            ConfigurationError: the fault has a moment, or answers an upgrade, for which it is too late.

        Threads: any; blocks, where a frame is sent, up to ``send_timeout`` for each line.
        """
        fault = _for_now(fault)
        listener = self._running()
        return sum(
            connection.suffer(fault.what, self._lab)
            for connection in listener.connections()
            if line in (None, connection.number) and fault.concerns(connection.number)
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def host(self) -> str:
        """The address it is bound to."""
        return str(self._running().server_address[0])

    @property
    def port(self) -> int:
        """The port it is bound to."""
        return self._running().server_port

    @property
    def url(self) -> str:
        """The origin for WebSockets: ``ws://127.0.0.1:PORT``, or ``wss:`` with TLS."""
        return f"ws{self._suffix}"

    @property
    def http_url(self) -> str:
        """The origin for HTTP: ``http://127.0.0.1:PORT``, or ``https:`` with TLS."""
        return f"http{self._suffix}"

    @property
    def openai_url(self) -> str:
        """``base_url`` for OpenAI clients."""
        return f"{self.http_url}/v1"

    @property
    def azure_endpoint(self) -> str:
        """Endpoint for Azure OpenAI clients."""
        return self.http_url

    @property
    def ca_file(self) -> Path | None:
        """PEM file of the authority that clients have to trust; None unless started with ``tls=True``."""
        return None if self._directory is None else self._directory / "ca.pem"

    @property
    def lines(self) -> int:
        """How many WebSockets have been asked for so far; the number of the latest line."""
        return self._lab.lines

    @property
    def strikes(self) -> int:
        """How many faults have struck so far, each on each line."""
        return self._lab.strikes

    @property
    def _suffix(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'s' if self._tls else ''}://{host}:{self.port}"

    def _running(self) -> _Listener:
        if self._listener is None:
            raise RuntimeError("the simulator is not running: start() it, or use it in a with statement")
        return self._listener

    def _tls_context(self) -> ssl.SSLContext | None:
        if isinstance(self._tls, ssl.SSLContext):
            return self._tls
        if not self._tls or self._context is not None:
            return self._context
        from rtsync.simulator.certificates import make_certificates  # cryptography is heavy: only when TLS is asked for

        self._directory = Path(tempfile.mkdtemp(prefix="rtsync-simulator-"))
        self._context = make_certificates(self._directory).server_context()
        return self._context

    def _remove_directory(self) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None
        self._context = None

    def __repr__(self) -> str:
        return f"<SimulatorServer {self.url}>" if self._listener else "<SimulatorServer stopped>"


def _for_now(fault: Fault | Effect | str) -> Fault:
    """``fault`` as one that can strike an open line at once."""
    found = Fault.parse(fault) if isinstance(fault, str) else Fault(fault) if isinstance(fault, Effect) else fault
    if found.has_moment:
        raise ConfigurationError(f"fault {str(found)!r}: it strikes now; leave out when")
    if isinstance(found.what, Refuse):
        raise ConfigurationError(f"fault {str(found)!r}: an open line has its upgrade answered")
    return found
