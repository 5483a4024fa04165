"""A response as its caller holds it: text as it streams, and the whole of it once it is done."""

from __future__ import annotations

import base64
import binascii
import copy
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from rtsync.threads.following import Follower
from rtsync.vocabulary.deadline import Deadline, seconds
from rtsync.vocabulary.errors import ResponseFailed, ServerError, SessionClosed, WaitTimeout
from rtsync.vocabulary.events import Fields, Items, new_event_id
from rtsync.vocabulary.foreign import one_line

if TYPE_CHECKING:
    from rtsync.audio import AudioFormat
    from rtsync.audio.wav_writing import WritableFile
    from rtsync.session.guards import Verdict
    from rtsync.threads.reader import Core

__all__ = ["Response"]

_NOTHING_TO_CANCEL = "response_cancel_not_active"
_TOO_LARGE = "too_large"
_NO_AUDIO = "no_audio"
_GUARDED = "guarded"


class Response:
    """What the model answers. Made by ``session.respond()``, ``session.ask()`` and ``session.responses()``.

    Its properties show what has arrived so far and are complete once ``done``.

    Of one response 64 MiB of audio are kept as they came (17 minutes of PCM16), and 16 MiB of text that is still being
    said. Where more comes the beginning is kept, and whoever reads beyond it gets ``ResponseFailed`` with the reason
    ``"too_large"``; handlers and ``events()`` get all of it.

    Threads: every method may be called from any thread; several threads may stream the same response, each gets all.
    """

    def __init__(self, core: Core, follower: Follower) -> None:
        self._core = core
        self._follower = follower

    def __repr__(self) -> str:
        said = f"{len(self.text or self.transcript)} characters"
        return one_line(f"<Response {self.id or '(not begun)'} {self.status}, {said}>")

    # -- what it is ----------------------------------------------------------------------------------------------

    @property
    def id(self) -> str | None:
        """The service's id (``resp_...``), once it has begun."""
        return self._follower.record.id

    @property
    def status(self) -> str:
        """``"requested"``, ``"in_progress"``, ``"completed"``, ``"cancelled"``, ``"incomplete"``, ``"failed"``, or
        ``"lost"`` when the session ended first (protocol 5.1).
        """
        return self._follower.record.status

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self._follower.over

    @property
    def text(self) -> str:
        """The text parts of the answer, joined. Empty for an answer that is spoken: see ``transcript``."""
        return self._follower.record.text

    @property
    def transcript(self) -> str:
        """The transcript of the spoken parts, joined."""
        return self._follower.record.transcript

    @property
    def audio(self) -> bytes:
        """The audio received, raw samples in the session's output format (protocol 4.5).

        Raises:
            ResponseFailed: there was more of it than is kept; ``audio_chunks`` gives what is.
        """
        if "audio" in self._follower.record.gaps:
            raise self._too_large(("audio",))
        return b"".join(_decoded(piece) for kind, piece in list(self._follower.record.pieces) if kind == "audio")

    @property
    def audio_format(self) -> AudioFormat:
        """The format of its audio: what the service says of it, else what was asked for, else that of the session
        (protocol 4.5).
        """
        from rtsync.audio import PCM16, audio_format  # loaded when there is sound

        told = (self._follower.record.response, self._follower.options, self._core.config)
        found = next(filter(None, map(_output_format, told)), None)
        return PCM16 if found is None else audio_format(found)

    @property
    def items(self) -> list[dict[str, Any]]:
        """The output items (protocol 5.3), plain copies."""
        return Items(self._follower.record.items).to_list()

    @property
    def function_calls(self) -> list[dict[str, Any]]:
        """The items of type ``function_call``: ``name``, ``call_id``, and ``arguments`` as a JSON string."""
        return [item for item in self.items if item.get("type") == "function_call"]

    @property
    def usage(self) -> dict[str, Any] | None:
        """Tokens used (protocol 5.2), once done."""
        usage = self._follower.record.response.get("usage")
        return Fields(usage).to_dict() if isinstance(usage, dict) else None

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata that the service echoed."""
        metadata = self._follower.record.response.get("metadata")
        return dict(metadata) if isinstance(metadata, dict) else {}

    @property
    def verdict(self) -> Verdict | None:
        """Why a guard has stopped it; None where none has."""
        verdict: Verdict | None = self._follower.verdict
        return verdict

    @property
    def replacement(self) -> Response | None:
        """The response that was asked for in its place when a guard had stopped it; None where there is none.

        It is known when ``wait()`` has raised ``ResponseFailed`` with the reason ``"guarded"``.
        """
        following = self._follower.replacement
        return None if following is None else Response(self._core, following)

    def to_dict(self) -> dict[str, Any]:
        """The service's response object as last received, a plain copy (protocol 5.1)."""
        return Fields(self._follower.record.response).to_dict()

    # -- as it comes -----------------------------------------------------------------------------------------------

    def text_deltas(self, *, timeout: float | None = 30.0) -> Iterator[str]:
        """The text, or the transcript of what is spoken, piece by piece as it arrives, from the beginning.

        Args:
            timeout: longest wait for each next piece, in seconds; None waits for ever.

        Raises:
            ResponseFailed: it ended other than completed, there is more of it than is kept, or it was asked for anew on
                a new line (see ``Reconnect``) when pieces had been given; all that came before have been given.
            WaitTimeout: no next piece in time; the response may still go on.
            SessionClosed: the session ended before it had begun.

        Threads: any that may block; not a handler of ``handlers="inline"``.
        """
        return self._stream(("text", "transcript"), str, timeout)

    def audio_chunks(self, *, timeout: float | None = 30.0) -> Iterator[bytes]:
        """The audio, chunk by chunk as it arrives, from the beginning: raw samples (protocol 4.5).

        Arguments, errors and threads as of ``text_deltas``.
        """
        return self._stream(("audio",), _decoded, timeout)

    def save(self, target: str | os.PathLike[str] | WritableFile, *, timeout: float | None = 30.0) -> int:
        """Write its audio as a WAV file, while it is still being said, and return when all of it is there.

        At a path the file appears when it is complete. It has the format in which the audio came, G.711 as G.711.
        ``transcript`` is complete then, too.

        Args:
            target: a path, or a binary file, which is written from where it stands, and stays open.
            timeout: longest wait for each next piece, in seconds; None waits for ever.

        Returns:
            The length of the audio in milliseconds.

        Raises:
            ResponseFailed: it ended other than completed, there is more of it than is kept, or there is no audio in it
                (reason ``"no_audio"``). At a path everything is as it was before, and what came is in ``audio``. One
                that this object's ``cancel()`` has ended is complete as it is.
            ConfigurationError: the path cannot be written, or what came is no audio in the format that it was said to
                be.
            WaitTimeout: no next piece in time; nothing is written either, and a second ``save()`` begins anew.
            SessionClosed: the session ended before it had begun.

        Threads: any that may block; not a handler of ``handlers="inline"``.
        """
        from rtsync.audio import WavWriter  # loaded when there is sound

        chunks = self.audio_chunks(timeout=timeout)
        first = next(chunks, None)
        if first is None:
            raise self._failed(self.status, _NO_AUDIO, "there is no audio in this response, so nothing can be saved")
        with WavWriter(target, self.audio_format) as writer:
            writer.write(first)
            for chunk in chunks:
                writer.write(chunk)
        return writer.duration_ms

    def _stream(self, kinds: tuple[str, ...], convert: Callable[[str], Any], timeout: float | None) -> Iterator[Any]:
        limit = seconds(timeout, "timeout", none="wait for ever", zero=True)
        record = self._follower.record
        restarts, pieces, seen, given = record.restarts, record.pieces, 0, False
        while self._wait_beyond(restarts, seen, kinds, limit):
            if record.restarts != restarts:
                if given:
                    raise self._failed("lost", None, "the line was lost in the middle, and the response asked for anew")
                restarts, pieces, seen = record.restarts, record.pieces, 0
            while seen < len(pieces) and not record.cut_short(kinds, seen):
                kind, piece = pieces[seen]
                seen += 1
                if kind in kinds:
                    given = True
                    yield convert(piece)
            if record.cut_short(kinds, seen):
                raise self._too_large(kinds)
        self._raise_failure()

    def _wait_beyond(self, restarts: int, seen: int, kinds: tuple[str, ...], timeout: float | None) -> bool:
        """Block until there is a piece beyond ``seen``, or a gap, or it is asked for anew; False when it is over."""
        self._core.check_may_wait(settled=False)
        follower, record = self._follower, self._follower.record

        def more() -> bool:
            return record.restarts != restarts or len(record.pieces) > seen or record.cut_short(kinds, seen)

        if not follower.bell.wait_until(lambda: more() or follower.settled, timeout):
            raise WaitTimeout(f"nothing more of the response within {timeout:g} s; it is {self.status}")
        return more()

    # -- until it is done --------------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = 60.0) -> Response:
        """Block until the response is done and the handlers of its events have run; returns it.

        Args:
            timeout: in seconds; None waits for ever.

        Raises:
            ResponseFailed: it failed, was cut short, was cancelled by anyone but this object's ``cancel()``, or has
                more text than is kept.
            WaitTimeout: it is not done in time.
            SessionClosed: the session ended before it had begun.

        Threads: any that may block. Inside a handler it does not wait for handlers.
        """
        deadline = Deadline(seconds(timeout, "timeout", none="wait for ever", zero=True))
        self._core.check_may_wait(settled=True)
        follower = self._follower
        if not follower.bell.wait_until(lambda: follower.settled, deadline.remaining()):
            stuck = self._core.delivery.stuck()
            said = f"{len(self.text or self.transcript)} characters so far"
            if follower.over:
                raise WaitTimeout(f"the response is done, but the guards are not, within {deadline.timeout:g} s")
            raise WaitTimeout(
                f"the response is not done within {deadline.timeout:g} s ({self.status}, {said})"
                + (f"; the handler {stuck}" if stuck else "")
            )
        if follower.error is None:
            self._core.settle(follower.sequence, deadline)
        self._raise_failure()
        return self

    def final(self, timeout: float | None = 60.0) -> Response:
        """Block until it is done, and every response that its tools have led to, or that was asked for in the place of
        one that a guard has stopped; returns the last one.

        It returns this one where none follows: no tool was called, the user interrupted, it was cancelled, or
        its tools ask for none (``respond=False``). What a tool with ``working=`` delivers later is not waited for.

        Args:
            timeout: seconds for all of them together; None waits for ever.

        Raises:
            ResponseFailed: one of them failed, as of ``wait``.
            ServerError: the service refused to begin the next one.
            WaitTimeout: they are not done in time: a tool still runs, or a response.
            SessionClosed: the session ended first.

        Threads: any that may block. Inside a handler it does not wait for handlers.
        """
        deadline = Deadline(seconds(timeout, "timeout", none="wait for ever", zero=True))
        response = self
        while True:
            try:
                response.wait(deadline.remaining())
            except ResponseFailed:
                if response.replacement is None:
                    raise
            following = response._following(deadline)
            if following is None:
                return response
            response = following

    def chain(self, *, timeout: float | None = 60.0) -> Iterator[Response]:
        """Iterate over this response, and then each one that tools, or guards, have led to, when it has begun.

        ::

            for response in session.respond().chain():
                for piece in response.text_deltas():
                    print(piece, end="")

        One that failed is given, too, and is the last.

        Args:
            timeout: longest wait for each next one to begin, the end of the one before included; None waits for ever.

        Raises and Threads: as of ``final``.
        """
        limit = seconds(timeout, "timeout", none="wait for ever", zero=True)
        response: Response | None = self
        while response is not None:
            yield response
            response = response._following(Deadline(limit))

    def _following(self, deadline: Deadline) -> Response | None:
        """The response that comes in its place, or that its tools have led to, once it has begun; None for none."""
        self._core.check_may_wait(settled=False)
        follower = self._follower
        if not follower.bell.wait_until(lambda: follower.settled and not follower.leads_on, deadline.remaining()):
            calls = () if self._core.tools is None else self._core.tools.works()
            open_calls = ", ".join(sorted({work.title for work in calls}))
            raise WaitTimeout(
                f"the response and what follows from it are not done within {deadline.timeout:g} s ({self.status}"
                + (f"; tools that have not answered: {open_calls})" if open_calls else ")")
            )
        following = follower.replacement or follower.next
        if following is None and follower.led_to is not None:
            raise copy.copy(follower.led_to)
        return None if following is None else Response(self._core, following)

    def cancel(self, timeout: float | None = 10.0) -> None:
        """Have the service stop, and block until it has. What was said stays in the conversation.

        Tools that it has called see that nobody waits for them (``context.cancelled``); their calls are answered all
        the same, and no response follows. Nothing else happens when the response is done already.

        Args:
            timeout: in seconds; None waits for ever.

        Raises:
            WaitTimeout: the service did not answer in time.
            SessionClosed: the session has ended.
        """
        self._core.check_process()
        if self._core.tools is not None and self.id is not None:
            self._core.tools.stop(self.id)
        if self.done:
            return
        self._follower.cancelled = True
        event: dict[str, Any] = {"type": "response.cancel", "event_id": new_event_id()}
        if self.id is not None:
            event["response_id"] = self.id
        limit = seconds(timeout, "timeout", none="wait for ever", zero=True)
        try:
            self._core.ask(event, Deadline(limit))
        except ServerError as error:
            if error.code != _NOTHING_TO_CANCEL:  # It was done a moment earlier, which is what was wanted.
                raise

    def _raise_failure(self) -> None:
        follower, record = self._follower, self._follower.record
        if follower.verdict is not None:
            raise self._failed(record.status, _GUARDED, f"{follower.verdict} stopped the response")
        if isinstance(follower.error, SessionClosed) and record.id is not None:
            raise self._failed("lost", None, f"the line ended in the middle: {follower.error}") from follower.error
        if follower.error is not None:
            raise copy.copy(follower.error)
        if record.status == "completed" or (record.status == "cancelled" and follower.cancelled):
            if record.wordless:
                raise self._too_large(("text", "transcript"))
            return
        reason, explanation = _why(record.response.get("status_details"))
        said = f"the response ended {record.status}" + (f": {explanation or reason}" if explanation or reason else "")
        raise self._failed(record.status, reason, said)

    def _too_large(self, kinds: tuple[str, ...]) -> ResponseFailed:
        return self._failed(
            self.status,
            _TOO_LARGE,
            f"there is more {' or '.join(kinds)} in this response than is kept, and what is kept is the beginning;"
            " handlers and events() get all of it",
        )

    def _failed(self, status: str, reason: str | None, message: str) -> ResponseFailed:
        text = self.text or self.transcript
        return ResponseFailed(message, response=self.to_dict() or None, status=status, reason=reason, text=text)


def _output_format(config: dict[str, Any]) -> dict[str, Any] | None:
    """The format in which a response, its options or a session say that audio comes out."""
    found: Any = config
    for name in ("audio", "output", "format"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _why(details: object) -> tuple[str | None, str | None]:
    """Reason or code, and the service's sentence, of ``status_details``; compatible servers send a plain string."""
    if isinstance(details, str):
        return details, None
    if not isinstance(details, dict):
        return None, None
    error = details.get("error")
    found = error if isinstance(error, dict) else {}
    reason = details.get("reason") or found.get("code") or found.get("type")
    message = found.get("message")
    return (reason if isinstance(reason, str) else None), (message if isinstance(message, str) else None)


def _decoded(piece: str) -> bytes:
    """The bytes of one audio delta; a broken one is no reason to lose the others."""
    try:
        return base64.b64decode(piece)
    except (binascii.Error, ValueError):
        return b""
