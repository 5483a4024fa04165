"""Conversations over a line that breaks every few seconds: `python -m benchmarks.soak --minutes 30 --seed 1`.

Several sessions, with `reconnect` and `restore="conversation"`, each with threads that ask, stream, call tools, change
the configuration, delete, speak and listen, reach a simulator in another process through a relay in a third one. Each
session's books hold what the service has acknowledged; after each reconnect and at the end they are compared with what
the service says that it holds. It prints a table, and ends with status 1 where anything acknowledged was lost, came
back after it was deleted, is there twice, or where a wait outlived its timeout.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import faulthandler
import gc
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import rtsync
from benchmarks.service import Entry, digest, read_census, who, words
from rtsync import (
    Event,
    RealtimeError,
    RealtimeSession,
    Reconnect,
    Response,
    SessionClosed,
    Simulator,
    Target,
    WaitTimeout,
)
from rtsync.audio.formats import PCM16
from rtsync.simulator.voice import Speaker

__all__ = ["Soak", "main"]

_TIMEOUT = 30.0  # of every wait, in seconds
_SLACK = 5.0  # seconds by which a wait may outlive its timeout on a busy machine
_MOST_ITEMS = 40  # in a conversation; the oldest are deleted
_CHUNK = 4800  # bytes of one append: 100 ms
_PLACES = 15  # in the list of where memory has grown
_SETTLING = 10.0  # seconds in which the last threads have to be gone
_SENTENCE = "This is sentence"
_FAILURES = ("crashed", "hung", "lost", "doubled", "come back", "changed", "out of order", "left")
"""What no soak may count."""

_CONFIG = {
    "output_modalities": ["text"],
    "audio": {
        "input": {
            "transcription": {"model": "gpt-4o-mini-transcribe"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 200},
        }
    },
}


class Tally:
    """Counts, and the waits that are under way. Threads: any."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self.counts: collections.Counter[str] = collections.Counter()
        self.errors: collections.Counter[str] = collections.Counter()
        self.notes: list[str] = []
        self._waits: dict[object, tuple[str, float]] = {}
        self.slowest: tuple[float, str] = (0.0, "none")

    def count(self, what: str, number: int = 1, note: str = "") -> None:
        """Something happened; `note` tells of a failure."""
        with self._changing:
            self.counts[what] += number
            if note:
                self.notes.append(f"{what}: {note}")

    def error(self, error: BaseException) -> None:
        """A call raised."""
        kind, code = type(error).__name__, getattr(error, "code", None) or getattr(error, "status", None)
        with self._changing:
            self.errors[f"{kind} ({code})" if code else kind] += 1

    @contextlib.contextmanager
    def wait(self, what: str, limit: float = _TIMEOUT) -> Iterator[None]:
        """A call that has to be over within `limit`; its errors are counted and end there."""
        key, began = object(), time.monotonic()
        with self._changing:
            self._waits[key] = what, began + limit + _SLACK
        try:
            yield
        except RealtimeError as error:
            self.error(error)
        finally:
            took = time.monotonic() - began
            with self._changing:
                counted = self._waits.pop(key, None) is None
                self.counts[what] += 1
                self.slowest = max(self.slowest, (took, what))
            if took > limit + _SLACK and not counted:
                self.count("hung", note=f"{what} took {took:.0f} s of {limit:g} s")

    def look_for_the_hung(self) -> None:
        """Count the waits that should be over, once each."""
        now = time.monotonic()
        with self._changing:
            late = [key for key, (_what, until) in self._waits.items() if now > until]
            hung = [self._waits.pop(key)[0] for key in late]
        for what in hung:
            self.count("hung", note=f"{what} goes on and on")


