"""Webhooks: genuine ones are read, all others refused; the official SDK is the witness."""

from __future__ import annotations

import base64
import copy
import email.message
import hashlib
import hmac
import json
import pickle
import time
from typing import Any

import openai
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rtsync.pure.webhook import IncomingCall, verify_webhook
from rtsync.vocabulary.errors import ConfigurationError, RealtimeError, WebhookRefused
from rtsync.vocabulary.events import Event

# The test vector of protocol 1.7.
SECRET = "whsec_cnRzeW5jLXRlc3Qtc2VjcmV0LTAxMjM0NTY3ODk="
ID = "wh_000000000000000000000001"
SENT = 1750287078
BODY = (
    b'{"object":"event","id":"evt_1","type":"realtime.call.incoming","created_at":1750287018,"data":{"call_id":"rtc_1",'
    b'"sip_headers":[{"name":"From","value":"sip:+15550100@example.test"}]}}'
)
SIGNATURE = "v1,RQ2l1AyL4eFalLIpz5pUJtytnYMXnUoVir4AwV+yYi8="
HEADERS = {"webhook-id": ID, "webhook-timestamp": str(SENT), "webhook-signature": SIGNATURE}


def sign(body: bytes, *, sent: int = SENT, secret: str = SECRET, identifier: str = ID) -> dict[str, str]:
    """Headers of a genuine webhook, made without the code under test."""
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    code = hmac.new(key, f"{identifier}.{sent}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(code).decode()}"
    return {"webhook-id": identifier, "webhook-timestamp": str(sent), "webhook-signature": signature}


def verify(body: bytes = BODY, headers: Any = None, secret: str | None = SECRET, **options: Any) -> Event:
    return verify_webhook(body, HEADERS if headers is None else headers, secret, **{"now": SENT, **options})


def refusal(body: bytes = BODY, headers: Any = None, **options: Any) -> WebhookRefused:
    with pytest.raises(WebhookRefused) as caught:
        verify(body, headers, **options)
    return caught.value


# -- genuine -------------------------------------------------------------------------------------------------------


def test_the_documented_vector_is_an_incoming_call() -> None:
    call = verify()
    assert isinstance(call, IncomingCall)
    assert (call.type, call.id, call.created_at, call.call_id) == (
        "realtime.call.incoming",
        "evt_1",
        1750287018,
        "rtc_1",
    )
    assert call.sip_headers == (("From", "sip:+15550100@example.test"),)
    assert call.sip_media_security is None
    assert call.to_dict() == json.loads(BODY)
    assert call.data.call_id == "rtc_1"


def test_our_own_signatures_are_those_of_the_vector() -> None:
    assert sign(BODY) == HEADERS


def test_sip_headers_keep_their_order_and_repeats() -> None:
    pairs = [("Via", "one"), ("From", "sip:a@b"), ("Via", "two"), ("X-é", "ü")]
    data = {
        "call_id": "rtc_2",
        "sip_headers": [{"name": name, "value": value} for name, value in pairs],
        "sip_media_security": "srtp",
    }
    body = json.dumps({"type": "realtime.call.incoming", "data": data}).encode()
    call = verify(body, sign(body))
    assert isinstance(call, IncomingCall)
    assert call.sip_headers == tuple(pairs)
    assert call.sip_media_security == "srtp"
    assert call.sip_header("via") == "one"
    assert call.sip_header("To") is None
    assert (call.id, call.created_at) == ("", None)


@pytest.mark.parametrize("found", [None, "x", {}, [1, None, {}, {"name": "a"}, {"name": 1, "value": "b"}]])
def test_odd_sip_headers_are_left_out(found: object) -> None:
    data = {"call_id": "rtc_2", "sip_headers": found, "sip_media_security": 7}
    body = json.dumps({"type": "realtime.call.incoming", "data": data}).encode()
    call = verify(body, sign(body))
    assert isinstance(call, IncomingCall)
    assert (call.sip_headers, call.sip_media_security) == ((), None)


def test_an_incoming_call_travels() -> None:
    call = verify()
    for travelled in (pickle.loads(pickle.dumps(call)), copy.copy(call), copy.deepcopy(call)):
        assert isinstance(travelled, IncomingCall)
        assert travelled == call
        assert travelled.call_id == "rtc_1"


def test_a_phone_number_is_not_shown() -> None:
    assert "15550100" not in repr(verify())


@pytest.mark.parametrize("type_", ["response.completed", "live.transport.incoming", "something.new"])
def test_other_types_are_verified_and_come_as_they_are(type_: str) -> None:
    body = json.dumps({"object": "event", "id": "evt_2", "type": type_, "data": {"id": "resp_1"}}).encode()
    event = verify(body, sign(body))
    assert not isinstance(event, IncomingCall)
    assert (event.type, event.id, event.data.id) == (type_, "evt_2", "resp_1")


def test_header_names_may_be_in_any_case_and_any_kind_of_headers() -> None:
    message = email.message.Message()
    for name, value in HEADERS.items():
        message[name.title()] = value
    assert verify(headers=message).type == "realtime.call.incoming"
    assert verify(headers={name.upper(): value for name, value in HEADERS.items()}).type == "realtime.call.incoming"


def test_a_raw_secret_is_taken_as_its_bytes() -> None:
    assert verify(BODY, sign(BODY, secret="plain secret ü"), "plain secret ü").id == "evt_1"


def test_the_secret_is_found_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", SECRET)
    assert verify(secret=None).id == "evt_1"


def test_one_of_several_signatures_is_enough() -> None:
    for several in (f"v1,AAAA {SIGNATURE}", f"{SIGNATURE} v1,AAAA", f"v1a,xxx  {SIGNATURE}", SIGNATURE[3:]):
        assert verify(headers={**HEADERS, "webhook-signature": several}).id == "evt_1"


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda raw: raw.decode()])
def test_the_body_may_be_any_raw_one(kind: Any) -> None:
    assert verify(kind(BODY)).id == "evt_1"


