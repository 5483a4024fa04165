"""What a browser may send: types, fields, sizes and rates. Everything else is refused.

1. A table says which fields each type of event may have, and what may stand in them. What is not in the table is
   refused, never dropped: a page that sends it is broken or hostile, and either wants to be told.
2. What passes is made anew from what the table names, so that nothing travels on that was not looked at (a name that
   stands twice in the JSON, a view of something else).
3. A refusal quotes nothing that the page sent: only names out of the table.
"""

from __future__ import annotations

import binascii
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from rtsync.session.options import required_seconds
from rtsync.vocabulary.errors import ConfigurationError, RealtimeError
from rtsync.vocabulary.events import encode
from rtsync.web.rates import MOST_KNOWN, Bucket

__all__ = ["ANYTHING", "AUDIO", "CONVERSATION", "Gate", "Refused"]

AUDIO: Final = "audio"
"""In a table: base64 sound, counted by the limits of sound."""
ANYTHING: Final = "anything"
"""In a table: any JSON, as deep as the gate allows."""

_LONGEST_ID = 512  # characters of an event's, protocol 6.1
_DEEPEST = 32

CONVERSATION: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "conversation.item.create": {
            "item!.id": str,
            "item!.type!": ("message",),
            "item!.role!": ("user",),
            "item!.content![].type!": ("input_text", "input_audio"),
            "item!.content![].text": str,
            "item!.content![].audio": AUDIO,
        },
        "conversation.item.truncate": {"item_id!": str, "content_index!": int, "audio_end_ms!": int},
        "input_audio_buffer.append": {"audio!": AUDIO},
        "input_audio_buffer.clear": {},
        "input_audio_buffer.commit": {},
        "response.cancel": {"response_id": str},
        "response.create": {"response.output_modalities[]": ("text", "audio")},
    }
)
"""What a page needs for a conversation by text and voice (protocol section 2): the user's words and sound, answers,
interruption. No settings, no instructions, no tools, nobody's words but the user's."""


class Refused(RealtimeError):
    """What a page sent is not let through. The message is for the page: it quotes nothing that came.

    Attributes:
        status: what to answer with over HTTP: 400, 403, 413 or 429; of ``Views`` also 401 and 404.
        code: ``"malformed"``, ``"not_allowed"``, ``"too_large"`` or ``"too_fast"``; of ``Views`` also
            ``"not_logged_in"``, ``"foreign_origin"``, ``"too_many_streams"`` or ``"not_offered"``.
        retry_after: seconds after which it may be sent again, for what was too fast or too many; else None.
    """

    def __init__(self, message: str, *, status: int, code: str, retry_after: float | None = None) -> None:
        super().__init__(message, status=status, code=code, retry_after=retry_after)

    status: int
    code: str
    retry_after: float | None

    def event(self) -> dict[str, Any]:
        """An ``error`` event for the page (protocol 5.4), with ``retry_after`` where there is one."""
        error: dict[str, Any] = {
            "type": "invalid_request_error",
            "code": self.code,
            "message": str(self),
            "param": None,
        }
        if self.retry_after is not None:
            error["retry_after"] = self.retry_after
        return {"type": "error", "error": error}


class _Field:
    """What may stand at one place: a value by ``rule``, or fields, or elements."""

    __slots__ = ("fields", "inner", "required", "rule")

    def __init__(self) -> None:
        self.required = False
        self.rule: Any = None
        self.inner: _Field | None = None
        self.fields: dict[str, _Field] | None = None


