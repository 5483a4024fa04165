"""What can go wrong on a line, when, and on which: values, and the text that they are written as.

A fault is an *effect* (``Reset``, ``Stall``, ``Close`` ...), the *moment* at which it strikes, and a choice of *lines*.
``Fault(Close(1011), events=10, first=1)`` and ``Fault.parse("close=1011@events=10,first=1")`` are the same, and
``str()`` gives the text back. The text is

    effect[=value][,detail=value]...[@word=value[,word=value]...]

where the value of the effect is its first detail, the words behind ``@`` are the fields of ``Fault``, a flag is a word
alone, ``none`` stands for nothing, and a value with a comma, an ``@`` or blanks at its ends is put in double quotes.

Pure: nothing here knows the clock or a socket; chance is drawn from ``seed`` and the number of the line, so that a run
can be repeated.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, get_args

import msgspec
from msgspec import Meta

from rtsync.simulator.frames import WrongFrame
from rtsync.vocabulary.errors import ConfigurationError

__all__ = [
    "EFFECTS",
    "AnswerEffect",
    "Close",
    "Drip",
    "Duplicate",
    "Effect",
    "End",
    "Error",
    "EventEffect",
    "Expire",
    "Fault",
    "LineEffect",
    "Lose",
    "MessageEffect",
    "Refuse",
    "Reorder",
    "Reset",
    "Split",
    "Stall",
    "Wrong",
]

_From0 = Annotated[int, Meta(ge=0, description="a whole number, 0 or more")]
_From1 = Annotated[int, Meta(ge=1, description="a whole number, 1 or more")]
_Seconds = Annotated[float, Meta(ge=0, description="seconds, 0 or more")]
_SomeSeconds = Annotated[float, Meta(gt=0, description="seconds, more than 0")]
_Share = Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")]
_Code = Annotated[int, Meta(ge=0, le=0xFFFF, description="a whole number from 0 to 65535")]
_Status = Annotated[int, Meta(ge=200, le=599, description="an HTTP status from 200 to 599")]
_Reason = Annotated[str, Meta(max_length=123, description="text of at most 123 bytes")]
_Name = Annotated[str, Meta(pattern=r"\A[\w.-]{1,60}\Z", description="a name such as model_not_found")]
_HeaderValue = Annotated[str, Meta(pattern=r"\A[\x20-\x7e]+\Z", description="text that can stand in a header")]
_Size = Annotated[int, Meta(ge=64, description="a whole number, 64 or more")]

_LONGEST_REASON = 123  # bytes, so that the close frame is a control frame that may be


class Effect(msgspec.Struct, frozen=True):
    """What goes wrong. Its name in a text is that of the class, in lower case."""

    moments: ClassVar[frozenset[str]] = frozenset()
    """The fields of a ``Fault`` that may say when."""

    def __post_init__(self) -> None:
        _check_fields(self)

    @classmethod
    def name(cls) -> str:
        """What it is called in a text."""
        return cls.__name__.lower()

    def __str__(self) -> str:
        return "".join(_written(self, self.name(), leading=True))


class LineEffect(Effect, frozen=True):
    """Strikes between any two bytes, also in the middle of a frame or of the upgrade's answer."""

    moments = frozenset({"bytes", "events", "on", "inside", "seconds", "every"})


class MessageEffect(Effect, frozen=True):
    """Strikes between two events."""

    moments = frozenset({"events", "on", "seconds", "every"})


class EventEffect(Effect, frozen=True):
    """Strikes an event and those that follow: from the event that the moment names, or the next."""

    moments = MessageEffect.moments


class AnswerEffect(Effect, frozen=True):
    """Takes the place of the upgrade's answer."""


class Reset(LineEffect, frozen=True):
    """A TCP reset."""

    moments = LineEffect.moments | {"accept"}


class End(LineEffect, frozen=True):
    """The stream ends without a close frame, as when a process dies.

    Attributes:
        notify: over TLS, say so properly (close_notify) before.
    """

    notify: bool = False
    moments = Reset.moments


