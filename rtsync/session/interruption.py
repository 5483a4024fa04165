"""Playing what a session says, and stopping when somebody speaks into it.

A service over a WebSocket knows what it has sent, not what was heard. So whoever plays it has to say so: else the model
believes that it said to the end what was cut off after a word. Three mistakes make servers reject that (protocol 2,
``conversation.item.truncate``), and none is made here: more milliseconds than the item has, none at all, and an item
that is no spoken one of this conversation. An item that was heard to its end is left alone.

1. A thread of its own, ``rtsync-playback-N``, takes the events of a subscription and feeds the speaker. The reader is
   not held up by it, nor it by handlers that are slow.
2. ``_turn`` guards which responses are silenced, and makes "is it silenced? then play" one step. It is reentrant, for
   ``interrupt()`` in a signal handler; nothing is sent and nothing is waited for under it.
3. What the thread itself cuts off is told to the service without waiting for the answer: the next answer may come
   first, and is to be played. ``interrupt()`` in another thread waits.
4. The thread refers to the core only, so that a forgotten session is collected although it plays.
5. A speaker that says when sound begins and ends (``Speaker.watch``) wakes the thread, which notes it in the turns:
   nothing of that is done in the device's callback.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import logging
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

import msgspec

from rtsync.audio.formats import PCM16, AudioFormat, audio_format
from rtsync.pure.state import State
from rtsync.threads.following import Request
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import ConfigurationError, RealtimeError, ServerError, SessionClosed, UsageError
from rtsync.vocabulary.events import Event, new_event_id, raw

if TYPE_CHECKING:
    from rtsync.devices.speaker import Heard, Watch
    from rtsync.threads.reader import Core

__all__ = ["Cut", "Interruption", "Playback", "Player", "cuts", "interrupt"]

logger = logging.getLogger("rtsync.playback")

_NOTHING_TO_CANCEL = "response_cancel_not_active"
_MOST_KNOWN = 512
_SPOKEN = frozenset({"audio", "output_audio"})
_JOIN_SECONDS = 2.0
_numbers = itertools.count(1)

_DELTA = "response.output_audio.delta"
_TYPES = frozenset(
    {
        "input_audio_buffer.speech_started",
        "response.created",
        "response.done",
        "response.output_audio.done",
        _DELTA,
    }
)


class Player(Protocol):
    """What plays: a ``rtsync.devices.Speaker``, or an object of yours that sends sound elsewhere.

    One that also has ``watch``, as a ``Speaker``, says when an item is heard; else ``session.note_played`` may.
    """

    def play(self, sound: bytes, *, item_id: str | None, content_index: int, form: AudioFormat | str | None) -> None:
        """Play it behind what is to be played, and return at once."""
        ...

    def finish(self, item_id: str | None, content_index: int) -> None:
        """Nothing more comes of this part."""
        ...

    def stop(self) -> Sequence[Heard]:
        """Stop at once, and say what was heard of what; of each part once."""
        ...


class Cut(msgspec.Struct, frozen=True):
    """Where an item was cut off.

    Attributes:
        item_id: of the item.
        content_index: of its content.
        audio_end_ms: what was heard of it.
    """

    item_id: str
    content_index: int
    audio_end_ms: int


class Interruption(msgspec.Struct, frozen=True):
    """What an interruption did.

    Attributes:
        response_id: the response that was cancelled for it; None where none was running, or where the service cancels
            it by itself.
        cuts: what was cut off, and the service told of. Not in it is what was not heard at all, or to its end.
    """

    response_id: str | None
    cuts: tuple[Cut, ...]


def cuts(heard: Iterable[Heard]) -> tuple[Cut, ...]:
    """What the service is to be told of, after ``heard``."""
    return tuple(
        Cut(part.item_id, part.content_index, min(part.heard_ms, part.given_ms))
        for part in heard
        if part.item_id is not None and not part.finished and min(part.heard_ms, part.given_ms) > 0
    )


def interrupt(core: Core, players: Sequence[Player | Playback], timeout: float | None) -> Interruption:
    """Stop ``players``, cancel what is running, and tell the service what was heard; blocks until it has answered."""
    deadline = Deadline(timeout)
    told: list[Cut] = []
    playbacks = [player for player in players if isinstance(player, Playback)]
    for player in players:
        told += player.silence() if isinstance(player, Playback) else cuts(player.stop())
    try:
        done = Interruption(_cancelled(core, deadline), tuple(cut for cut in told if _truncated(core, cut, deadline)))
    except SessionClosed:  # Nobody is left to be told.
        return Interruption(None, ())
    for playback in playbacks if done.response_id is not None or done.cuts else ():
        playback.last = done
    return done


def _cancelled(core: Core, deadline: Deadline) -> str | None:
    """The id of the response that was cancelled; None where none is running."""
    active = core.floor.active
    if active is None or active.id is None or core.state is not State.OPEN:
        return None
    try:
        ended = _ask(core, _cancel(active.id), deadline)
    except ServerError as error:
        if error.code != _NOTHING_TO_CANCEL:  # It was done a moment earlier, which is what was wanted.
            raise
        return None
    return active.id if _object(raw(ended).get("response")).get("status") == "cancelled" else None


def _truncated(core: Core, cut: Cut, deadline: Deadline) -> bool:
    if not _may_be_cut(core, cut.item_id):
        return False
    try:
        _ask(core, _truncate(cut), deadline)
    except ServerError:
        if _may_be_cut(core, cut.item_id):
            raise
        return False  # It was deleted, or the line lost, meanwhile.
    return True


def _ask(core: Core, event: dict[str, Any], deadline: Deadline) -> Event:
    core.hub.note_request()
    return core.ask(event, deadline)


def _may_be_cut(core: Core, item_id: str) -> bool:
    """Whether it is spoken, and in the conversation at this moment. On a new line what was said before is text."""
    item = core.item(item_id) if core.state is State.OPEN else None
    if item is None:
        return False
    content = item.data.get("content") or [{"type": "audio"}]  # Of an item that has only just begun.
    return any(_object(part).get("type") in _SPOKEN for part in content)


def _cancel(response_id: str) -> dict[str, Any]:
    return {"type": "response.cancel", "event_id": new_event_id(), "response_id": response_id}


def _truncate(cut: Cut) -> dict[str, Any]:
    return {
        "type": "conversation.item.truncate",
        "event_id": new_event_id(),
        "item_id": cut.item_id,
        "content_index": cut.content_index,
        "audio_end_ms": cut.audio_end_ms,
    }


class Playback:
    """A session's voice on a speaker: made by ``session.attach(speaker)``, until the session ends or ``close()``.

    Attributes:
        player: what plays.
        error: why it ended by itself, e.g. ``DeviceFailed``; None while it goes on.
        last: the newest interruption that cut something off, or cancelled it; None where there was none.

    Threads: every method from any.
    """

    def __init__(self, core: Core, player: Player, *, interrupts: bool) -> None:
        self.player = player
        self.error: Exception | None = None
        self.last: Interruption | None = None
        self._core = core
        self._interrupts = interrupts
        self._turn = threading.RLock()
        self._open: dict[str, AudioFormat | None] = {}  # Responses that have begun and not ended: how they sound.
        self._silenced: dict[str, None] = {}
        self._items: dict[tuple[str, int], str] = {}  # Parts that were played, and their responses.
        self._halves: dict[tuple[str, int], bytes] = {}
        self._subscription = core.subscribe(_TYPES, None)
        watch = getattr(player, "watch", None)
        self._watch: Watch | None = None if watch is None else watch(self._subscription.wake)
        self._thread = threading.Thread(target=self._run, name=f"rtsync-playback-{next(_numbers)}", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Playback {'on' if self.on else 'ended'}, {self.player!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def on(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Play no more of what the session says; what the speaker has it still plays. More than once is fine."""
        self._subscription.close()
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN_SECONDS)

    def silence(self) -> tuple[Cut, ...]:
        """Stop playing; nothing more is played of any response that has begun. Returns what is to be told."""
        begun = [response.id for response in self._core.snapshot().responses]
        with self._turn:
            return self._silence([*begun, *self._open])

    def silence_response(self, response_id: str) -> dict[str, dict[int, int | None]]:
        """Play no more of one response. Where the speaker was given any of it, everything stops: it plays in order.

        Returns:
            The items of which something was heard: by content index how much, in milliseconds, or None where it was
            heard to its end, or the service was told before.
        """
        with self._turn:
            self._keep_silent([response_id])
            given = [part for part, response in self._items.items() if response == response_id]
            told = {(part.item_id, part.content_index): part for part in self.player.stop()} if given else {}
        kept: dict[str, dict[int, int | None]] = {}
        for item_id, index in given:
            heard = told.get((item_id, index))
            if heard is None or heard.finished:
                kept.setdefault(item_id, {})[index] = None
            elif heard.heard_ms > 0:
                kept.setdefault(item_id, {})[index] = min(heard.heard_ms, heard.given_ms)
        return kept

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                self._note_sounds()
                event = self._subscription.next_unless(self._sounds)
                if event is not None:
                    self._take(event)
        except (SessionClosed, StopIteration):
            pass
        except Exception as error:
            self.error = error
            logger.warning("nothing more of the session is played: %s", error)
        finally:
            self._subscription.close()
            if self._watch is not None:
                self._watch.close()
            self._note_sounds()

    def _sounds(self) -> bool:
        return bool(self._watch)

    def _note_sounds(self) -> None:
        """What has begun to sound, and what has ceased, belongs to turns."""
        for sounding in self._watch.take() if self._watch is not None else ():
            self._core.note_played(sounding.item_id, sounding.at, ended=sounding.ended)

    def _take(self, event: Event) -> None:
        if event.type == _DELTA:
            self._play(event)
        elif event.type == "input_audio_buffer.speech_started":
            if self._interrupts:
                self._interrupted()
        else:
            with self._turn:
                self._note(event)

    def _note(self, event: Event) -> None:
        fields = raw(event)
        if event.type == "response.created":
            self._begin(_object(fields.get("response")))
        elif event.type == "response.output_audio.done":
            self._finish((str(fields.get("item_id")), _index(fields)))
        else:
            self._end(_object(fields.get("response")).get("id"))

    def _begin(self, response: dict[str, Any]) -> None:
        response_id = response.get("id")
        if not isinstance(response_id, str):
            return
        self._open[response_id] = self._form(response)
        self._trim(self._open)  # Those of a line that was lost never end.
        if "conversation_id" in response and response["conversation_id"] is None:
            self._keep_silent([response_id])  # Beside the conversation (protocol 5.1): whoever asked for it has it.

    def _end(self, response_id: object) -> None:
        if isinstance(response_id, str):
            self._open.pop(response_id, None)
        for part in [part for part, response in self._items.items() if response == response_id]:
            self._finish(part)

    def _finish(self, part: tuple[str, int]) -> None:
        self._halves.pop(part, None)
        if part in self._items:
            self.player.finish(*part)

    def _form(self, response: dict[str, Any]) -> AudioFormat | None:
        """How a response sounds: as it says itself, or else as the session is configured (protocol 4.5)."""
        for source in (response, self._core.snapshot().config):
            found = _object(_object(source.get("audio")).get("output")).get("format")
            if found is not None:
                try:
                    return audio_format(found)
                except ConfigurationError:
                    logger.warning("a response in a format that is not known is not played")
                    return None
        return PCM16

    def _play(self, event: Event) -> None:
        fields = raw(event)
        response_id, item_id, delta = fields.get("response_id"), fields.get("item_id"), fields.get("delta")
        if not (isinstance(response_id, str) and isinstance(item_id, str) and isinstance(delta, str)):
            return
        with self._turn:
            if response_id in self._silenced:
                return
            if response_id not in self._open:  # A server that skips response.created.
                self._begin({"id": response_id})
            form = self._open[response_id]
            part = item_id, _index(fields)
            if form is not None and (sound := self._whole(part, form, delta)):
                self._items[part] = response_id
                self._trim(self._items)
                self.player.play(sound, item_id=part[0], content_index=part[1], form=form)

    def _whole(self, part: tuple[str, int], form: AudioFormat, delta: str) -> bytes:
        """The samples that are complete; a server may cut one in two. A broken delta does not cost the others."""
        try:
            sound = self._halves.pop(part, b"") + base64.b64decode(delta)
        except (binascii.Error, ValueError):
            return b""
        whole = len(sound) - len(sound) % form.sample_bytes
        if sound[whole:]:
            self._halves[part] = sound[whole:]
        return sound[:whole]

    # -- interruption --------------------------------------------------------------------------------------------------

    def _interrupted(self) -> None:
        """Somebody speaks. What had begun by now is cut off; a later response may have begun already."""
        with self._turn:
            begun = [response_id for response_id in self._open if response_id not in self._silenced]
            told = self._silence(self._open)
        active = None if self._service_cancels() else self._core.floor.active
        cancelled = active.id if active is not None and active.id in begun else None
        if cancelled is None and not told:
            return
        self.last = Interruption(cancelled, told)
        if cancelled is not None and self._core.state is State.OPEN:
            self._tell(_cancel(cancelled))
        for cut in told:
            if _may_be_cut(self._core, cut.item_id):
                self._tell(_truncate(cut))

    def _service_cancels(self) -> bool:
        """Whether voice detection itself ends the response that somebody speaks into (protocol 4.2)."""
        heard = _object(_object(self._core.snapshot().config.get("audio")).get("input"))
        return _object(heard.get("turn_detection")).get("interrupt_response") is not False

    def _tell(self, event: dict[str, Any]) -> None:
        try:
            self._core.send(event, Request(), None)  # A request of which nobody awaits the answer.
        except (SessionClosed, UsageError):  # Nobody is left to be told, or it is another line already.
            pass
        except RealtimeError as error:
            logger.warning("the service could not be told of an interruption: %s", error)

    def _silence(self, responses: Iterable[str]) -> tuple[Cut, ...]:
        """Under the turn."""
        self._keep_silent(responses)
        told = cuts(self.player.stop())
        return tuple(cut for cut in told if (cut.item_id, cut.content_index) in self._items)

    def _keep_silent(self, responses: Iterable[str]) -> None:
        self._silenced.update(dict.fromkeys(responses))
        self._trim(self._silenced)

    def _trim(self, known: dict[Any, Any]) -> None:
        while len(known) > _MOST_KNOWN:
            del known[next(iter(known))]


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _index(fields: dict[str, Any]) -> int:
    index = fields.get("content_index")
    return index if isinstance(index, int) else 0