def test_the_clock_is_this_machines_unless_told_otherwise() -> None:
    assert verify_webhook(BODY, sign(BODY, sent=int(time.time())), SECRET).id == "evt_1"
    with pytest.raises(WebhookRefused, match="a replay") as caught:
        verify_webhook(BODY, HEADERS, SECRET)
    assert caught.value.reason == "stale"


# -- refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_header_is_named(name: str, value: str | None) -> None:
    headers = {key: found for key, found in HEADERS.items() if key != name} | ({} if value is None else {name: value})
    refused = refusal(headers=headers)
    assert refused.reason == "missing header"
    assert name in str(refused)


@pytest.mark.parametrize(
    ("now", "tolerance", "fresh"),
    [
        (SENT + 300, 300, True),
        (SENT - 300, 300, True),
        (SENT + 300.9, 300, True),
        (SENT + 301, 300, False),
        (SENT - 301, 300, False),
        (SENT, 0, True),
        (SENT + 1, 0, False),
        (SENT + 3600, 7200, True),
    ],
)
def test_the_tolerance_counts_both_ways(now: float, tolerance: float, fresh: bool) -> None:
    if fresh:
        assert verify(now=now, tolerance=tolerance).id == "evt_1"
    else:
        assert refusal(now=now, tolerance=tolerance).reason == "stale"


@pytest.mark.parametrize(
    "timestamp", ["soon", "1e9", "1750287078.0", "-1", "+1750287078", "1_750_287_078", "١٢", "9" * 5000]
)
def test_a_timestamp_that_is_no_number_is_malformed(timestamp: str) -> None:
    assert refusal(headers={**HEADERS, "webhook-timestamp": timestamp}).reason == "malformed"


@pytest.mark.parametrize(
    "headers",
    [
        {**HEADERS, "Webhook-Id": "another"},
        {**HEADERS, "webhook-id": "\ud800"},
        {**HEADERS, "webhook-signature": b"v1,bytes"},
    ],
)
def test_headers_that_no_request_has_are_malformed(headers: Any) -> None:
    assert refusal(headers=headers).reason == "malformed"


@pytest.mark.parametrize(
    "signature", ["v1,", "v1,AAAA", ", ,", "é", "\udcff", SIGNATURE[:-1], SIGNATURE.lower(), f"v2,{SIGNATURE[3:]}"]
)
def test_a_signature_that_does_not_fit_is_forged(signature: str) -> None:
    assert refusal(headers={**HEADERS, "webhook-signature": signature}).reason == "forged"


def test_another_endpoints_secret_is_forged() -> None:
    assert refusal(secret="whsec_AAAA").reason == "forged"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"a":1}',
        b'{"type":7}',
        b'{"type":""}',
        b'{"type":"\xff"}',
        b'{"type":"realtime.call.incoming"}',
        b'{"type":"realtime.call.incoming","data":[]}',
        b'{"type":"realtime.call.incoming","data":{"call_id":7}}',
        b'{"type":"realtime.call.incoming","data":{"call_id":""}}',
        b"[" * 100_000,
    ],
    ids=lambda body: body[:60].decode("latin-1"),
)
def test_a_genuine_body_that_is_no_event_is_malformed(body: bytes) -> None:
    assert refusal(body, sign(body)).reason == "malformed"


def test_nothing_is_read_of_a_body_that_is_not_genuine() -> None:
    assert refusal(b"[" * 100_000, HEADERS).reason == "forged"