class Gate:
    """Lets through what a page may send, and raises ``Refused`` for everything else.

    ``Gate()`` is for a conversation by text and voice. An application that lets its pages do more says so::

        Gate(allowed={
            **CONVERSATION,
            "session.update": {"session!.type!": ("realtime",), "session!.audio.output.voice": ("marin", "cedar")},
        })

    Args:
        allowed: event types, and for each the fields that it may have beside ``type`` and ``event_id``: paths, with
            ``[]`` for the elements of an array and ``!`` behind what must be there; and what may stand in them:
            ``str``, ``int``, ``float``, ``bool``, a tuple of values of which it is one, ``AUDIO`` or ``ANYTHING``.
        max_event_size: bytes of an event.
        max_text: characters of all texts in an event together, ids and names of ``ANYTHING`` included.
        max_audio_size: bytes of sound in an event, decoded.
        max_elements: elements of an array.
        max_depth: levels of objects and arrays in an event.
        rate: events a second, of one session.
        audio_rate: bytes of sound a second, of one session; 24 kHz takes 48,000.
        burst: seconds' worth of either that may come at once.
        clock: seconds, never going back.

    Rates are counted in this process: behind several web workers a page that spreads over them has as many.

    Raises:
        ConfigurationError: an option is not what it must be.

    Threads: any; one gate is for all sessions of an application.
    """

    def __init__(
        self,
        allowed: Mapping[str, Mapping[str, Any]] = CONVERSATION,
        *,
        max_event_size: int = 262_144,
        max_text: int = 16_384,
        max_audio_size: int = 131_072,
        max_elements: int = 32,
        max_depth: int = 8,
        rate: float = 60.0,
        audio_rate: float = 144_000.0,
        burst: float = 4.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_event_size = _count(max_event_size, "max_event_size")
        self._max_text = _count(max_text, "max_text")
        self._max_audio = _count(max_audio_size, "max_audio_size")
        self._max_elements = _count(max_elements, "max_elements")
        self._max_depth = _count(max_depth, "max_depth")
        if self._max_depth > _DEEPEST:
            raise ConfigurationError(f"max_depth must be at most {_DEEPEST}, not {max_depth}")
        self._rate, self._audio_rate = _rate(rate, "rate"), _rate(audio_rate, "audio_rate")
        for_long = required_seconds(burst, "burst")
        # At least one event must fit, however slow the rate is.
        self._most = max(1.0, self._rate * for_long)
        self._most_audio = max(float(self._max_audio), self._audio_rate * for_long)
        self._clock = clock
        self._types = _table(allowed)
        self._buckets_lock = threading.Lock()  # Guards _buckets, and what is in them.
        self._buckets: OrderedDict[str, tuple[Bucket, Bucket]] = OrderedDict()

    def checked(self, event: bytes | bytearray | str | Mapping[str, Any], session: str = "") -> dict[str, Any]:
        """``event``, made anew from what is allowed of it.

        Args:
            event: JSON as it came from the page, or what a framework has made of it.
            session: whose rates it counts for: a session id, or whatever the application limits by.

        Raises:
            Refused: it is malformed, not allowed, too large or too fast. A refused one counts for the rates, too.

        Threads: any; does not block.
        """
        self._spend(session, 1.0, sound=False)
        data = self._parsed(event)
        kind = data.pop("type", None)
        fields = self._types.get(kind) if isinstance(kind, str) else None
        if fields is None:
            raise _not_allowed("an event of this type is not allowed here")
        look = _Look(str(kind), self._max_text, self._max_audio, self._max_elements, self._max_depth)
        found = {"type": kind, **look.fields(data, fields, "", 1)}
        if not 0 < len(found.get("event_id", "?")) <= _LONGEST_ID:
            raise _malformed(f"event_id takes 1 to {_LONGEST_ID} characters")
        if look.audio:
            self._spend(session, float(look.audio), sound=True)
        return found

    def _parsed(self, event: bytes | bytearray | str | Mapping[str, Any]) -> dict[str, Any]:
        if isinstance(event, Mapping):
            try:
                event = encode(event)
            except (TypeError, RecursionError):
                raise _malformed("an event must be JSON") from None
        if len(event) > self.max_event_size:  # Before it is encoded: characters are at least as many bytes.
            raise _too_large(f"an event takes at most {self.max_event_size} bytes")
        try:
            data = event.encode() if isinstance(event, str) else event
            parsed = msgspec.json.decode(data) if len(data) <= self.max_event_size else ...
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            parsed = None
        if parsed is ...:
            raise _too_large(f"an event takes at most {self.max_event_size} bytes")
        if not isinstance(parsed, dict):
            raise _malformed("an event must be a JSON object")
        return parsed

    def _spend(self, session: str, amount: float, *, sound: bool) -> None:
        now = self._clock()
        with self._buckets_lock:
            buckets = self._buckets.get(session)
            if buckets is None:
                events = Bucket(self._rate, self._most, now)
                self._buckets[session] = buckets = (events, Bucket(self._audio_rate, self._most_audio, now))
                if len(self._buckets) > MOST_KNOWN:
                    self._buckets.popitem(last=False)
            else:
                self._buckets.move_to_end(session)
            wait = buckets[sound].take(amount, now)
        if wait:
            what = "sound" if sound else "events"
            raise Refused(f"{what} came too fast", status=429, code="too_fast", retry_after=round(wait, 3))


class _Look:
    """One event on its way through the gate, and what was found in it so far."""

    def __init__(self, kind: str, text: int, audio: int, elements: int, depth: int) -> None:
        self._kind = kind
        self._max_text, self._max_audio, self._max_elements, self._max_depth = text, audio, elements, depth
        self._text = 0
        self.audio = 0

    def fields(self, value: dict[str, Any], allowed: Mapping[str, _Field], where: str, depth: int) -> dict[str, Any]:
        """``value`` anew, at ``where`` in the event."""
        self._check_depth(depth)
        if not value.keys() <= allowed.keys():
            raise _not_allowed(f"{where or self._kind} has a field that is not allowed here")
        missing = next((name for name, field in allowed.items() if field.required and name not in value), None)
        if missing is not None:
            raise _malformed(f"{self._kind} must have {_within(where, missing)}")
        return {name: self._value(value[name], allowed[name], _within(where, name), depth) for name in value}

    def _value(self, value: Any, allowed: _Field, where: str, depth: int) -> Any:
        if allowed.fields is not None:
            if not isinstance(value, dict):
                raise self._not(where, "an object")
            return self.fields(value, allowed.fields, where, depth + 1)
        if allowed.inner is not None:
            if not isinstance(value, list):
                raise self._not(where, "an array")
            self._check_array(value, where, depth + 1)
            return [self._value(each, allowed.inner, where + "[]", depth + 1) for each in value]
        return self._leaf(value, allowed.rule, where, depth)

    def _leaf(self, value: Any, rule: Any, where: str, depth: int) -> Any:
        if rule == ANYTHING:
            return self._anything(value, where, depth)
        if rule == AUDIO:
            return self._sound(value, where)
        if isinstance(rule, tuple):
            if not any(type(value) is type(each) and value == each for each in rule):
                raise _not_allowed(f"{where} has a value that is not allowed here")
            return value
        wanted = (int, float) if rule is float else (rule,)
        if type(value) not in wanted:
            raise self._not(where, _NAMES[rule])
        return self._counted(value) if rule is str else value

    def _sound(self, value: Any, where: str) -> str:
        if not isinstance(value, str):
            raise self._not(where, "base64")
        if len(value) // 4 * 3 - 2 > self._max_audio:
            raise _too_large(f"{where} takes at most {self._max_audio} bytes of sound")
        try:
            self.audio += len(binascii.a2b_base64(value.encode(), strict_mode=True))
        except ValueError:
            raise self._not(where, "base64") from None
        if self.audio > self._max_audio:
            raise _too_large(f"an event takes at most {self._max_audio} bytes of sound")
        return value

    def _anything(self, value: Any, where: str, depth: int) -> Any:
        if isinstance(value, dict):
            self._check_depth(depth + 1)
            return {self._counted(name): self._anything(each, where, depth + 1) for name, each in value.items()}
        if isinstance(value, list):
            self._check_array(value, where, depth + 1)
            return [self._anything(each, where, depth + 1) for each in value]
        return self._counted(value) if isinstance(value, str) else value

    def _counted(self, text: str) -> str:
        self._text += len(text)
        if self._text > self._max_text:
            raise _too_large(f"an event takes at most {self._max_text} characters of text")
        return text

    def _check_array(self, value: list[Any], where: str, depth: int) -> None:
        self._check_depth(depth)
        if len(value) > self._max_elements:
            raise _too_large(f"{where} takes at most {self._max_elements} elements")

    def _check_depth(self, depth: int) -> None:
        if depth > self._max_depth:
            raise _malformed(f"an event takes at most {self._max_depth} levels of objects and arrays")

    def _not(self, where: str, what: str) -> Refused:
        return _malformed(f"{where} of {self._kind} must be {what}")


_NAMES = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}


