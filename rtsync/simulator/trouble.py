"""Where faults strike: one line's trouble, and the lab that deals it out.

Theory
------
1. A line without a fault knows nothing of this room. ``Trouble`` puts itself in the place of the callables that a line
   leaves for it, when the connection begins or when ``strike`` asks for it, and stays.
2. Bytes go *front*, then *counted*, then to the kernel. The front is what the line suffers now: nothing (straight to
   counted), a pump that lets bytes out late or slowly on a thread of its own, or a hole. What is counted is what the
   network has let through, so that byte n is byte n on a slow line, too.
3. Effects on the line itself take no lock: they strike in the middle of a write, whoever writes. Those that send frames
   take the line's turn, as every sender does, so that their frames stand between others.
4. Moments: bytes are counted where they are written, events where they are said, and seconds by the reading thread,
   which looks at the clock for the line anyway.
5. A line that reads nothing is not asked for pongs, and waits for its end alone.
"""

from __future__ import annotations

import bisect
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import singledispatchmethod

import msgspec

from rtsync.simulator.faults import (
    Close,
    Drip,
    Duplicate,
    Effect,
    End,
    Error,
    EventEffect,
    Expire,
    Fault,
    Lose,
    Reorder,
    Reset,
    Split,
    Stall,
    Wrong,
)
from rtsync.simulator.frames import TEXT, close_frame, fragments, wrong_frame
from rtsync.simulator.ids import new_id
from rtsync.simulator.line import GuardedSocket, Line
from rtsync.simulator.refusals import EXPIRED, Refused, error_event
from rtsync.vocabulary.events import encode

__all__ = ["FaultLab", "Trouble", "stop_at_the_door"]

log = logging.getLogger("rtsync.simulator")

_FOR_EVER = float("inf")
_ROOM = 1 << 16  # bytes that a pump holds before its writers wait
_TICKS = 20  # a second, in which a slow line lets bytes out
_NEIGHBOUR_SECONDS = 0.5
_DRAIN_SECONDS = 1.0
_GOING_AWAY = 1001

Write = Callable[[memoryview], None]


class FaultLab:
    """The faults of a server, and what has come of them.

    Threads: every method may be called from any thread.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        self._counting = threading.Lock()  # the two counts
        self.lines = 0
        """Upgrades asked for so far."""
        self.strikes = 0
        """Faults that have struck so far."""
        self._arrivals = 0

    def next_line(self) -> tuple[int, list[Fault]]:
        """The number of a new line, and the faults that it will suffer."""
        with self._counting:
            self.lines = number = self.lines + 1
        return number, [fault for fault in self.faults if not fault.accept and fault.concerns(number)]

    def at_the_door(self) -> list[Fault]:
        """The faults that a new TCP connection suffers before anything is read."""
        if not any(fault.accept for fault in self.faults):
            return []
        with self._counting:
            self._arrivals = number = self._arrivals + 1
        return [fault for fault in self.faults if fault.accept and fault.concerns(number)]

    def note(self, effect: Effect, line: int | None) -> None:
        """Count a strike and log it."""
        with self._counting:
            self.strikes += 1
        log.info("%s suffers: %s", "a connection" if line is None else f"line {line}", effect)


def stop_at_the_door(effect: Effect, guarded: GuardedSocket) -> bool:
    """Do to a connection what it has to suffer before anything is read; whether it was the end.

    Threads: blocks as long as the effect lasts, or until the peer is gone.
    """
    if isinstance(effect, Stall):
        return guarded.wait_for_end(effect.lasting)
    if isinstance(effect, Reset):
        guarded.reset()
    elif isinstance(effect, End):
        guarded.end_stream(notify=effect.notify)
        guarded.linger(_DRAIN_SECONDS)
    return True


class _Typed(msgspec.Struct):
    type: str


@dataclass
class _Awaited:
    """A fault that waits for an event."""

    fault: Fault
    seen: int = 0

    def meets(self, number: int, text: str) -> bool:
        """Whether this event, the line's ``number``-th, is the one."""
        if self.fault.on is None:
            return self.fault.events == number
        self.seen += msgspec.json.decode(text, type=_Typed).type == self.fault.on
        return self.seen == self.fault.nth


@dataclass
class _Timed:
    """A fault that waits for the clock."""

    fault: Fault
    delays: Iterator[float]
    due: float


def _offset(cut: tuple[int, Fault]) -> int:
    return cut[0]


