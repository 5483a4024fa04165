"""The simulator in a process of its own, whose brain can say what it holds: `python -m benchmarks.service`.

It is `rtsync serve --fault ...` but for that: a response whose metadata has `census` lists the items of the
conversation, so that the soak can compare what it was promised with what is there. It ends with its standard input.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from rtsync.simulator import Fault, ScriptedBrain, SimulatorServer
from rtsync.simulator.brains import Piece, Turn

__all__ = ["FAULTS", "Entry", "digest", "read_census", "who", "words"]

Entry = tuple[str, str, int]
"""Id, who or what, and digest of the words of one item."""

FAULTS = (
    "refuse=503,retry_after=1@chance=0.05",
    "refuse=429,retry_after=1@chance=0.05",
    "close=1001@seconds=6,chance=0.1",
    "close=1011@on=response.done,nth=7,chance=0.1",
    "close=1012@on=response.output_text.delta,nth=100,chance=0.1",
    "close=1013@on=conversation.item.added,nth=9,chance=0.1",
    "split=4@every=1,chance=0.2",
)
"""What the service itself does wrong, on a share of its lines: what a relay cannot, because it knows no frames."""

_HEARD = "Heard: "
_STEP = 0.01  # seconds between two words, so that there is something to be cut
_scripted = ScriptedBrain()


def digest(text: str) -> int:
    """A small number for a text."""
    return zlib.crc32(text.encode())


def words(item: Mapping[str, Any]) -> str:
    """What an item says, however it is kept."""
    parts = item.get("content") or ()
    said = "".join(part.get("text") or part.get("transcript") or "" for part in parts)
    return said or item.get("arguments") or item.get("output") or ""


def who(item: Mapping[str, Any]) -> str:
    """Whose an item is, or what: a sound stays one when it is kept by its transcript."""
    parts = item.get("content") or ()
    if words(item).startswith(_HEARD) or any(part.get("type") == "input_audio" for part in parts):
        return "sound"
    return str(item.get("role") or item["type"])


def brain(turn: Turn) -> Iterator[Piece]:
    """Answer as the scripted brain does, word by word; or take the census."""
    if (turn.metadata or {}).get("census"):
        items = [(item["id"], who(item), digest(words(item))) for item in turn.items]
        yield json.dumps(items, separators=(",", ":"))
        return
    for piece in _scripted(turn):
        if not isinstance(piece, str):
            yield piece
            continue
        for word in piece.split(" "):
            if turn.cancelled.wait(_STEP):
                return
            yield word + " "


def read_census(text: str) -> list[Entry]:
    """The items that a census lists."""
    return [(item_id, whose, number) for item_id, whose, number in json.loads(text)]


def serve(life: float | None, seed: int, tls: bool) -> None:
    """Serve until the standard input ends; sessions last `life` seconds, and some lines have a fault of `FAULTS`."""
    faults = [Fault.parse(f"{fault},seed={seed + number}") for number, fault in enumerate(FAULTS)]
    server = SimulatorServer(
        tls=tls, brain=brain, pace=False, max_session_seconds=life, ears=_words_heard, faults=faults
    )
    with server:
        print(json.dumps({"port": server.port, "ca": str(server.ca_file)}), flush=True)
        sys.stdin.read()


def _words_heard(pcm: bytes, sample_rate: int) -> str:
    """A text for a sound; the same each time."""
    return f"{_HEARD}{len(pcm) / 2 / sample_rate:.2f} s of sound, number {digest(pcm.hex())}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--life", type=float, default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tls", action="store_true")
    given = parser.parse_args()
    serve(given.life, given.seed, given.tls)
