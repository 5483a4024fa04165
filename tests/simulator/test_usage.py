"""Token arithmetic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rtsync.simulator.ids import new_id
from rtsync.simulator.usage import RateLimits, pieces, tokens


@given(st.text())
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


def test_tokens_are_about_words() -> None:
    assert tokens("") == 0
    assert tokens("Say a couple paragraphs!") == 5


def test_rate_limits_are_spent_and_refill_over_a_minute() -> None:
    limits = RateLimits(token_limit=6000, request_limit=60)
    limits.spend(3000, now=0.0)
    assert limits.report("tokens") == [{"name": "tokens", "limit": 6000, "remaining": 3000, "reset_seconds": 30.0}]
    limits.spend(0, now=10.0)
    requests, left = limits.report("requests", "tokens")
    assert left["remaining"] == 4000
    assert requests["remaining"] == 59
    limits.spend(100_000, now=10.0)
    assert limits.report("tokens")[0]["remaining"] == 0


def test_ids_are_fresh() -> None:
    assert len({new_id("item") for _ in range(1000)}) == 1000