class Trouble:
    """What one line suffers, and when.

    Args:
        guarded: its socket, before the upgrade is answered.
        number: the line's.
        faults: that concern it.
        lab: where strikes are noted.

    Threads: ``suffer`` may be called from any thread; the rest belongs to the line's own.
    """

    def __init__(self, guarded: GuardedSocket, number: int, faults: Iterable[Fault], lab: FaultLab) -> None:
        self.number = number
        self._guarded = guarded
        self._lab = lab
        faults = list(faults)
        cuts = [(fault.bytes, fault) for fault in faults if fault.bytes is not None]
        self._planning = threading.Lock()  # the cuts
        self._cuts = sorted(cuts, key=_offset)
        self._timed = [fault for fault in faults if fault.seconds is not None or fault.every is not None]
        self._awaited = [_Awaited(fault) for fault in faults if fault.on is not None or fault.events]
        self._at_once = [fault for fault in faults if not fault.has_moment or fault.events == 0]
        self._accepted = 0  # bytes that the front was given
        self._counted = 0  # bytes that have left it
        self._front: Write = self._count
        self._ending = threading.Lock()  # a line that is over gets no pump
        self._pump: _Pump | None = None
        self._over = False
        self._deaf_until = 0.0
        self._clock: list[_Timed] = []
        self._speech = _Speech(number)
        self._inside: list[Fault] = []
        self._events = 0
        self._take_over()

    def _take_over(self) -> None:
        self._guarded.write = self._write
        self._guarded.may_read = self._may_read
        self._cut(0)

    def watch(self, line: Line) -> None:
        """The upgrade is answered: events and time begin."""
        self._line = line
        self._speech.begin(line)
        line.say = self._say
        self._line_wake, self._line_on_wake = self._guarded.next_wake, self._guarded.on_wake
        self._guarded.next_wake, self._guarded.on_wake = self._next_wake, self._on_wake
        now = time.monotonic()
        for fault in self._timed:
            delays = fault.delays(self.number)
            self._clock.append(_Timed(fault, delays, now + next(delays)))
        for fault in self._at_once:
            self.suffer(fault.what)

    def suffer(self, effect: Effect) -> None:
        """Strike, now. Blocks, where frames are sent, as long as a send does. A line that is gone suffers no more."""
        if self._guarded.gone:
            return
        self._lab.note(effect, self.number)
        with contextlib.suppress(OSError):
            self._strike(effect)

    def end(self) -> None:
        """The line is over: let out what the pump holds, within a second, and end the threads."""
        with self._ending:
            self._over = True
        self._speech.end()
        if self._pump is not None:
            self._pump.end(0.0 if self._guarded.gone else _DRAIN_SECONDS)

    # -- bytes --------------------------------------------------------------------------------------------------

    def _write(self, data: memoryview) -> None:
        if self._inside and data[0] & 0x0F == TEXT:
            with self._planning:
                for fault in self._inside:
                    bisect.insort(self._cuts, (self._accepted + min(fault.inside or 0, len(data)), fault), key=_offset)
            self._inside = []
        self._accepted += len(data)
        self._front(data)

    def _count(self, data: memoryview) -> None:
        """Let ``data`` through up to the byte at which a fault strikes, and the rest where it then goes."""
        while (offset := self._next_cut()) is not None and (room := offset - self._counted) <= len(data):
            self._let_through(data[:room])
            data = data[room:]
            self._cut(offset)
            if self._front != self._count:
                self._front(data)
                return
        self._let_through(data)

    def _cut(self, offset: int) -> None:
        """Strike with the faults that wait for this byte."""
        while self._next_cut() == offset:
            with self._planning:
                _, fault = self._cuts.pop(0)
            self.suffer(fault.what)

    def _next_cut(self) -> int | None:
        with self._planning:
            return self._cuts[0][0] if self._cuts else None

    def _let_through(self, data: memoryview) -> None:
        if data:
            self._guarded.write_through(data)
            self._counted += len(data)

    def _swallow(self, data: memoryview) -> None:
        """Where bytes go on a line that sends nothing."""

    def _fail(self, data: memoryview) -> None:
        raise ConnectionResetError("the fault lab has reset the connection")

    def _pumped(self) -> _Pump:
        """The pump, which everything goes through from now on."""
        with self._ending:
            if self._over or self._front in (self._swallow, self._fail):
                raise ConnectionError("nothing gets through any more")
            if self._pump is None:
                self._pump = _Pump(self._count, self._guarded, self.number)
        self._front = self._pump.write
        return self._pump

    def _hold_back(self, front: Write) -> None:
        """Nothing more gets through, not even what a pump still holds."""
        self._front = front
        if self._pump is not None:
            self._pump.stop()

    # -- reading and the clock ----------------------------------------------------------------------------------

    def _may_read(self, wait: float | None) -> bool:
        left = self._deaf_until - time.monotonic()
        if left <= 0:
            return True
        if left != _FOR_EVER:
            wait = left if wait is None else min(wait, left)
        if self._guarded.wait_for_end(wait):
            self._guarded.abort()
        return False

    @property
    def _deaf(self) -> bool:
        return self._deaf_until > time.monotonic()

    def _next_wake(self) -> float | None:
        wakes = [max(0.0, timed.due - time.monotonic()) for timed in self._clock]
        line = None if self._deaf else self._line_wake()
        return min([*wakes, *([] if line is None else [line])], default=None)

    def _on_wake(self) -> bool:
        now = time.monotonic()
        for timed in [each for each in self._clock if each.due <= now]:
            delay = next(timed.delays, None)
            if delay is None:
                self._clock.remove(timed)
            else:
                timed.due = now + delay
            self.suffer(timed.fault.what)
        return self._deaf or self._line_on_wake()

    # -- events -------------------------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        self._events += 1
        met = [awaited for awaited in self._awaited if awaited.meets(self._events, text)]
        for awaited in met:
            self._awaited.remove(awaited)
            if isinstance(awaited.fault.what, EventEffect):
                self.suffer(awaited.fault.what)
        self._inside = [awaited.fault for awaited in met if awaited.fault.inside is not None]
        self._speech.say(text)
        for awaited in met:
            if not isinstance(awaited.fault.what, EventEffect) and awaited.fault.inside is None:
                self.suffer(awaited.fault.what)

    # -- effects ------------------------------------------------------------------------------------------------

    @singledispatchmethod
    def _strike(self, effect: Effect) -> None:
        raise TypeError(f"{effect} does not strike an open line")

    @_strike.register
    def _(self, effect: Reset) -> None:
        self._hold_back(self._fail)
        self._guarded.reset()

    @_strike.register
    def _(self, effect: End) -> None:
        self._hold_back(self._swallow)
        self._guarded.end_stream(notify=effect.notify)

    @_strike.register
    def _(self, effect: Stall) -> None:
        if effect.side != "writes":
            until = _FOR_EVER if effect.lasting is None else time.monotonic() + effect.lasting
            self._deaf_until = max(self._deaf_until, until)
            if effect.lasting is None:
                self._guarded.narrow()
        if effect.side == "reads":
            return
        if effect.lasting is None:
            self._hold_back(self._swallow)
        else:
            self._pumped().pause(effect.lasting)

    @_strike.register
    def _(self, effect: Drip) -> None:
        self._pumped().slow_down(effect.rate)

    @_strike.register
    def _(self, effect: Close) -> None:
        self._line.end_with(close_frame(effect.code, effect.reason))
        self._front = self._swallow  # nothing may follow a close frame

    @_strike.register
    def _(self, effect: Error) -> None:
        refused = Refused(effect.code, effect.message, kind=effect.kind)
        reason = f"{effect.kind}.{effect.code}" if effect.code else effect.kind
        self._say_error(refused, effect.close, reason)

    @_strike.register
    def _(self, effect: Expire) -> None:
        message = EXPIRED.format(minutes=effect.minutes)
        self._say_error(Refused("session_expired", message), _GOING_AWAY, message)

    def _say_error(self, refused: Refused, close: int | None, reason: str) -> None:
        event = error_event(refused)
        self._line.send(encode({"type": event["type"], "event_id": new_id("event"), **event}).decode())
        if close is not None:
            self._strike(Close(close, reason))

    @_strike.register
    def _(self, effect: Wrong) -> None:
        self._line.send_frames(wrong_frame(effect.frame, effect.size))

    @_strike.register
    def _(self, effect: Duplicate) -> None:
        self._speech.doubling += effect.count

    @_strike.register
    def _(self, effect: Reorder) -> None:
        self._speech.swapping += effect.count

    @_strike.register
    def _(self, effect: Lose) -> None:
        self._speech.losing += effect.count

    @_strike.register
    def _(self, effect: Split) -> None:
        self._speech.splitting = effect.size


