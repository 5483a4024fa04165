"""A program whose main thread is interrupted by signals in the middle of its sends; prints what became of them.

Run as `python -m tests.line.interrupted blocked|storm ws|wss FOLDER`. It is a program of its own because a lock that
is left held, or a signal that lands elsewhere, would take the whole test run with it.
"""

from __future__ import annotations

import faulthandler
import json
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from rtsync.edges import guard as guard_module
from rtsync.edges.guard import LineBroken
from tests.line.recorder import RecordedLine, serve
from tests.loopback import CLOSE, LIMIT, TEXT, Certificates, Peer, PeerGone

ROUNDS = 14
INTERRUPTS = 2000
_SECONDS = 12.0
_BUFFER = 65536  # Soon full, and still wide enough to be read empty in no time.


def _interrupt(_number: int, frame: FrameType | None) -> None:
    """Raise as Ctrl+C does, but only inside of `sendall`: anywhere else it would hit this program, not the line."""
    while frame is not None:
        if frame.f_code is guard_module.GuardedSocket.sendall.__code__:
            raise KeyboardInterrupt
        frame = frame.f_back


def _ring(client: RecordedLine, reading: Peer | None) -> None:
    """Interrupt the main thread once its send stands still, or as soon as the peer reads on."""
    client.wait_blocked()
    if reading is not None:
        reading.release()
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)


class Reader:
    """A script that reads frames once released: their numbers, in the order in which they came."""

    def __init__(self, *, narrow: bool) -> None:
        self._narrow = narrow
        self.numbers: list[list[int]] = []
        self.complaints: list[str] = []

    def __call__(self, peer: Peer) -> None:
        numbers: list[int] = []
        self.numbers.append(numbers)
        if self._narrow:
            peer.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        peer.accept()
        if self._narrow:
            peer.wait_until_released()
        try:
            while True:
                op, payload = peer.recv_frame()
                if op == CLOSE:
                    peer.send_frame(CLOSE, payload)
                    return
                self._note(op, payload, numbers)
        except PeerGone:
            return
        except Exception as error:
            self.complaints.append(f"not a frame: {error!r}")

    def _note(self, op: int, payload: bytes, numbers: list[int]) -> None:
        number, _, rest = payload.partition(b" ")
        if op != TEXT or not number.isdigit() or rest.strip(b"x"):
            self.complaints.append(f"op {op}, {len(payload)} bytes, {payload[:20]!r}")
        else:
            numbers.append(int(number))


def _later_send(client: RecordedLine, text: str) -> str:
    """What becomes of a send in another thread: it must neither hang nor follow half a frame."""
    outcome = ["it hangs"]

    def send() -> None:
        try:
            client.line.send(text, timeout=LIMIT)
            outcome[0] = "sent"
        except LineBroken:
            outcome[0] = "refused"

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(LIMIT)
    return outcome[0]


def blocked(certificates: Certificates | None) -> dict[str, object]:
    """Interrupt a send that stands in the middle of its frame, at a peer that does not read."""
    reader = Reader(narrow=True)
    server, options = serve(reader, certificates)
    outcomes: list[str] = []
    interrupted = 0
    with server:
        for number in range(ROUNDS):
            with RecordedLine(server.url, heartbeat=None, send_timeout=LIMIT, **options) as client:
                inner = client.wait_open().line._guard
                assert inner is not None
                assert isinstance(inner._sock, socket.socket)
                inner._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
                # Every other time the peer reads on, so that the signal meets a send that moves.
                alarm = threading.Thread(target=_ring, args=(client, server.peers[-1] if number % 2 else None))
                alarm.start()
                try:
                    client.line.send("1 " + "x" * 1_000_000)
                except KeyboardInterrupt:
                    interrupted += 1
                alarm.join()
                outcomes.append(_later_send(client, "2 x"))
                server.peers[-1].release()
                client.wait_ending()
            server.peers[-1].finished.wait(LIMIT)
    received = sum(map(len, reader.numbers))
    return {
        "interrupted": interrupted,
        "outcomes": sorted(set(outcomes)),
        "received": received,
        "complaints": reader.complaints[:5],
    }


def storm(certificates: Certificates | None) -> dict[str, object]:
    """Interrupt sends that do not wait for the peer, thousands of times, anywhere in them."""
    reader = Reader(narrow=False)
    server, options = serve(reader, certificates)
    outcomes: list[str] = []
    interrupted = number = lines = 0
    most = 300 if certificates is None else 50_000  # Over TLS in up to four records, between which it may land too.
    end = time.monotonic() + _SECONDS
    with server:
        while interrupted < INTERRUPTS and time.monotonic() < end:
            lines += 1
            with RecordedLine(server.url, heartbeat=None, send_timeout=LIMIT, **options) as client:
                client.wait_open()
                signal.setitimer(signal.ITIMER_REAL, 0.0004, 0.0004)
                try:
                    while interrupted < INTERRUPTS and time.monotonic() < end:
                        number += 1
                        try:
                            client.line.send(f"{number} " + "x" * (number * 37 % most))
                        except KeyboardInterrupt:
                            interrupted += 1
                except LineBroken:
                    pass
                signal.setitimer(signal.ITIMER_REAL, 0)
                number += 1
                outcomes.append(_later_send(client, f"{number} last"[:-4]))
                client.line.close(timeout=LIMIT)
            server.peers[-1].finished.wait(LIMIT)
    ordered = all(numbers == sorted(set(numbers)) for numbers in reader.numbers)
    return {
        "interrupted": interrupted,
        "outcomes": sorted(set(outcomes)),
        "lines": lines,
        "ordered": ordered,
        "complaints": reader.complaints[:5],
    }


def main() -> None:
    """Run one of the two and print its result as JSON."""
    faulthandler.enable()
    faulthandler.dump_traceback_later(50, exit=True)
    signal.signal(signal.SIGALRM, _interrupt)
    certificates = Certificates(Path(sys.argv[3])) if sys.argv[2] == "wss" else None
    print(json.dumps({"blocked": blocked, "storm": storm}[sys.argv[1]](certificates)))


if __name__ == "__main__":
    main()