def _within(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _malformed(message: str) -> Refused:
    return Refused(message, status=400, code="malformed")


def _not_allowed(message: str) -> Refused:
    return Refused(message, status=403, code="not_allowed")


def _too_large(message: str) -> Refused:
    return Refused(message, status=413, code="too_large")


# -- the table --------------------------------------------------------------------------------------------------------


def _table(allowed: object) -> dict[str, dict[str, _Field]]:
    if not isinstance(allowed, Mapping):
        raise ConfigurationError("allowed must be a mapping of event types to the fields that they may have")
    table = {}
    for kind, paths in allowed.items():
        if not isinstance(kind, str) or not isinstance(paths, Mapping):
            raise ConfigurationError("allowed must map each event type to a mapping of fields, e.g. {'item_id!': str}")
        top = _Field()
        for path, rule in {"event_id": str, **paths}.items():
            _plant(top, path, _rule(rule, path))
        assert top.fields is not None
        table[kind] = top.fields
    return table


def _plant(top: _Field, path: object, rule: Any) -> None:
    """Add the place that ``path`` leads to."""
    steps = path.replace("[]", ".[]").split(".") if isinstance(path, str) else [""]
    field = top
    for step in steps:
        name = step.removesuffix("!")
        if not name or field.rule is not None or (field.inner if name != "[]" else field.fields) is not None:
            raise ConfigurationError(f"{path!r} is no path of a field beside the others, e.g. 'item.content[].text'")
        if name == "[]":
            field.inner = field = field.inner or _Field()
        else:
            field.fields = {} if field.fields is None else field.fields
            field = field.fields.setdefault(name, _Field())
            field.required = field.required or step.endswith("!")
    if field.rule is not None or field.inner is not None or field.fields is not None:
        raise ConfigurationError(f"{path!r} stands twice among the fields")
    field.rule = rule


def _rule(rule: Any, path: object) -> Any:
    if isinstance(rule, tuple | list | set | frozenset) and rule:
        return tuple(rule)
    if rule in (str, int, float, bool, AUDIO, ANYTHING):
        return rule
    raise ConfigurationError(f"{path!r} must be str, int, float, bool, AUDIO, ANYTHING or a tuple of values")


def _count(value: object, option: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{option} must be a whole number, at least 1, not {value!r}")
    return value


def _rate(value: object, option: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ConfigurationError(f"{option} must be a number a second, more than 0, not {value!r}")
    return float(value)