class _Speech:
    """Events on their way to become messages: lost, doubled, swapped, in fragments."""

    def __init__(self, number: int) -> None:
        self.losing = self.doubling = self.swapping = 0
        self.splitting: int | None = None
        self._number = number
        self._kept: list[str] = []  # what waits for its neighbour, to go out behind it; under the line's turn
        self._late: threading.Timer | None = None

    def begin(self, line: Line) -> None:
        self._line = line

    def say(self, text: str) -> None:
        """Send ``text``, or not, or twice, or later. The line's turn is held."""
        if self.losing:
            self.losing -= 1
            return
        texts = [text, text] if self.doubling else [text]
        self.doubling -= bool(self.doubling)
        if self.swapping and not self._kept:
            self.swapping -= 1
            self._keep(texts)
        else:
            self._utter([*texts, *self._kept])
            self._kept = []

    def _utter(self, texts: Iterable[str]) -> None:
        for text in texts:
            if self.splitting is None:
                self._line.send_plain(text)
            else:
                self._line.send_frames(fragments(text, self.splitting))

    def _keep(self, texts: list[str]) -> None:
        self._kept = texts
        self._late = threading.Timer(_NEIGHBOUR_SECONDS, self._let_go, args=[texts])
        self._late.name = f"rtsync-simulator-neighbour-{self._number}"
        self._late.daemon = True
        self._late.start()

    def _let_go(self, texts: list[str]) -> None:
        with self._line.turn:
            if self._kept is texts:
                self._utter(texts)
                self._kept = []

    def end(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late.join()


class _Pump:
    """Lets bytes out late or slowly, on a thread of its own: a slow network.

    Args:
        out: what it gives the bytes to.
        guarded: the socket, given up when ``out`` fails.
        number: the line's.
    """

    def __init__(self, out: Write, guarded: GuardedSocket, number: int) -> None:
        self._out = out
        self._guarded = guarded
        self._changed = threading.Condition()  # everything below
        self._held = bytearray()
        self._rate: int | None = None
        self._due = time.monotonic()
        self._busy = False
        self._over = False
        self._thread = threading.Thread(target=self._run, name=f"rtsync-simulator-pump-{number}", daemon=True)
        self._thread.start()

    def slow_down(self, rate: int) -> None:
        """From now on only ``rate`` bytes a second."""
        with self._changed:
            self._rate = rate
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Nothing for so long."""
        with self._changed:
            self._due = max(self._due, time.monotonic() + seconds)

    def write(self, data: memoryview) -> None:
        """Take ``data``. Waits, as for a kernel, where too much is held already."""
        with self._changed:
            if threading.current_thread() is self._thread:  # what it was about to let out
                self._held[:0] = data
                return
            if not self._changed.wait_for(self._has_room, self._guarded.send_timeout):
                raise TimeoutError("the peer does not read, or not fast enough")
            if self._over:
                raise ConnectionError("the connection was given up")
            self._held += data
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return self._over or len(self._held) < _ROOM

    def _run(self) -> None:
        try:
            while chunk := self._next():
                self._out(memoryview(chunk))
        except OSError:
            self._guarded.abort()
            self.stop()

    def _next(self) -> bytes:
        """What is due, once it is; empty at the end."""
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            while not self._over:
                pause = self._due - time.monotonic()
                if self._held and pause <= 0:
                    return self._take()
                self._changed.wait(pause if self._held else None)
            return b""

    def _take(self) -> bytes:
        size = len(self._held) if self._rate is None else max(1, self._rate // _TICKS)
        chunk = bytes(self._held[:size])
        del self._held[:size]
        self._due = time.monotonic() + (len(chunk) / self._rate if self._rate else 0.0)
        self._busy = True
        return chunk

    def stop(self) -> None:
        """Let nothing more out. From any thread."""
        with self._changed:
            self._over = True
            self._held.clear()
            self._changed.notify_all()

    def end(self, timeout: float) -> None:
        """Let out what is held, for at most ``timeout`` seconds, and end the thread."""
        with self._changed:
            done = self._changed.wait_for(lambda: self._over or not (self._held or self._busy), timeout)
        if not done:
            self._guarded.abort()  # it may be waiting for a peer that does not read
        self.stop()
        self._thread.join()