def test_a_refusal_is_one_of_rtsyncs_errors_and_travels() -> None:
    refused = refusal(now=0)
    assert isinstance(refused, RealtimeError)
    travelled = pickle.loads(pickle.dumps(refused))
    assert (type(travelled), travelled.reason, str(travelled)) == (WebhookRefused, "stale", str(refused))
    assert SECRET not in str(refused)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"secret": None}, "OPENAI_WEBHOOK_SECRET"),
        ({"secret": "whsec_"}, "copy it again"),
        ({"secret": "whsec_***"}, "copy it again"),
        ({"secret": "whsec_c2Vj*cmV0"}, "copy it again"),
        ({"secret": "whsec_é"}, "copy it again"),
        ({"secret": 7}, "must be a string"),
        ({"body": {"type": "x"}}, "request.get_data()"),
        ({"body": None}, "raw body"),
        ({"tolerance": -1}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"tolerance": float("inf")}, "tolerance"),
        ({"tolerance": "300"}, "tolerance"),
        ({"tolerance": True}, "tolerance"),
    ],
)
def test_a_mistake_of_the_caller_is_a_configuration_error(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        verify(**options)
    assert said in str(caught.value)
    assert "***" not in str(caught.value)


# -- any flipped bit is refused ------------------------------------------------------------------------------------


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
@example(0, 1)
def test_a_body_with_a_flipped_byte_is_forged(place: int, mask: int) -> None:
    body = bytearray(BODY)
    body[place] ^= mask
    assert refusal(bytes(body)).reason == "forged"


@given(st.sampled_from(sorted(HEADERS)), st.data())
def test_a_header_with_another_character_is_refused(name: str, data: st.DataObject) -> None:
    value = HEADERS[name]
    # A signature counts with or without its "v1,", so flipping that alone may leave the signature whole.
    first = 3 if name == "webhook-signature" else 0
    place = data.draw(st.integers(first, len(value) - 1))
    other = data.draw(st.characters().filter(lambda found: found != value[place]))
    refused = refusal(headers={**HEADERS, name: value[:place] + other + value[place + 1 :]}, tolerance=10**16)
    assert refused.reason in {"forged", "malformed"}


@given(st.binary(max_size=200), st.integers(SENT - 200, SENT + 200), st.text(st.characters(codec="utf-8"), min_size=1))
def test_whatever_is_signed_is_believed(raw: bytes, sent: int, identifier: str) -> None:
    body = b'{"type":"x","raw":"' + raw.hex().encode() + b'"}'
    assert verify(body, sign(body, sent=sent, identifier=identifier)).raw == raw.hex()


# -- the official SDK ----------------------------------------------------------------------------------------------


def _official(body: bytes, headers: dict[str, str], tolerance: int) -> bool:
    with openai.OpenAI(api_key="k", webhook_secret=SECRET) as client:
        try:
            client.webhooks.verify_signature(body, headers, tolerance=tolerance)
        except (openai.InvalidWebhookSignatureError, ValueError):
            return False
    return True


def _ours(body: bytes, headers: dict[str, str], tolerance: int) -> bool:
    try:
        verify_webhook(body, headers, SECRET, tolerance=tolerance)
    except WebhookRefused:
        return False
    return True


VARIANTS: dict[str, tuple[dict[str, str], bytes, bool]] = {
    "good": ({}, BODY, True),
    "changed body": ({}, BODY.replace(b"rtc_1", b"rtc_2"), False),
    "changed id": ({"webhook-id": "wh_2"}, BODY, False),
    "forged": ({"webhook-signature": SIGNATURE}, BODY, False),
    "no signature": ({"webhook-signature": ""}, BODY, False),
    "odd time": ({"webhook-timestamp": "now"}, BODY, False),
}


@pytest.mark.parametrize(("changes", "body", "good"), VARIANTS.values(), ids=VARIANTS)
def test_the_official_client_agrees(changes: dict[str, str], body: bytes, good: bool) -> None:
    headers = {**sign(BODY, sent=int(time.time())), **changes}
    assert _ours(body, headers, 300) is good
    assert _official(body, headers, 300) is good


@pytest.mark.parametrize(("seconds", "good"), [(-1000, False), (-100, True), (100, True), (1000, False)])
def test_the_official_client_agrees_on_what_is_stale(seconds: int, good: bool) -> None:
    headers = sign(BODY, sent=int(time.time()) + seconds)
    assert _ours(BODY, headers, 500) is good
    assert _official(BODY, headers, 500) is good


def test_the_official_client_reads_the_same_call() -> None:
    headers = sign(BODY, sent=int(time.time()))
    with openai.OpenAI(api_key="k", webhook_secret=SECRET) as client:
        theirs = client.webhooks.unwrap(BODY, headers)
    ours = verify_webhook(BODY, headers, SECRET)
    assert theirs.type == "realtime.call.incoming"
    assert isinstance(ours, IncomingCall)
    assert (ours.id, ours.created_at, ours.call_id) == (theirs.id, theirs.created_at, theirs.data.call_id)
    assert ours.sip_headers == tuple((header.name, header.value) for header in theirs.data.sip_headers)