class Books:
    """What one session's service has acknowledged, from the events that the program got. Threads: any."""

    def __init__(self, session: RealtimeSession, tally: Tally) -> None:
        self._tally = tally
        self._changing = threading.Lock()
        self._order: list[str] = []
        self._items: dict[str, tuple[str, str]] = {}
        self._deleted: dict[str, int] = {}  # And behind how many lines.
        self._lines: list[str] = []
        self.returned = threading.Event()
        """Set at each `reconnected`, until somebody has compared."""
        session.on("conversation.item.added", self._added)
        session.on("conversation.item.done", self._done)
        session.on("conversation.item.input_audio_transcription.completed", self._heard)
        session.on("conversation.item.deleted", self._gone)
        rtsync.reconnected.connect(self._reconnected, sender=session)

    def close(self, session: RealtimeSession) -> None:
        """Listen no longer."""
        rtsync.reconnected.disconnect(self._reconnected, sender=session)

    def _added(self, _session: RealtimeSession, event: Event) -> None:
        with self._changing:
            if event.item.id not in self._order:
                self._order.append(event.item.id)

    def _done(self, _session: RealtimeSession, event: Event) -> None:
        item = event.to_dict()["item"]
        with self._changing:
            if item["id"] not in self._deleted:
                self._items.setdefault(item["id"], (who(item), words(item)))

    def _heard(self, _session: RealtimeSession, event: Event) -> None:
        with self._changing:
            if event.item_id in self._items:
                self._items[event.item_id] = self._items[event.item_id][0], event.transcript

    def _gone(self, _session: RealtimeSession, event: Event) -> None:
        with self._changing:
            self._deleted[event.item_id] = len(self._lines)
            self._items.pop(event.item_id, None)

    def _reconnected(self, _session: RealtimeSession, lost: tuple[rtsync.Lost, ...], renewed: bool, **_: Any) -> None:
        self._tally.count("renewals" if renewed else "reconnects")
        with self._changing:
            self._lines.append("renewed" if renewed else "reconnected")
            for one in lost:
                if self._items.pop(one.id or "", None) is not None:
                    self._tally.count(f"lost and told: {one.reason}")
        self.returned.set()

    def known(self) -> list[tuple[str, str, str]]:
        """Id, who and words of what is acknowledged now, in the order of the conversation."""
        with self._changing:
            return [(item_id, *self._items[item_id]) for item_id in self._order if item_id in self._items]

    def compare(self, known: list[tuple[str, str, str]], census: list[Entry]) -> None:
        """Count what of `known` the service does not hold as it was acknowledged, or holds twice or again."""
        held = {item_id: (whose, number) for item_id, whose, number in census}
        with self._changing:
            deleted, still, lines = dict(self._deleted), set(self._items), list(self._lines)
        count = self._tally.count
        count("items compared", len(known))
        for item_id, whose, text in known:
            if item_id not in held and item_id in still:
                count("lost", note=f"{whose} {item_id} of {len(known)}")
            elif item_id in held and text and held[item_id] != (whose, digest(text)):
                count("changed", note=f"{whose} {item_id} is {held[item_id]}, was {digest(text)}")
        ids = [entry[0] for entry in census]
        # Two sounds may be heard as the same, and two answers may be.
        said = [entry[1:] for entry in census if entry[1] not in ("assistant", "sound")]
        for twice in _repeated(ids):
            count("doubled", note=f"{twice}")
        for twice in _repeated(said):
            count("doubled", note=f"{twice} as {[entry[0] for entry in census if entry[1:] == twice]}")
        for item_id in deleted.keys() & set(ids):
            count("come back", note=f"{item_id}, since it was deleted: {lines[deleted[item_id] :]}")
        here = [item_id for item_id, _whose, _text in known if item_id in held]
        if here != [item_id for item_id in ids if item_id in set(here)]:
            count("out of order", note=f"{here} is {ids}")


