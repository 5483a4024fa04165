"""A TCP relay that breaks what passes through it: `python -m benchmarks.relay --to PORT --seed N --every SECONDS`.

It prints the port where it listens, and when its standard input ends, how often it did what; a line on it makes it
break nothing any more. Every few seconds one live connection is hit; which, how, and at which byte, follows from the
seed (and from when connections come).
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import random
import socket
import struct
import sys
import threading

__all__ = ["FAULTS", "Relay"]

_CHUNK = 16 * 1024
_SILENCE = 8.0  # seconds after which a half-open line is given up here
_PAUSE = 0.4  # seconds of a hiccup that no session may notice
_DRIP = 0.002  # seconds between the bytes of a line that drips
_DRIPPING = 300  # bytes that drip before the rest comes as ever
_FURTHEST = 4000  # bytes, at most, until a cut

FAULTS = ("reset", "end", "cut", "half-open", "pause", "drip", "refuse", "mute")
"""`reset` and `end` at once; `cut` behind some further bytes; `half-open`: nothing passes any more; `pause` and `drip`
pass, slowly; `refuse` resets, and `mute` never answers, the next connections."""


class _Link:
    """One connection through the relay."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.ends = (near, far)
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.left: int | None = None  # Bytes until the cut.
        self.dripping = 0

    def reset(self) -> None:
        """End both sides with a RST."""
        for end in self.ends:
            sock = end.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.transport.abort()

    def end(self) -> None:
        """End both sides with a FIN, as a process does that dies."""
        for end in self.ends:
            end.close()

    async def pass_on(self, data: bytes, to: asyncio.StreamWriter) -> None:
        """Send `data` on, or as much of it as the faults leave."""
        await self.flowing.wait()
        if to.is_closing():
            raise ConnectionResetError
        while self.dripping and data and not to.is_closing():
            self.dripping -= 1
            to.write(data[:1])
            data = data[1:]
            await asyncio.sleep(_DRIP)
        if self.left is not None:
            data, self.left = data[: self.left], self.left - len(data)
        to.write(data)
        await to.drain()
        if self.left is not None and self.left <= 0:
            self.reset()


class Relay:
    """Passes connections on to a port of this machine, and hits one of them every few seconds.

    Args:
        port: where to.
        seed: of the faults.
        every: seconds between two faults, on average.
    """

    def __init__(self, port: int, *, seed: int, every: float) -> None:
        self._to = port
        self._every = every
        self._dice = random.Random(seed)
        self._links: list[_Link] = []
        self._doors: collections.deque[str] = collections.deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._calm = False
        self.done: collections.Counter[str] = collections.Counter()
        """How often it did what; `connections` counts those that were passed on."""

    def stop(self) -> None:
        """Have `run` end."""
        self._over.set()

    def calm(self) -> None:
        """Break nothing any more."""
        self._calm = True
        self._doors.clear()

    async def run(self) -> None:
        """Listen, say where, and break things until stopped."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
        hitting = asyncio.create_task(self._hit_on_and_on())
        await self._over.wait()
        hitting.cancel()
        server.close()
        for link in self._links:
            link.flowing.set()
            link.reset()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_SILENCE)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._doors:
            await self._turn_away(self._doors.popleft(), writer)
            return
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.close()
            return
        self.done["connections"] += 1
        link = _Link(writer, far)
        self._links.append(link)
        await asyncio.gather(self._pump(reader, far, link), self._pump(far_reader, writer, link))
        self._links.remove(link)
        link.end()

    async def _turn_away(self, how: str, writer: asyncio.StreamWriter) -> None:
        self.done[how] += 1
        if how == "mute":
            await self._wait(_SILENCE)
        _Link(writer, writer).reset()

    async def _wait(self, seconds: float) -> None:
        """Sleep, but not beyond the end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: _Link) -> None:
        try:
            while data := await reader.read(_CHUNK):
                await link.pass_on(data, writer)
            writer.write_eof()
        except (OSError, RuntimeError):  # Gone on either side.
            link.end()

    async def _hit_on_and_on(self) -> None:
        while True:
            await asyncio.sleep(self._every * (0.5 + self._dice.random()))
            if self._calm:
                return
            self._hit(self._dice.choice(FAULTS), self._dice.random(), self._dice.randrange(1, _FURTHEST))

    def _hit(self, fault: str, which: float, size: int) -> None:
        if fault in ("refuse", "mute"):
            self._doors.append(fault)  # Counted when somebody comes.
            fault = "reset"
        if not self._links:
            return
        link = self._links[int(which * len(self._links))]
        self.done[fault] += 1
        if fault == "reset":
            link.reset()
        elif fault == "end":
            link.end()
        elif fault == "cut":
            link.left = size
        elif fault == "drip":
            link.dripping = _DRIPPING
        else:
            link.flowing.clear()
            task = asyncio.create_task(self._later(link, fault))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _later(self, link: _Link, fault: str) -> None:
        await self._wait(_PAUSE if fault == "pause" else _SILENCE)
        if fault == "half-open":
            link.reset()
        link.flowing.set()


async def _relay(arguments: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    relay = Relay(arguments.to, seed=arguments.seed, every=arguments.every)

    def follow() -> None:
        for _line in sys.stdin:
            loop.call_soon_threadsafe(relay.calm)
        loop.call_soon_threadsafe(relay.stop)

    threading.Thread(target=follow, daemon=True).start()
    await relay.run()
    print(json.dumps(relay.done), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=3.0)
    asyncio.run(_relay(parser.parse_args()))