class Stall(LineEffect, frozen=True):
    """Silence: a half-open line, where nothing is read, nothing sent and no ping answered.

    Attributes:
        side: ``both``; ``reads``: the server stops reading, and still sends; ``writes``: it stops sending, and still
            reads.
        lasting: seconds after which everything goes on, with nothing lost; None: for ever.
    """

    side: Literal["both", "reads", "writes"] = "both"
    lasting: _SomeSeconds | None = None
    moments = Reset.moments


class Drip(LineEffect, frozen=True):
    """A slow line.

    Attributes:
        rate: bytes that leave the server each second.
    """

    rate: _From1 = 100


class Close(MessageEffect, frozen=True):
    """A close frame.

    Attributes:
        code: any, those included that must not be sent (1005, 1006, 1015, 0); None leaves it out.
        reason: text beside the code.
    """

    code: _Code | None = 1011
    reason: _Reason = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.reason.encode()) > _LONGEST_REASON:
            raise ConfigurationError(f"close: reason must be {_allowed(_Reason)}")


class Error(MessageEffect, frozen=True):
    """An ``error`` event; with ``close`` the end of the session as well, which is how OpenAI refuses (protocol 1.2).

    Attributes:
        code: ``error.code``; None as where the service leaves it null.
        kind: ``error.type``.
        message: the sentence.
        close: code of the close frame behind it, whose reason is ``<kind>.<code>``; None: the session goes on.
    """

    code: _Name | None = None
    kind: _Name = "server_error"
    message: str = "The fault lab wants an error here."
    close: _Code | None = None


class Expire(MessageEffect, frozen=True):
    """The session's maximum duration is over: ``session_expired``, then 1001 (protocol 6.2).

    Attributes:
        minutes: the duration that the message names; 60 on OpenAI, 30 on Azure.
    """

    minutes: _From1 = 60


class Wrong(MessageEffect, frozen=True):
    """A frame that a server must not send. What is wrong with it: see ``frames.WrongFrame``.

    Attributes:
        frame: in which way it is wrong.
        size: bytes of a ``huge`` message.
    """

    frame: WrongFrame
    size: _Size = (64 << 20) + 1


class Duplicate(EventEffect, frozen=True):
    """Events arrive twice, with the same ``event_id``.

    Attributes:
        count: how many, one after another.
    """

    count: _From1 = 1


class Reorder(EventEffect, frozen=True):
    """Two neighbours change places. An event that none follows comes half a second late instead.

    Attributes:
        count: how many pairs, one after another.
    """

    count: _From1 = 1


class Lose(EventEffect, frozen=True):
    """Events never arrive.

    Attributes:
        count: how many, one after another.
    """

    count: _From1 = 1


class Split(EventEffect, frozen=True):
    """Events come in small frames from now on, which is unusual and allowed.

    Attributes:
        size: bytes in each frame.
    """

    size: _From1 = 16


class Refuse(AnswerEffect, frozen=True):
    """The upgrade is refused with an HTTP status.

    Attributes:
        status: from 200 to 599.
        retry_after: header ``Retry-After``: seconds or a date.
        location: header ``Location``, for redirects.
    """

    status: _Status = 503
    retry_after: _HeaderValue | None = None
    location: _HeaderValue | None = None


_ALL = (Close, Drip, Duplicate, End, Error, Expire, Lose, Refuse, Reorder, Reset, Split, Stall, Wrong)
EFFECTS: dict[str, type[Effect]] = {effect.name(): effect for effect in _ALL}
"""Every effect by its name."""

_MOMENTS = ("accept", "bytes", "events", "on", "seconds", "every")


