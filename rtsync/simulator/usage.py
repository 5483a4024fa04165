"""Token arithmetic: a deterministic estimate that adds up, and rate limits made of it (protocol 5.2, 5.5)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["ContextMeter", "RateLimits", "pieces", "tokens", "usage_object"]

# Close to how language models cut text: a word of up to twelve letters with its leading space, or one sign.
_TOKEN = re.compile(r"\s*\w{1,12}|\s*[^\w\s]|\s+\Z")
_AUDIO_TOKENS_PER_SECOND = 10  # as seen in captures (protocol 5.2)
_IMAGE_TOKENS = 85


def pieces(text: str) -> list[str]:
    """``text`` cut into tokens; joined again they are ``text``."""
    return _TOKEN.findall(text)


def tokens(text: str) -> int:
    """How many tokens ``text`` counts as."""
    return len(pieces(text))


_Counts = dict[str, int]
_KINDS = ("text_tokens", "audio_tokens", "image_tokens")


def _count_item(item: Mapping[str, Any], bytes_per_ms: int) -> _Counts:
    counts = dict.fromkeys(_KINDS, 0)
    for part in item.get("content", []):
        if part["type"] == "input_image":
            counts["image_tokens"] += _IMAGE_TOKENS
        counts["audio_tokens"] += _audio_tokens(part.get("audio", ""), bytes_per_ms)
        counts["text_tokens"] += tokens(part.get("text") or part.get("transcript") or "")
    for name in ("name", "arguments", "output"):
        counts["text_tokens"] += tokens(item.get(name) or "")
    return counts


def _audio_tokens(audio: str, bytes_per_ms: int) -> int:
    duration_ms = len(audio) * 3 / 4 / bytes_per_ms
    return round(duration_ms / 1000 * _AUDIO_TOKENS_PER_SECOND)


class ContextMeter:
    """Counts what goes into each response, and what of it the previous response had seen already (cached tokens)."""

    def __init__(self) -> None:
        self._previous: list[tuple[str, _Counts]] = []

    def measure(
        self,
        instructions: str,
        tools: Sequence[Mapping[str, Any]],
        items: Sequence[Mapping[str, Any]],
        bytes_per_ms: int = 48,
    ) -> tuple[_Counts, _Counts]:
        """Counts of the whole input, and of its beginning shared with the input measured before.

        ``bytes_per_ms`` is the input audio format's.
        """
        entries = [(instructions, _text_counts(instructions)), (_tools_text(tools), _text_counts(_tools_text(tools)))]
        entries += [(item["id"], _count_item(item, bytes_per_ms)) for item in items]
        shared = _shared_length(self._previous, entries)
        self._previous = entries
        return _sum(entries), _sum(entries[:shared])


def _tools_text(tools: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(list(tools)) if tools else ""


def _text_counts(text: str) -> _Counts:
    return {"text_tokens": tokens(text), "audio_tokens": 0, "image_tokens": 0}


def _shared_length(before: list[tuple[str, _Counts]], now: list[tuple[str, _Counts]]) -> int:
    shared = 0
    for old, new in zip(before, now, strict=False):
        if old != new:
            break
        shared += 1
    return shared


def _sum(entries: list[tuple[str, _Counts]]) -> _Counts:
    return {kind: sum(counts[kind] for _, counts in entries) for kind in _KINDS}


def usage_object(inputs: _Counts, cached: _Counts, output_tokens: int) -> dict[str, Any]:
    """The ``usage`` of a response, GA shape. Every total is the sum of its parts."""
    input_tokens = sum(inputs.values())
    return {
        "total_tokens": input_tokens + output_tokens,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "input_token_details": {**inputs, "cached_tokens": sum(cached.values()), "cached_tokens_details": dict(cached)},
        "output_token_details": {"text_tokens": output_tokens, "audio_tokens": 0},
    }


class RateLimits:
    """Budgets of tokens and requests that refill over a minute. They are reported, never enforced."""

    def __init__(self, *, token_limit: int = 40_000, request_limit: int = 1_000) -> None:
        self._limits = {"tokens": token_limit, "requests": request_limit}
        self._used = {"tokens": 0.0, "requests": 0.0}
        self._at = 0.0

    def spend(self, token_count: int, now: float) -> None:
        """Note a response of ``token_count`` tokens at ``now`` seconds."""
        for name, limit in self._limits.items():
            self._used[name] = max(0.0, self._used[name] - (now - self._at) * limit / 60)
        self._used["tokens"] = min(self._limits["tokens"], self._used["tokens"] + token_count)
        self._used["requests"] = min(self._limits["requests"], self._used["requests"] + 1)
        self._at = now

    def report(self, *names: str) -> list[dict[str, Any]]:
        """The ``rate_limits`` array for these budgets."""
        return [self._line(name) for name in names]

    def _line(self, name: str) -> dict[str, Any]:
        limit, used = self._limits[name], self._used[name]
        return {
            "name": name,
            "limit": limit,
            "remaining": int(limit - used),
            "reset_seconds": round(used * 60 / limit, 3),
        }
