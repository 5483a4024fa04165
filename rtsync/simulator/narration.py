"""What a brain says, as steps of the desk: words at once, and their sound sentence by sentence where a voice makes it.

The steps are taken one by one, under the session's lock; between them, and outside of it, the brain thinks, the voice
speaks and tools run. So the words of a sentence are on the wire before its sound is made, and its sound before the
next sentence.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple

from rtsync.audio.formats import audio_format
from rtsync.simulator.brains import Cancellation, Piece
from rtsync.simulator.desk import Desk, Event
from rtsync.simulator.mcp import McpServers, is_approved, needs_approval
from rtsync.simulator.responses import ResponseWriter
from rtsync.simulator.tool_calls import FunctionCall, McpCall
from rtsync.simulator.usage import pieces
from rtsync.simulator.voices import Sentences, Utterance, Voice, voice_name

__all__ = ["Narration", "Step", "Steps"]


class Step(NamedTuple):
    """One change of the desk, and whether it is a token, which takes its time."""

    take: Callable[[], list[Event]]
    is_token: bool = True


Steps = Generator[Step, None, None]


class Narration:
    """Tells the desk what one response says.

    Args:
        desk: of the session.
        writer: of the response.
        mcp: the servers whose tools can be called.
        voice: makes the sound; None where the desk does.
        cancelled: set when the response is no longer wanted.

    Threads: for the response's own; blocks as long as voice and tools do.
    """

    def __init__(
        self, desk: Desk, writer: ResponseWriter, mcp: McpServers, voice: Voice | None, cancelled: Cancellation
    ) -> None:
        self._desk = desk
        self._writer = writer
        self._mcp = mcp
        self._voice = voice if writer.options.modality == "audio" else None
        self._cancelled = cancelled
        self._sentences = Sentences()

    def steps(self, piece: Piece) -> Steps:
        """One piece of the brain's, token by token."""
        if isinstance(piece, FunctionCall):
            return self._function_call(piece)
        if isinstance(piece, McpCall):
            return self._mcp_call(piece)
        return self._text(piece)

    def rest(self) -> Steps:
        """The sound of what was not said yet."""
        return self._say_all(self._sentences.rest())

    def _text(self, text: str) -> Steps:
        for token in pieces(text):
            yield self._step(self._desk.say, token)
            if self._voice is not None:
                yield from self._say_all(self._sentences.feed(token))

    def _say_all(self, sentences: Iterable[str]) -> Steps:
        for sentence in sentences:
            yield from self._say(sentence)

    def _say(self, sentence: str) -> Steps:
        if self._voice is None:
            return
        options = self._writer.options
        form = audio_format(options.output_audio["format"])
        voice = voice_name(options.output_audio["voice"])
        utterance = Utterance(sentence, voice, options.speed, form.sample_rate, self._cancelled)
        half_sample = b""
        with _closing(self._voice(utterance)) as sound:
            for pcm in sound:
                found = half_sample + pcm
                whole = len(found) & ~1
                half_sample = found[whole:]
                yield self._step(self._desk.sound, form.from_pcm(found[:whole]), is_token=False)

    def _function_call(self, call: FunctionCall) -> Steps:
        yield from self.rest()
        yield self._step(self._desk.begin_call, call.name)
        for token in pieces(call.arguments):
            yield self._step(self._desk.call_arguments, token)
        yield self._step(self._desk.end_call)

    def _mcp_call(self, call: McpCall) -> Steps:
        yield from self.rest()
        options = self._writer.options
        approved = is_approved(options.items, call.approval_request_id)
        if not approved and needs_approval(options.tools, call.server_label, call.name):
            yield self._step(self._desk.ask_approval, call)
            return
        yield self._step(self._desk.begin_mcp_call, call)
        for token in pieces(call.arguments):
            yield self._step(self._desk.call_arguments, token)
        yield self._step(self._desk.run_mcp_call)
        outcome = self._mcp.call(call.server_label, call.name, call.arguments)
        yield self._step(self._desk.end_mcp_call, outcome)

    def _step(self, take: Callable[..., list[Event]], *told: Any, is_token: bool = True) -> Step:
        return Step(functools.partial(take, self._writer.id, *told), is_token)


@contextlib.contextmanager
def _closing(sound: Iterable[bytes]) -> Iterator[Iterable[bytes]]:
    """``sound``, ended when nobody wants the rest: a generator's own ``finally`` must run now, not some time."""
    try:
        yield sound
    finally:
        close = getattr(sound, "close", None)
        if close is not None:
            close()