class Fault(msgspec.Struct, frozen=True):
    """An effect, when it strikes, and on which lines.

    It strikes a line once, except with ``every``. Without a moment it strikes at once: as soon as the upgrade is
    answered.

    Attributes:
        what: the effect.
        accept: before a byte is read, and before TLS. Then every TCP connection counts as a line.
        bytes: after so many bytes have been sent, the upgrade's answer included; 0 is in place of the answer. Counted
            before they are encrypted.
        events: after the n-th event of the line, or with it where the effect is one of events; 0 is before the first.
        on: the same for an event of this type, by its name on the wire.
        nth: which of those.
        inside: with ``events`` or ``on``: after so many bytes of that event's frame.
        seconds: so long after the upgrade.
        every: again and again, about every so many seconds: half as many to one and a half times.
        first: only the first n lines; those that ``skip`` passes over do not count.
        skip: not the first n lines.
        each: only every n-th line.
        chance: only this share of the lines.
        seed: another number, other chances.

    Raises:
        ConfigurationError: a field is out of range, or the moment does not fit the effect.
    """

    what: Effect
    accept: bool = False
    bytes: _From0 | None = None
    events: _From0 | None = None
    on: Annotated[str, Meta(min_length=1, description="the type of an event")] | None = None
    nth: _From1 = 1
    inside: _From0 | None = None
    seconds: _Seconds | None = None
    every: _SomeSeconds | None = None
    first: _From1 | None = None
    skip: _From0 = 0
    each: _From1 = 1
    chance: _Share = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        _check_fields(self)
        said = [name for name in _MOMENTS if getattr(self, name) not in (None, False)]
        if len(said) > 1:
            raise ConfigurationError(f"{self.what}: strikes at one moment, not at {' and '.join(said)}")
        if self.inside is not None and not (self.events or self.on):
            raise ConfigurationError(f"{self.what}: inside goes with on, or with events from 1")
        if self.nth != 1 and said != ["on"]:
            raise ConfigurationError(f"{self.what}: nth goes with on")
        self._check_moment([*said, *(["inside"] if self.inside is not None else [])])

    def _check_moment(self, said: list[str]) -> None:
        for name in said:
            if name not in self.what.moments:
                allowed = ", ".join(sorted(self.what.moments)) or "no other moment than the upgrade's answer"
                raise ConfigurationError(f"{self.what} cannot strike at {name}; it can at {allowed}")
        if self.accept and isinstance(self.what, Stall) and self.what.side != "both":
            raise ConfigurationError(f"{self.what} cannot strike at accept: nothing is read or sent there yet")

    @staticmethod
    def parse(text: str) -> Fault:
        """The fault that ``text`` stands for.

        Raises:
            ConfigurationError: says which part is wrong, and what could stand there.
        """
        try:
            return _parsed(text)
        except ConfigurationError as error:
            raise ConfigurationError(f"fault {text!r}: {error}") from None

    def __str__(self) -> str:
        words = list(_written(self, "", leading=False))
        return f"{self.what}@{''.join(words)[1:]}" if words else str(self.what)

    @property
    def has_moment(self) -> bool:
        """Whether it says when it strikes."""
        return any(getattr(self, name) not in (None, False) for name in _MOMENTS)

    def concerns(self, line: int) -> bool:
        """Whether it strikes this line; 1 is the first."""
        number = line - self.skip
        if number < 1 or number % self.each or (self.first is not None and number > self.first):
            return False
        return self.chance == 1 or self._dice(line, "chance").random() < self.chance

    def delays(self, line: int) -> Iterator[float]:
        """Seconds from the upgrade to the first time it strikes this line, and from each time to the next."""
        if self.seconds is not None:
            yield self.seconds
        if self.every is not None:
            dice = self._dice(line, "every")
            while True:
                yield self.every * dice.uniform(0.5, 1.5)

    def _dice(self, line: int, purpose: str) -> random.Random:
        return random.Random(f"{self.seed} {line} {purpose} {self.what}")


_Fields = tuple[msgspec.structs.FieldInfo, ...]


def _check_fields(value: msgspec.Struct) -> None:
    for field in msgspec.structs.fields(value):
        given = getattr(value, field.name)
        try:
            if not isinstance(given, Effect):
                msgspec.convert(given, field.type)
            fits = not isinstance(given, float) or math.isfinite(given)
        except msgspec.ValidationError:
            fits = False
        if not fits:
            raise ConfigurationError(f"{field.name}={given!r}: must be {_allowed(field.type)}")


