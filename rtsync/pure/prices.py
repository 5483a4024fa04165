"""What tokens cost, by a table that the program supplies: there is none in the package, because prices change.

1. Money is ``Decimal``: a sum of small amounts that is compared with a limit must not drift.
2. Every token of a response is priced once: what was cached at its own price, the rest at that of its kind.
3. What the table leaves out is reckoned at the dearest price of its side, input or output, and what a service does not
   tell the kind of as well. So a limit is reached too early rather than too late.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

import msgspec

from rtsync.pure.conversation import Usage
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["Money", "Prices", "amount"]

Money = Decimal | int | float | str
"""What a price may be written as; 0.06 is meant as it is written."""

_MILLION = 1_000_000
_INPUT = ("input_text", "input_audio", "input_image")
_OUTPUT = ("output_text", "output_audio")
_KINDS = ("text", "audio", "image")


def amount(value: object, name: str) -> Decimal:
    """``value`` as money, 0 or more.

    Raises:
        ConfigurationError: it is none; the message names it ``name``.
    """
    if isinstance(value, Decimal | int | float | str) and not isinstance(value, bool):
        try:
            found = Decimal(str(value))
        except InvalidOperation:
            found = Decimal("NaN")
        if found.is_finite() and found >= 0:
            return found
    raise ConfigurationError(f"{name} must be an amount of money such as '0.60', 0 or more, not {value!r}")


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """What one model costs, in any currency: ``Budget(max_cost=..., prices=Prices(...))``. Take it from the service's
    own list, for the model that you use.

    ::

        Prices(input_text=4, cached_text="0.40", input_audio=32, cached_audio="0.40", output_text=16, output_audio=64)

    Each is a ``Decimal``, int, str or float, and read as a ``Decimal``. At least one of the input and one of the output
    has to be given.

    Attributes:
        input_text: for a million tokens of input that are text; None: as the dearest of the input that is given. So for
            the next two.
        input_audio: that are audio.
        input_image: that are images.
        cached_text: for a million tokens of text that the service had read before; None: no less than others. So for
            the next two.
        cached_audio: of audio.
        cached_image: of images.
        output_text: for a million tokens of output that are text; None: as the dearer of the output.
        output_audio: that are audio.
        transcription_text: for a million tokens of input of the model that transcribes the user's audio
            (protocol 4.6); None: as the dearest of the input. So for the next one.
        transcription_audio: of its input that are audio.
        transcription_output: of its output; None: as the dearer of the output.
        transcription_minute: for a minute, by models that count time; None: not counted, and
            ``Spending.unpriced`` says so.

    Raises:
        ConfigurationError: one is no amount of money, or none of the input or of the output is given.
    """

    input_text: Money | None = None
    input_audio: Money | None = None
    input_image: Money | None = None
    cached_text: Money | None = None
    cached_audio: Money | None = None
    cached_image: Money | None = None
    output_text: Money | None = None
    output_audio: Money | None = None
    transcription_text: Money | None = None
    transcription_audio: Money | None = None
    transcription_output: Money | None = None
    transcription_minute: Money | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if (value := getattr(self, name)) is not None:
                msgspec.structs.force_setattr(self, name, amount(value, name))
        for side, names in (("input", _INPUT), ("output", _OUTPUT)):
            if all(getattr(self, name) is None for name in names):
                raise ConfigurationError(f"Prices needs a price of {side}: one of {', '.join(names)}")

    def cost(self, usage: Usage) -> Decimal:
        """What ``usage`` has cost."""
        tokens = sum((count * price for count, price in self._priced(usage)), Decimal(0))
        minutes = Decimal(str(usage.transcription_seconds)) / 60
        return tokens / _MILLION + minutes * self._given("transcription_minute", Decimal(0))

    def unpriced(self, usage: Usage) -> tuple[str, ...]:
        """What of ``usage`` is not in ``cost``, because it has no price: names of fields of ``usage``."""
        missing = usage.transcription_seconds > 0 and self.transcription_minute is None
        return ("transcription_seconds",) if missing else ()

    def _priced(self, usage: Usage) -> Iterator[tuple[int, Decimal]]:
        """Numbers of tokens, and what a million of such costs."""
        dearest, dearer = self._dearest(_INPUT), self._dearest(_OUTPUT)
        again = _cached_by_kind(usage)
        for kind in _KINDS:
            price = self._given(f"input_{kind}", dearest)
            count = getattr(usage, f"input_{kind}_tokens")
            cached = min(count, again[kind])
            yield count - cached, price
            yield cached, self._given(f"cached_{kind}", price)
        yield max(0, usage.input_tokens - sum(getattr(usage, f"{name}_tokens") for name in _INPUT)), dearest
        for name in _OUTPUT:
            yield getattr(usage, f"{name}_tokens"), self._given(name, dearer)
        yield max(0, usage.output_tokens - sum(getattr(usage, f"{name}_tokens") for name in _OUTPUT)), dearer
        yield from self._transcriptions(usage, dearest, dearer)

    def _transcriptions(self, usage: Usage, dearest: Decimal, dearer: Decimal) -> Iterator[tuple[int, Decimal]]:
        text, audio, out = (
            usage.transcription_text_tokens, usage.transcription_audio_tokens, usage.transcription_output_tokens,
        )  # fmt: skip
        yield text, self._given("transcription_text", dearest)
        yield audio, self._given("transcription_audio", dearest)
        yield out, self._given("transcription_output", dearer)
        yield max(0, usage.transcription_tokens - text - audio - out), dearest

    def _given(self, name: str, otherwise: Decimal) -> Decimal:
        price = getattr(self, name)
        return price if isinstance(price, Decimal) else otherwise

    def _dearest(self, names: tuple[str, ...]) -> Decimal:
        return max(self._given(name, Decimal(0)) for name in names)


def _cached_by_kind(usage: Usage) -> dict[str, int]:
    """Cached tokens of each kind. Those that a service does not tell the kind of are text as far as there is any, which
    costs the least, so that the least is taken off.
    """
    known = {kind: getattr(usage, f"cached_{kind}_tokens") for kind in _KINDS}
    left = max(0, usage.cached_tokens - sum(known.values()))
    for kind in _KINDS:
        more = min(left, max(0, getattr(usage, f"input_{kind}_tokens") - known[kind]))
        known[kind] += more
        left -= more
    return known
