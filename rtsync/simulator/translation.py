"""The desk of the translation endpoint: audio in, "translated" audio and transcripts out (protocol 2.2, 3.2, 4.10).

It does not translate. Wherever it hears speech it says the next word of a sentence that admits this, and it keeps the
service's time: one step for each 200 ms of audio that comes in, counted in samples.
"""

from __future__ import annotations

import base64
import copy
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from rtsync.audio.formats import PCM16
from rtsync.audio.pcm import samples
from rtsync.simulator.desk import Answer, Event
from rtsync.simulator.dialect import Dialect
from rtsync.simulator.ids import new_id
from rtsync.simulator.input_audio import read_chunk
from rtsync.simulator.refusals import Refused, error_event
from rtsync.simulator.schema import Nullable, Record, Rule, Text, unsupported
from rtsync.simulator.settings import TRANSLATION
from rtsync.simulator.vad import FRAME_MS, Detector, Heard, SpeechDetector
from rtsync.simulator.voice import Speaker

__all__ = ["TranslationConfig", "TranslationDesk"]

_STEP_MS = 200
_STEP_BYTES = _STEP_MS * PCM16.bytes_per_ms
_FRAME_BYTES = FRAME_MS * PCM16.bytes_per_ms
_SPOKEN_FRAMES = 5  # of the ten in a step
_THRESHOLD = 0.5
_TRANSLATED = "This is the simulator: it hears that you speak, but it does not translate into {language}."
_HEARD = "Somebody speaks, and the simulator does not listen to the words."

_HEAD: dict[str, Rule] = {"type": Text(), "event_id": Nullable(Text(512))}
_RECORDS = {
    "session.update": Record({**_HEAD, "session": TRANSLATION}, required=("session",)),
    "session.input_audio_buffer.append": Record({**_HEAD, "audio": Text()}, required=("audio",)),
    "session.close": Record(_HEAD),
}


class TranslationConfig:
    """What a translation session is set to."""

    dialect = Dialect.GA
    kind = "translation"

    def __init__(self, model: str, expires_at: int = 0) -> None:
        self.model = model
        self._values: dict[str, Any] = {
            "id": new_id("sess"),
            "type": "translation",
            "model": model,
            "expires_at": expires_at,
            "audio": {"input": {"transcription": None, "noise_reduction": None}, "output": {"language": "es"}},
        }

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def shown(self) -> dict[str, Any]:
        """The whole effective session."""
        return copy.deepcopy(self._values)

    def update(self, fields: Any, path: str = "session") -> None:
        """Apply the ``session`` of an update: all of it, or nothing and ``Refused``."""
        TRANSLATION(fields, path)
        for side, settings in fields.get("audio", {}).items():
            self._values["audio"][side] |= copy.deepcopy(settings)

    def adopt(self, values: Mapping[str, Any]) -> None:
        """Begin with what a client secret carries."""
        self._values["audio"] = copy.deepcopy(values["audio"])


class TranslationDesk:
    """One translation session's state and its answers. Pure, like ``Desk``.

    Args:
        config: the session's configuration.
        detector: judges what is speech; the built-in one unless given.
    """

    def __init__(self, config: TranslationConfig, detector: Detector | None = None) -> None:
        self.config = config
        self._unheard = bytearray()
        self._unsaid = bytearray()
        self._elapsed_ms = 0
        self._detector = SpeechDetector() if detector is None else detector
        self._speaker = Speaker()
        self._heard_words = _words(_HEARD)
        self._language = ""
        self._spoken_words = _words("")

    def greeting(self) -> list[Event]:
        """``session.created``."""
        return [{"type": "session.created", "session": self.config.shown()}]

    def answer(self, event: Any) -> Answer:
        """The answer to one decoded client event. A refusal is an ``error`` event, never an exception."""
        try:
            return self._dispatch(event)
        except Refused as refused:
            given = event.get("event_id") if isinstance(event, dict) else None
            return Answer([error_event(refused, given if isinstance(given, str) else None)])

    def _dispatch(self, event: Any) -> Answer:
        if not isinstance(event, dict):
            raise Refused("invalid_event", "Invalid event: expected a JSON object.")
        if "type" not in event:
            raise Refused("invalid_event", "The 'type' field is missing.")
        Text()(event["type"], "type")
        if event["type"] not in _RECORDS:
            raise unsupported(event["type"], "type", list(_RECORDS))
        _RECORDS[event["type"]](event, "")
        if event["type"] == "session.update":
            self.config.update(event["session"])
            return Answer([{"type": "session.updated", "session": self.config.shown()}])
        return self._close() if event["type"] == "session.close" else self._append(read_chunk(event["audio"]))

    def _append(self, chunk: bytes) -> Answer:
        self._unheard += chunk
        events: list[Event] = []
        while len(self._unheard) >= _STEP_BYTES:
            heard = bytes(self._unheard[:_STEP_BYTES])
            del self._unheard[:_STEP_BYTES]
            events += self._step(heard)
        return Answer(events)

    def _close(self) -> Answer:
        """What was heard is finished, what was begun is said to its end; then the session is over."""
        answer = self._append(bytes(-len(self._unheard) % _STEP_BYTES))
        while self._unsaid:
            answer.events.append(self._sound())
        answer.events.append({"type": "session.closed"})
        answer.close = (1000, "")
        return answer

    def _step(self, heard: bytes) -> list[Event]:
        words = list(self._words()) if self._is_spoken(heard) else []
        return [self._sound(), *words]

    def _is_spoken(self, heard: bytes) -> bool:
        frames = [samples(heard[at : at + _FRAME_BYTES]) for at in range(0, len(heard), _FRAME_BYTES)]
        judged = [self._detector.hear(frame, threshold=_THRESHOLD, speaking=False) for frame in frames]
        return judged.count(Heard.SPEECH) >= _SPOKEN_FRAMES

    def _words(self) -> Iterator[Event]:
        """The next word of each transcript, and its sound."""
        language = self.config["audio"]["output"]["language"]
        if language != self._language:
            self._language, self._spoken_words = language, _words(_TRANSLATED.format(language=language))
        word = next(self._spoken_words)
        self._unsaid += self._speaker.say(word)
        at = {"elapsed_ms": self._elapsed_ms + _STEP_MS}
        yield {"type": "session.output_transcript.delta", "delta": word, **at}
        if self.config["audio"]["input"]["transcription"] is not None:
            yield {"type": "session.input_transcript.delta", "delta": next(self._heard_words), **at}

    def _sound(self) -> Event:
        """The next 200 ms of what is to be said, silence where nothing is."""
        self._elapsed_ms += _STEP_MS
        sound = bytes(self._unsaid[:_STEP_BYTES]).ljust(_STEP_BYTES, b"\0")
        del self._unsaid[:_STEP_BYTES]
        shape = {"sample_rate": PCM16.sample_rate, "channels": 1, "format": PCM16.name}
        delta = base64.b64encode(sound).decode()
        return {"type": "session.output_audio.delta", "delta": delta, **shape, "elapsed_ms": self._elapsed_ms}


def _words(sentence: str) -> Iterator[str]:
    """The words of ``sentence``, again and again, each but the very first with its space before it."""
    words = sentence.split()
    return itertools.chain(words[:1], itertools.cycle([f" {word}" for word in [*words[1:], *words[:1]]]))