def _allowed(kind: Any) -> str:
    """What a field of this type takes, in words."""
    arguments = get_args(kind)
    if type(None) in arguments:
        return " ".join([*(_allowed(each) for each in arguments if each is not type(None)), "(or none)"])
    described = [each.description for each in arguments if isinstance(each, Meta) and each.description]
    if described:
        return str(described[0])
    if arguments:
        return "one of " + ", ".join(map(str, arguments))
    return {bool: "true or false", int: "a whole number", str: "text"}.get(kind, "an effect, such as Reset()")


_WORD = re.compile(r'\s*([a-z_]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^,@"]*?)\s*)?([,@]|$)', re.DOTALL)
_PLAIN = re.compile(r'(?!none$)[^,@"\s](?:[^,@"]*[^,@"\s])?')


def _parsed(text: str) -> Fault:
    (name, value), *details = _words(text, before=True)
    effect = EFFECTS.get(name)
    if effect is None:
        raise ConfigurationError(f"there is no {name!r}; there are {', '.join(EFFECTS)}")
    fields = msgspec.structs.fields(effect)
    given = {} if value is None else {_leading(name, fields): value}
    what = effect(**_read(name, fields, details, given))
    when = msgspec.structs.fields(Fault)[1:]
    return Fault(what, **_read("behind @", when, list(_words(text, before=False)), {}))


def _words(text: str, *, before: bool) -> list[tuple[str, str | None]]:
    """The names and values before the ``@``, or behind it."""
    found: list[tuple[str, str | None]] = []
    at, effect, more = 0, True, True
    while more:
        match = _WORD.match(text, at)
        if match is None or (match[3] == "@" and not effect):
            what = "expected an effect" if not found and effect else "expected name or name=value, parted by commas"
            raise ConfigurationError(f"{what}, at {text[at:]!r}")
        if effect is before:
            found.append((match[1], match[2]))
        effect, more, at = effect and match[3] != "@", match[3] != "", match.end()
    return found


def _leading(name: str, fields: _Fields) -> str:
    if not fields:
        raise ConfigurationError(f"{name} takes no value")
    return fields[0].name


def _read(whose: str, fields: _Fields, words: list[tuple[str, str | None]], given: dict[str, str]) -> dict[str, Any]:
    """Words and values as arguments."""
    known = {field.name: field for field in fields}
    texts: dict[str, str | None] = dict(given)
    for name, value in words:
        if name not in known:
            raise ConfigurationError(f"{whose}: there is no {name!r}; there is {', '.join(known) or 'nothing'}")
        if name in texts:
            raise ConfigurationError(f"{whose}: {name} is said twice")
        texts[name] = value
    missing = [field.name for field in fields if field.required and field.name not in texts]
    if missing:
        raise ConfigurationError(f"{whose} needs a value, {_allowed(known[missing[0]].type)}: {whose}=...")
    return {name: _value(known[name], text) for name, text in texts.items()}


def _value(field: msgspec.structs.FieldInfo, text: str | None) -> Any:
    if text is None:
        text = "true" if field.type is bool else ""
    if text == "none" and type(None) in get_args(field.type):
        return None
    plain = re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL) if text.startswith('"') else text
    try:
        return _converted(plain, field.type)
    except msgspec.ValidationError:
        raise ConfigurationError(f"{field.name}={text}: must be {_allowed(field.type)}") from None


def _converted(text: str, kind: Any) -> Any:
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        if not text.startswith("."):
            raise
        return msgspec.convert(f"0{text}", kind, strict=False)  # .5, which is no number in JSON


def _written(value: msgspec.Struct, name: str, *, leading: bool) -> Iterator[str]:
    """What differs from its default, as a text has it."""
    fields = [field for field in msgspec.structs.fields(value) if field.name != "what"]
    yield from [name] if name else []
    for field in fields:
        given = getattr(value, field.name)
        if given is True:
            yield f",{field.name}"
        elif given != field.default:
            yield ("" if leading and field is fields[0] else f",{field.name}") + f"={_quoted(given)}"


def _quoted(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    text = str(value)
    return text if _PLAIN.fullmatch(text) else '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
