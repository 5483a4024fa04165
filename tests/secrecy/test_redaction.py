"""What is taken out of a server's words: credentials in every form, also one that was cut off."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from rtsync.pure.failures import credentials_sent, without_credentials
from rtsync.vocabulary.foreign import credentials_in, redact

KEY = "sk-proj-Zq7vN3+x/A9=Mnb.42"


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
@pytest.mark.parametrize(
    "write",
    [
        str,
        lambda text: quote(text, safe=""),
        lambda text: json.dumps(text),
        lambda text: json.dumps(text).replace("/", "\\/"),
        lambda text: json.dumps(text).replace("+", "\\u002B"),
        lambda text: base64.b64encode(text.encode()).decode(),
    ],
)
def test_a_credential_goes_in_every_form(write: object, before: str) -> None:
    assert callable(write)
    found = redact(f"You sent {write(before + KEY + before)}, which is wrong", (KEY,))
    assert "***" in found
    assert found.startswith("You sent ")
    for start in range(len(KEY) - 8):
        piece = KEY[start : start + 8]
        assert piece not in found
        assert base64.b64encode(piece.encode())[:10].decode() not in found


@pytest.mark.parametrize("kept", range(8, len(KEY)))
def test_the_beginning_of_a_credential_at_the_end_goes_too(kept: int) -> None:
    assert redact(f"invalid: {KEY[:kept]}", (KEY,)) == "invalid: ***"
    assert redact(f"invalid: {KEY[:kept]} and on", (KEY,)) == f"invalid: {KEY[:kept]} and on"


def test_placeholders_blank_out_nothing() -> None:
    assert redact("any key is fine", ("any", "")) == "any key is fine"


def test_whatever_header_carries_a_credential_is_known() -> None:
    headers = {"Authorization": "Bearer a", "Ocp-Apim-Subscription-Key": "b", "X-Auth-Token": "c", "Accept": "d"}
    assert credentials_in(headers) == ("Bearer a", "a", "b", "c")


def test_only_what_speaks_of_a_failure_is_changed() -> None:
    failure = {"code": KEY, "message": f"bad {KEY}", "more": [{"why": KEY}], "n": 1}
    clean = {"code": "***", "message": "bad ***", "more": [{"why": "***"}], "n": 1}
    item = {"id": KEY, "error": failure}
    event = {
        "type": KEY,
        "delta": KEY,
        "error": failure,
        "item": item,
        "response": {"id": KEY, "status_details": failure, "output": [item, "odd"]},
    }
    found = without_credentials(event, lambda text: redact(text, (KEY,)))
    assert found == {
        **event,
        "error": clean,
        "item": {"id": KEY, "error": clean},
        "response": {"id": KEY, "status_details": clean, "output": [{"id": KEY, "error": clean}, "odd"]},
    }
    assert event["error"] is failure


@pytest.mark.parametrize("event", [{}, {"error": None}, {"error": 7, "item": [], "response": "x"}, {"item": {}}])
def test_what_has_nothing_to_hide_is_not_copied(event: dict[str, object]) -> None:
    assert without_credentials(event, lambda text: text) is event


def test_an_error_without_end_is_cut() -> None:
    endless: list[object] = []
    for _ in range(5000):
        endless = [endless]
    found = without_credentials({"error": {"a": endless}}, lambda text: text)
    assert len(repr(found)) < 200


def test_credentials_for_mcp_servers_are_found_in_what_is_sent() -> None:
    tools = [{"type": "mcp", "authorization": "one", "headers": {"X": "Bearer two"}}, {"type": "function"}, "odd", 7]
    for holder in ("session", "response"):
        assert credentials_sent({"type": "x", holder: {"tools": tools}}) == ("one", "Bearer two", "two")
    odd: list[dict[str, object]] = [{}, {"session": 7}, {"session": {"tools": "x"}}, {"session": {"tools": None}}]
    assert [credentials_sent(each) for each in odd] == [()] * len(odd)