class Conversation:
    """One session after another, each with the threads that use it.

    Args:
        soak: to which it belongs.
        number: of it, from 0.
    """

    def __init__(self, soak: Soak, number: int) -> None:
        self._soak = soak
        self._tally = soak.tally
        self._dice = random.Random(f"{soak.seed}-{number}")
        self._numbers = iter(range(1, 1_000_000_000))
        self._sounds = iter(range(1, 1_000_000_000))
        self._name = f"conversation {number}"
        self._speaks = number % 2 == 1
        self._inline = number % 3 == 2
        self._policy = Reconnect(
            restore="conversation",
            attempts=None,
            first_delay=0.05,
            longest_delay=1.0,
            responses="again" if number % 4 >= 2 else "fail",
        )

    def run(self) -> None:
        """Converse until the soak is over; what raises here is a mistake of rtsync's or of the soak's."""
        try:
            self._run()
        except BaseException as error:
            self._tally.count("crashed", note=f"{self._name}: {error!r}")
            raise

    def _run(self) -> None:
        while not self._soak.over.is_set():
            session = RealtimeSession(
                self._soak.target,
                config=_CONFIG,
                reconnect=self._policy,
                heartbeat=1.0,
                connect_timeout=3.0,
                send_timeout=10.0,
                close_timeout=2.0,
                handlers="inline" if self._inline else "thread",
                tls=self._soak.trust,
            )
            books = Books(session, self._tally)
            with self._tally.wait("open", 3.0):
                session.open()
            if session.state == "open":
                self._tally.count("sessions")
                self._use(session, books)
            with self._tally.wait("close", 2.0):
                session.close()
            books.close(session)

    def _use(self, session: RealtimeSession, books: Books) -> None:
        helpers = [threading.Thread(target=self._listen, args=(session,), name=f"{self._name}, listener")]
        if self._speaks:
            helpers.append(threading.Thread(target=self._speak, args=(session,), name=f"{self._name}, speaker"))
        for helper in helpers:
            helper.start()
        while not self._soak.over.is_set() and session.state != "closed":
            if books.returned.is_set() or self._dice.random() < 0.1:
                self._take_census(session, books)
            deed = self._dice.choice(self._deeds(books))
            with self._tally.wait(deed.__name__.strip("_")):
                deed(session, books)
            if deed == self._leave:
                break
        if session.state == "closed":
            self._tally.count("sessions that ended by themselves")
        else:
            self._take_census(session, books)
            session.close()
        for helper in helpers:
            helper.join(2 * _TIMEOUT)
            if helper.is_alive():
                self._tally.count("hung", note=helper.name)

    # -- what is done -------------------------------------------------------------------------------------------------

    def _deeds(self, books: Books) -> list[Callable[[RealtimeSession, Books], object]]:
        if len(books.known()) > _MOST_ITEMS:
            return [self._delete]
        common = [self._ask, self._stream, self._call_tool, self._configure, self._retrieve]
        return [*common * 6, self._delete, self._cancel, self._cancel, self._leave]

    def _said(self) -> str:
        return f"{_SENTENCE} {next(self._numbers)} of {self._name}."

    def _ask(self, session: RealtimeSession, _books: Books) -> None:
        session.ask(self._said(), timeout=_TIMEOUT)

    def _stream(self, session: RealtimeSession, _books: Books) -> None:
        content = [{"type": "input_text", "text": self._said()}]
        session.add_item({"type": "message", "role": "user", "content": content}, timeout=_TIMEOUT / 3)
        response = session.respond(timeout=_TIMEOUT / 3)
        heard = "".join(response.text_deltas(timeout=_TIMEOUT / 3))
        if response.status == "completed" and heard != response.text:
            self._tally.count("changed", note=f"{response.id} was streamed otherwise")

    def _call_tool(self, session: RealtimeSession, _books: Books) -> None:
        call_id = f"call_{os.urandom(6).hex()}"
        call = {
            "type": "function_call",
            "call_id": call_id,
            "name": "look",
            "arguments": json.dumps({"at": self._said()}),
        }
        session.add_item(call, timeout=_TIMEOUT / 2)
        output = {"type": "function_call_output", "call_id": call_id, "output": self._said()}
        session.add_item(output, timeout=_TIMEOUT / 2)

    def _configure(self, session: RealtimeSession, _books: Books) -> None:
        instructions = self._said()
        updated = session.update(instructions=instructions, timeout=_TIMEOUT)
        if updated.session.instructions != instructions:
            self._tally.count("changed", note="an update confirms other instructions")

    def _retrieve(self, session: RealtimeSession, books: Books) -> None:
        known = books.known()
        if known:
            item_id, _whose, text = self._dice.choice(known)
            found = session.retrieve_item(item_id, timeout=_TIMEOUT).to_dict()["item"]
            if text and words(found) != text:
                self._tally.count("changed", note=f"{item_id} was retrieved otherwise")

    def _delete(self, session: RealtimeSession, books: Books) -> None:
        known = books.known()
        if known:
            session.delete_item(known[0][0], timeout=_TIMEOUT)

    def _cancel(self, session: RealtimeSession, _books: Books) -> None:
        response = session.respond(timeout=_TIMEOUT / 2)
        response.cancel(timeout=_TIMEOUT / 2)

    def _leave(self, _session: RealtimeSession, _books: Books) -> None:
        """Close it, and begin another one."""

    def _take_census(self, session: RealtimeSession, books: Books) -> None:
        """Ask the service what it holds, until it has said so on one line."""
        while session.state != "closed":
            books.returned.clear()
            known = books.known()
            with self._tally.wait("census"):
                response = session.respond(
                    conversation="none", output_modalities=["text"], metadata={"census": "1"}, timeout=_TIMEOUT / 2
                )
                response.wait(_TIMEOUT / 2)
                if not books.returned.is_set():
                    self._compare(response, known, books)
                    return

    def _compare(self, response: Response, known: list[tuple[str, str, str]], books: Books) -> None:
        try:
            census = read_census(response.text)
        except ValueError:
            self._tally.count("changed", note=f"the census {response!r} says {response.text[:60]!r}")
        else:
            books.compare(known, census)

    # -- beside it ----------------------------------------------------------------------------------------------------

    def _listen(self, session: RealtimeSession) -> None:
        """Count events as they come, until the session ends."""
        try:
            with session.events(timeout=1.0) as events:
                while True:
                    try:
                        next(events)
                        self._tally.count("events")
                    except WaitTimeout:
                        continue
                    except StopIteration:
                        return
        except SessionClosed as error:
            self._tally.error(error)

    def _speak(self, session: RealtimeSession) -> None:
        """Say something now and then; voice detection makes turns of it."""
        speaker = Speaker("ash", form=PCM16)
        while not self._soak.over.is_set() and session.state not in ("closing", "closed"):
            sound = speaker.say(f"sound {next(self._sounds)}") + bytes(2 * 24 * 400)
            with self._tally.wait("utterance", _TIMEOUT * 2):
                for start in range(0, len(sound), _CHUNK):
                    session.append_audio(sound[start : start + _CHUNK], timeout=_TIMEOUT)
            self._soak.over.wait(1.0 + self._dice.random())


