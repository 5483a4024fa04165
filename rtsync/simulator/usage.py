"""Token arithmetic: a deterministic estimate that adds up, and rate limits made of it (protocol 5.2, 5.5)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rtsync.audio.formats import audio_format

__all__ = ["ContextMeter", "RateLimits", "heard_tokens", "pieces", "spoken_tokens", "tokens", "usage_object"]

# Close to how language models cut text: a word of up to twelve letters with its leading space, or one sign.
_TOKEN = re.compile(r"\s*\w{1,12}|\s*[^\w\s]|\s+\Z")
_HEARD_TOKENS_PER_SECOND = 10  # as seen in captures (protocol 5.2)
_SPOKEN_TOKENS_PER_SECOND = 20
_IMAGE_TOKENS = 85


def pieces(text: str) -> list[str]:
    """``text`` cut into tokens; joined again they are ``text``."""
    return _TOKEN.findall(text)


def tokens(text: str) -> int:
    """How many tokens ``text`` counts as."""
    return len(pieces(text))


_Counts = dict[str, int]
_KINDS = ("text_tokens", "audio_tokens", "image_tokens")


def heard_tokens(duration_ms: float) -> int:
    """How many tokens this much of the user's audio counts as."""
    return round(duration_ms * _HEARD_TOKENS_PER_SECOND / 1000)


def spoken_tokens(duration_ms: float) -> int:
    """How many tokens this much of the model's audio counts as."""
    return round(duration_ms * _SPOKEN_TOKENS_PER_SECOND / 1000)


def _count_item(item: Mapping[str, Any]) -> _Counts:
    counts = dict.fromkeys(_KINDS, 0)
    for part in item.get("content", []):
        if part["type"] == "input_image":
            counts["image_tokens"] += _IMAGE_TOKENS
        counts["audio_tokens"] += _audio_tokens(part)
        if not (part["type"] == "input_audio" and part.get("audio")):  # The model hears it, it does not read it.
            counts["text_tokens"] += tokens(part.get("text") or part.get("transcript") or "")
    for name in ("name", "arguments", "output"):
        counts["text_tokens"] += tokens(item.get(name) or "")
    return counts


def _audio_tokens(part: Mapping[str, Any]) -> int:
    audio = part.get("audio")
    if not audio:
        return 0
    duration_ms = len(audio) * 3 / 4 / audio_format(part["format"]).bytes_per_ms
    return heard_tokens(duration_ms) if part["type"] == "input_audio" else spoken_tokens(duration_ms)


class ContextMeter:
    """Counts what goes into each response, and what of it the previous response had seen already (cached tokens)."""

    def __init__(self) -> None:
        self._previous: list[tuple[str, _Counts]] = []

    def measure(
        self,
        instructions: str,
        tools: Sequence[Mapping[str, Any]],
        items: Sequence[Mapping[str, Any]],
    ) -> tuple[_Counts, _Counts]:
        """Counts of the whole input, and of its beginning shared with the input measured before."""
        entries = [(instructions, _text_counts(instructions)), (_tools_text(tools), _text_counts(_tools_text(tools)))]
        entries += [(item["id"], _count_item(item)) for item in items]
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


def usage_object(inputs: _Counts, cached: _Counts, text_tokens: int, audio_tokens: int = 0) -> dict[str, Any]:
    """The ``usage`` of a response, GA shape. Every total is the sum of its parts."""
    input_tokens = sum(inputs.values())
    output_tokens = text_tokens + audio_tokens
    return {
        "total_tokens": input_tokens + output_tokens,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "input_token_details": {**inputs, "cached_tokens": sum(cached.values()), "cached_tokens_details": dict(cached)},
        "output_token_details": {"text_tokens": text_tokens, "audio_tokens": audio_tokens},
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
