"""Prices and limits: what tokens cost by a program's own table, and when a budget is spent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtsync import Budget, ConfigurationError, Prices, RealtimeError, Usage
from rtsync.pure.budget import overspent, reckoned
from rtsync.pure.conversation import Conversation
from rtsync.vocabulary.events import Event

TABLE = Prices(
    input_text=4,
    cached_text="0.40",
    input_audio=32,
    cached_audio="0.40",
    input_image=5,
    output_text=16,
    output_audio=64,
)
MILLION = 1_000_000


def used(*usages: dict[str, Any], transcribed: tuple[dict[str, Any], ...] = ()) -> Usage:
    """What a conversation counts, given the usage objects of its responses and transcriptions."""
    conversation = Conversation()
    for number, usage in enumerate(usages):
        body = {"id": f"r{number}", "status": "completed", "usage": usage}
        conversation.apply(Event({"type": "response.done", "response": body}))
    kind = "conversation.item.input_audio_transcription.completed"
    for usage in transcribed:
        conversation.apply(Event({"type": kind, "item_id": "i", "transcript": "", "usage": usage}))
    return conversation.usage


FULL = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 10,
        "image_tokens": 3,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}


# -- what it costs -----------------------------------------------------------------------------------------------------


def test_every_token_is_priced_once_by_its_kind() -> None:
    cost = TABLE.cost(used(FULL))
    expected = (
        59 * Decimal(4) + 60 * Decimal("0.40") + 6 * Decimal(32) + 4 * Decimal("0.40") + 3 * Decimal(5)
        + 30 * Decimal(16) + 91 * Decimal(64)
    )  # fmt: skip
    assert cost == expected / MILLION


def test_the_cost_of_several_responses_is_the_sum() -> None:
    assert TABLE.cost(used(FULL, FULL, FULL)) == 3 * TABLE.cost(used(FULL))


def test_a_thousand_small_amounts_do_not_drift() -> None:
    usage = {"input_tokens": 1, "input_token_details": {"text_tokens": 1}}
    assert Prices(input_text=0.1, output_text=1).cost(used(*[usage] * 1000)) == Decimal("0.0001")


def test_cached_tokens_cost_as_much_as_others_where_they_have_no_price() -> None:
    plain = Prices(input_text=4, input_audio=32, output_text=16)
    cached = {**FULL, "output_token_details": {}, "output_tokens": 0}
    uncached = {**cached, "input_token_details": {"text_tokens": 119, "audio_tokens": 10, "image_tokens": 3}}
    assert plain.cost(used(cached)) == plain.cost(used(uncached))


def test_cached_tokens_of_no_kind_take_off_the_least() -> None:
    details = {"text_tokens": 10, "audio_tokens": 10, "cached_tokens": 12}
    cost = TABLE.cost(used({"input_tokens": 20, "input_token_details": details}))
    assert cost == (10 * Decimal("0.40") + 8 * Decimal(32) + 2 * Decimal("0.40")) / MILLION


def test_more_cached_than_there_was_costs_nothing_back() -> None:
    details = {"text_tokens": 10, "cached_tokens": 99, "cached_tokens_details": {"text_tokens": 99}}
    assert TABLE.cost(used({"input_tokens": 10, "input_token_details": details})) == Decimal("4.0") / MILLION


def test_what_has_no_price_of_its_own_costs_the_dearest_of_its_side() -> None:
    table = Prices(input_text=4, input_audio=32, output_text=16)
    image = {"input_tokens": 5, "input_token_details": {"image_tokens": 5}}
    audio = {"output_tokens": 7, "output_token_details": {"audio_tokens": 7}}
    assert table.cost(used(image)) == 5 * Decimal(32) / MILLION
    assert table.cost(used(audio)) == 7 * Decimal(16) / MILLION


def test_tokens_of_a_server_that_tells_no_details_cost_the_dearest() -> None:
    assert TABLE.cost(used({"total_tokens": 30, "input_tokens": 10, "output_tokens": 20})) == (
        (10 * Decimal(32) + 20 * Decimal(64)) / MILLION
    )


def test_transcriptions_have_prices_of_their_own() -> None:
    table = Prices(
        input_text=4, output_text=16, transcription_text="2.50", transcription_audio=6, transcription_output=10
    )
    told = {
        "type": "tokens", "total_tokens": 24, "input_tokens": 16, "output_tokens": 8,
        "input_token_details": {"text_tokens": 2, "audio_tokens": 14},
    }  # fmt: skip
    usage = used(transcribed=(told,))
    assert table.cost(usage) == (2 * Decimal("2.50") + 14 * 6 + 8 * 10) / MILLION
    assert (usage.transcriptions, usage.transcription_tokens, usage.total_tokens) == (1, 24, 0)


def test_transcriptions_by_the_minute_are_counted_in_seconds() -> None:
    usage = used(transcribed=({"type": "duration", "seconds": 90}, {"type": "duration", "seconds": 0.5}))
    table = Prices(input_text=4, output_text=16, transcription_minute="0.006")
    assert usage.transcription_seconds == 90.5
    assert table.cost(usage) == Decimal("90.5") / 60 * Decimal("0.006")
    assert table.unpriced(usage) == ()


def test_minutes_without_a_price_are_named() -> None:
    usage = used(transcribed=({"type": "duration", "seconds": 90},))
    assert TABLE.cost(usage) == 0
    assert TABLE.unpriced(usage) == ("transcription_seconds",)
    assert reckoned(usage, 1.0, Budget(prices=TABLE)).unpriced == ("transcription_seconds",)


_TOKENS = st.integers(min_value=0, max_value=10_000)


@given(text=_TOKENS, audio=_TOKENS, image=_TOKENS, cached=_TOKENS, out=_TOKENS, spoken=_TOKENS, more=_TOKENS)
def test_a_cost_is_never_less_than_all_at_the_cheapest_nor_more_than_all_at_the_dearest(
    text: int, audio: int, image: int, cached: int, out: int, spoken: int, more: int
) -> None:
    came, went = text + audio + image, out + spoken + more
    usage = used(
        {
            "total_tokens": came + went,
            "input_tokens": came,
            "output_tokens": went,
            "input_token_details": {
                "text_tokens": text, "audio_tokens": audio, "image_tokens": image, "cached_tokens": min(cached, came),
            },
            "output_token_details": {"text_tokens": out, "audio_tokens": spoken},
        }
    )  # fmt: skip
    cost = TABLE.cost(usage) * MILLION
    assert came * Decimal("0.40") + went * 16 <= cost <= came * 32 + went * 64


@pytest.mark.parametrize("junk", [None, "7", -3, True, [], {"text_tokens": "4"}, 1e308])
def test_numbers_of_a_server_that_are_none_count_nothing(junk: Any) -> None:
    usage = used(
        {"total_tokens": junk, "input_tokens": junk, "input_token_details": junk, "output_token_details": [junk]},
        transcribed=({"seconds": junk if junk != "7" else float("inf"), "input_token_details": junk},),
    )
    assert TABLE.cost(usage) == 0
    assert usage.transcription_seconds == 0.0


# -- what may be said --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", ["much", "", "NaN", "Infinity", -1, "-0.01", True, [], float("nan"), b"4"])
def test_a_price_that_is_none_is_refused(price: Any) -> None:
    with pytest.raises(ConfigurationError, match="input_text must be an amount of money"):
        Prices(input_text=price, output_text=16)


@pytest.mark.parametrize("price", [4, "4", 4.0, Decimal(4), "4.00"])
def test_a_price_may_be_written_in_several_ways(price: Any) -> None:
    assert Prices(input_text=price, output_text=1).input_text == Decimal(4)


@pytest.mark.parametrize(("prices", "missing"), [({"input_text": 4}, "output"), ({"output_audio": 4}, "input")])
def test_a_table_without_one_side_is_refused(prices: dict[str, Any], missing: str) -> None:
    with pytest.raises(ConfigurationError, match=f"needs a price of {missing}"):
        Prices(**prices)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_tokens": 0}, "max_tokens must be"),
        ({"max_tokens": 1.5}, "max_tokens must be"),
        ({"max_tokens": True}, "max_tokens must be"),
        ({"max_seconds": 0}, "max_seconds"),
        ({"max_seconds": "long"}, "max_seconds"),
        ({"max_cost": 1}, "max_cost needs prices"),
        ({"max_cost": "much", "prices": TABLE}, "max_cost must be an amount"),
        ({"max_cost": 1, "prices": {"input_text": 4}}, "prices must be a Prices"),
        ({"farewell": " "}, "farewell must be"),
        ({"farewell": 7}, "farewell must be"),
        ({"grace": None}, "grace must be"),
        ({"grace": -1}, "grace"),
        ({"grace": 0, "farewell": "Say goodbye."}, "grace"),
    ],
)
def test_limits_that_are_none_are_refused(limits: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        Budget(**limits)
    assert isinstance(refused.value, RealtimeError)


# -- when it is spent --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "seconds", "said"),
    [
        (Budget(), 1e9, None),
        (Budget(prices=TABLE), 1e9, None),
        (Budget(max_tokens=254), 0.0, None),
        (Budget(max_tokens=253), 0.0, "253 of 253 tokens"),
        (Budget(max_tokens=1), 0.0, "253 of 1 tokens"),
        (Budget(max_seconds=60), 59.9, None),
        (Budget(max_seconds=60), 60.0, "60.0 of 60 seconds"),
        (Budget(max_cost="0.0067728", prices=TABLE), 0.0, None),
        (Budget(max_cost="0.0067726", prices=TABLE), 0.0, "a cost of 0.006773 of 0.0067726"),
        (Budget(max_tokens=1, max_seconds=1), 2.0, "253 of 1 tokens"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_budget_is_spent_when_a_limit_is_reached(budget: Budget, seconds: float, said: str | None) -> None:
    assert overspent(reckoned(used(FULL), seconds, budget)) == said


def test_tokens_of_transcriptions_count_too() -> None:
    usage = used(FULL, transcribed=({"type": "tokens", "total_tokens": 24},))
    assert reckoned(usage, 0.0, None).tokens == 277


def test_tokens_without_a_total_are_added_up() -> None:
    assert reckoned(used({"input_tokens": 3, "output_tokens": 4}), 0.0, None).tokens == 7