class Soak:
    """The whole of it.

    Args:
        seed: of everything random.
        sessions: how many at a time.
        every: seconds between two faults.
        life: seconds after which the service ends a session, unless it is renewed.
        tls: whether all that goes over TLS.
        dialect: that sessions speak, `ga` or `preview`.
    """

    def __init__(
        self, *, seed: int, sessions: int, every: float, life: float, tls: bool, dialect: Literal["ga", "preview"]
    ) -> None:
        self.seed = seed
        self.over = threading.Event()
        self.tally = Tally()
        self.target: Target
        self.trust: str | None = None
        self.measured: list[dict[str, float]] = []
        self._grown: list[str] = []
        self._sessions = sessions
        self._every = every
        self._life = life
        self._tls = tls
        self._dialect = dialect

    def run(self, seconds: float, interval: float, say: Callable[[str], object] = print) -> bool:
        """Soak for so long, and measure at each interval; returns whether all is well."""
        secure = ("--tls",) if self._tls else ()
        with _program("benchmarks.service", "--life", str(self._life), "--seed", str(self.seed), *secure) as service:
            options = ("--to", str(service.port), "--seed", str(self.seed), "--every", str(self._every))
            with _program("benchmarks.relay", *options) as relay:
                # A simulator is known to echo metadata, as the services are.
                address = f"{'wss' if self._tls else 'ws'}://127.0.0.1:{relay.port}"
                self.target = Simulator(dialect=self._dialect).at(address)
                self.trust = service.started["ca"] if self._tls else None
                self._converse(seconds, interval, say, relay)
            faults = relay.said
        for line in self._table(faults):
            say(line)
        return self.tally.counts["items compared"] > 0 and not any(self.tally.counts[name] for name in _FAILURES)

    def _converse(self, seconds: float, interval: float, say: Callable[[str], object], relay: _Program) -> None:
        began, before = time.monotonic(), _measured()
        threads = [
            threading.Thread(target=Conversation(self, number).run, name=f"conversation {number}")
            for number in range(self._sessions)
        ]
        for thread in threads:
            thread.start()
        first: tracemalloc.Snapshot | None = None
        while (left := began + seconds - time.monotonic()) > 0:
            time.sleep(min(left, interval))
            self.tally.look_for_the_hung()
            self.measured.append({"seconds": time.monotonic() - began, **_measured()})
            say(_row(self.measured[-1], self.tally))
            if first is None and tracemalloc.is_tracing():
                first = tracemalloc.take_snapshot()
        self._grown = _grown(first)
        relay.tell("calm")  # What is there at the end is to be seen.
        self.over.set()
        deadline = time.monotonic() + 4 * _TIMEOUT
        while any(thread.is_alive() for thread in threads) and time.monotonic() < deadline:
            time.sleep(0.1)
            self.tally.look_for_the_hung()
        for thread in threads:
            if thread.is_alive():
                self.tally.count("hung", note=f"{thread.name} did not end")
                faulthandler.dump_traceback()
        self._look_what_is_left(before)

    def _look_what_is_left(self, before: dict[str, float]) -> None:
        deadline = time.monotonic() + _SETTLING
        while time.monotonic() < deadline and not _is_gone(before):
            time.sleep(0.05)
        if not _is_gone(before):
            names = [thread.name for thread in threading.enumerate()]
            self.tally.count("left", note=f"{_measured()} after {before}, threads {names}")

    def _table(self, faults: dict[str, int]) -> list[str]:
        counts = self.tally.counts
        failed = {name: counts.pop(name, 0) for name in _FAILURES}
        lines = [
            "",
            *_listed("done", counts),
            "",
            *_listed("faults", faults),
            "",
            *_listed("raised", self.tally.errors),
        ]
        took, what = self.tally.slowest
        lines += [
            "",
            f"{'longest wait':58}{took:10.2f} s ({what})",
            "",
            *_listed("must be 0", failed),
            *self.tally.notes,
            *self._grown,
        ]
        counts.update(failed)
        return lines


