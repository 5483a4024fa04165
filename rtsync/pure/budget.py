"""What a session may use, and what it has used."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from rtsync.pure.conversation import Usage
from rtsync.pure.prices import Money, Prices, amount
from rtsync.vocabulary.deadline import seconds
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["Budget", "Spending", "overspent", "reckoned"]


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What a session may use before it ends: ``RealtimeSession(..., budget=Budget(max_tokens=50_000))``.

    When a limit is reached, no further response is asked for: ``respond()`` and ``ask()`` raise ``SessionClosed`` with
    ``CloseCause.BUDGET``, and ``budget_spent`` is sent. A response that has begun or been asked for may end, within
    ``grace``; one that voice detection begins after that is cancelled. Then come the last words, if there are to be
    any, and the session closes with that cause, which is what every wait gets that is still waiting.

    What a response has used is told at its end, so the last one may exceed ``max_tokens`` and ``max_cost``
    (``max_output_tokens`` of the session bounds by how much). What was lost with a line that broke is not told.

    Attributes:
        max_tokens: tokens of all responses and transcriptions, input and output, cached ones too; None for no limit.
        max_seconds: since the session was opened, over reconnects; None for no limit.
        max_cost: in the currency of ``prices``, read as a ``Decimal``; None for no limit.
        prices: what tokens cost; without a limit, for ``session.budget.cost`` alone.
        farewell: instructions for the last words, e.g. ``"Say in one sentence that the time is over."``, added to those
            of the session; no tool is called in them. None for none. They are counted, beyond the limit.
        grace: seconds that what is running when a limit is reached may still take, and the last words again.

    Raises:
        ConfigurationError: an attribute is not what it must be, or ``max_cost`` has no ``prices``.
    """

    max_tokens: int | None = None
    max_seconds: float | None = None
    max_cost: Money | None = None
    prices: Prices | None = None
    farewell: str | None = None
    grace: float = 10.0

    def __post_init__(self) -> None:
        tokens = self.max_tokens
        if tokens is not None and (isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1):
            raise ConfigurationError(f"max_tokens must be a number of tokens, at least 1, or None, not {tokens!r}")
        seconds(self.max_seconds, "max_seconds", none="no limit")
        if self.grace is None:
            raise ConfigurationError("grace must be a number of seconds, not None")
        seconds(self.grace, "grace", zero=self.farewell is None)
        if self.prices is not None and not isinstance(self.prices, Prices):
            raise ConfigurationError(f"prices must be a Prices(...), not {type(self.prices).__name__}")
        if self.max_cost is not None:
            if self.prices is None:
                raise ConfigurationError("max_cost needs prices=Prices(...): what tokens cost is not known here")
            msgspec.structs.force_setattr(self, "max_cost", amount(self.max_cost, "max_cost"))
        if self.farewell is not None and not (isinstance(self.farewell, str) and self.farewell.strip()):
            raise ConfigurationError("farewell must be instructions for the last words, a str, or None")


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What a session has used at one moment: ``session.budget``.

    Attributes:
        tokens: of responses and transcriptions together.
        seconds: since it was opened, until now or its end.
        cost: by ``prices``; None where there are none.
        usage: the tokens by their kinds.
        unpriced: fields of ``usage`` that are not in ``cost``, because they have no price.
        budget: the limits; None where there are none.
        spent: which limit was reached first, in words; None while none is.
    """

    tokens: int
    seconds: float
    cost: Decimal | None
    usage: Usage
    unpriced: tuple[str, ...] = ()
    budget: Budget | None = None
    spent: str | None = None


def reckoned(usage: Usage, lasted: float, budget: Budget | None, spent: str | None = None) -> Spending:
    """What a session has used, given its ``usage`` and that it has ``lasted`` so many seconds."""
    prices = None if budget is None else budget.prices
    return Spending(
        tokens=max(usage.total_tokens, usage.input_tokens + usage.output_tokens) + usage.transcription_tokens,
        seconds=lasted,
        cost=None if prices is None else prices.cost(usage),
        usage=usage,
        unpriced=() if prices is None else prices.unpriced(usage),
        budget=budget,
        spent=spent,
    )


def overspent(spending: Spending) -> str | None:
    """Which limit is reached, in words; None where none is."""
    limits = spending.budget
    if limits is None:
        return None
    if limits.max_tokens is not None and spending.tokens >= limits.max_tokens:
        return f"{spending.tokens} of {limits.max_tokens} tokens"
    if isinstance(limits.max_cost, Decimal) and spending.cost is not None and spending.cost >= limits.max_cost:
        return f"a cost of {spending.cost:.6f} of {limits.max_cost}"
    if limits.max_seconds is not None and spending.seconds >= limits.max_seconds:
        return f"{spending.seconds:.1f} of {limits.max_seconds:g} seconds"
    return None