# -- programs ---------------------------------------------------------------------------------------------------------


class _Program:
    """A process that prints its port first, and what it has to say when its standard input ends."""

    def __init__(self, module: str, options: tuple[str, ...]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[1],
        )
        assert self._process.stdout is not None
        self.started: dict[str, Any] = json.loads(self._process.stdout.readline())
        self.port: int = self.started["port"]
        self.said: dict[str, int] = {}

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)

    def stop(self) -> None:
        """End it, and keep what it has said."""
        output, _ = self._process.communicate(timeout=_TIMEOUT)
        self.said = json.loads(output) if output else {}


@contextlib.contextmanager
def _program(module: str, *options: str) -> Iterator[_Program]:
    program = _Program(module, options)
    try:
        yield program
    finally:
        program.stop()


# -- figures ----------------------------------------------------------------------------------------------------------


def _measured() -> dict[str, float]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "RSS MiB": pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20),
        "traced MiB": tracemalloc.get_traced_memory()[0] / (1 << 20),
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")),
    }


def _grown(first: tracemalloc.Snapshot | None) -> list[str]:
    """Where most memory is that was not there at the first look, while everything still runs."""
    if first is None:
        return []
    differences = tracemalloc.take_snapshot().compare_to(first, "lineno")
    return ["", "-- grown --", *(str(found) for found in differences[:_PLACES])]


def _is_gone(before: dict[str, float]) -> bool:
    now = _measured()
    return all(now[name] <= before[name] for name in ("threads", "descriptors"))


def _row(measured: dict[str, float], tally: Tally) -> str:
    shown = {**measured, **{name: tally.counts[name] for name in ("reconnects", "renewals", "events", "lost", "hung")}}
    return "  ".join(
        f"{name} {value:.1f}" if isinstance(value, float) else f"{name} {value}" for name, value in shown.items()
    )


def _repeated(found: list[Any]) -> list[Any]:
    return [one for one, times in collections.Counter(found).items() if times > 1]


def _listed(title: str, counts: dict[str, int]) -> list[str]:
    return [f"-- {title} --", *(f"{name:58}{counts[name]:10}" for name in sorted(counts))]


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long")
    parser.add_argument("--seed", type=int, default=1, help="of everything random")
    parser.add_argument("--sessions", type=int, default=4, help="how many at a time")
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two faults, on average")
    parser.add_argument("--life", type=float, default=10.0, help="seconds after which the service ends a session")
    parser.add_argument("--interval", type=float, default=30.0, help="seconds between two rows of figures")
    parser.add_argument("--tls", action="store_true", help="over TLS")
    parser.add_argument("--dialect", choices=("ga", "preview"), default="ga", help="what sessions speak")
    parser.add_argument("--trace", action="store_true", help="count the memory of Python's objects, which costs time")
    given = parser.parse_args(arguments)
    if hasattr(faulthandler, "register"):  # kill -USR1 shows where everybody stands.
        faulthandler.register(signal.SIGUSR1)
    if given.trace:
        tracemalloc.start()
    soak = Soak(
        seed=given.seed,
        sessions=given.sessions,
        every=given.every,
        life=given.life,
        tls=given.tls,
        dialect=given.dialect,
    )
    well = soak.run(given.minutes * 60, given.interval)
    print("\nnothing lost, nobody hung" if well else "\nFAILED")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
