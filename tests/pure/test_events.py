"""Events: nothing is lost, whatever came."""

from __future__ import annotations

import copy
import json
import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtsync import Event, ProtocolError
from rtsync.vocabulary.events import Fields, Items, decode, encode, new_event_id

DONE = {
    "type": "response.done",
    "event_id": "event_1",
    "response": {"id": "r", "output": [{"content": [{"type": "output_audio", "transcript": "Hi"}]}], "usage": None},
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
json_objects = st.dictionaries(st.text(max_size=12), json_values, max_size=6)


def same(found: Any, expected: Any) -> bool:
    """Equal, with types, and with NaN equal to itself."""
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(found, float) and math.isnan(found)
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return type(found) is type(expected) and found == expected


@given(json_objects, st.booleans())
def test_any_object_is_decoded_to_exactly_what_came(value: dict[str, Any], ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    try:
        message = text.encode()
    except UnicodeEncodeError:  # Half a surrogate pair travels in ASCII only.
        message = json.dumps(value).encode()
    event = decode(message)
    assert same(event.to_dict(), json.loads(message))
    assert set(event) == set(value)
    assert len(event) == len(value)


@given(json_objects)
def test_what_was_received_is_written_as_it_came(value: dict[str, Any]) -> None:
    value = json.loads(json.dumps(value).replace("NaN", "0").replace("-Infinity", "0").replace("Infinity", "0"))
    event = decode(json.dumps(value).encode())
    assert same(json.loads(encode(event)), value)
    assert same(json.loads(encode({"type": "x", "view": event})), {"type": "x", "view": value})
    assert event == value
    assert copy.deepcopy(event) == event
    assert pickle.loads(pickle.dumps(event)) == event


def test_fields_are_read_by_attribute_and_by_name() -> None:
    event = Event(DONE)
    assert event.type == "response.done" == event["type"]
    assert event.response.output[0].content[0].transcript == "Hi"
    assert event["response"]["output"][0]["content"][0]["transcript"] == "Hi"
    assert event.response.usage is None
    assert event.get("nothing") is None
    assert event.get("nothing", 5) == 5
    assert "response" in event
    assert "nothing" not in event
    assert list(event) == ["type", "event_id", "response"]
    assert event.wire_type == "response.done"


def test_a_field_that_is_missing_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match=r"Event\[response.done\] has no field 'delta'; it has: type, event_id"):
        _ = Event(DONE).delta
    with pytest.raises(KeyError):
        Event(DONE)["delta"]
    assert not hasattr(Event(DONE), "delta")
    assert not hasattr(Event(DONE), "_private")


def test_an_event_is_read_only() -> None:
    event = Event(copy.deepcopy(DONE))
    for target in (event, event.response):
        with pytest.raises(AttributeError, match="read-only"):
            target.type = "x"
        with pytest.raises(AttributeError, match="read-only"):
            del target.type
    with pytest.raises(TypeError):
        event["type"] = "x"  # type: ignore[index]
    with pytest.raises(TypeError):
        event.response.output[0] = 1


def test_a_copy_may_be_changed() -> None:
    event = Event(copy.deepcopy(DONE))
    plain = event.to_dict()
    plain["response"]["output"][0]["content"].clear()
    event.response.output.to_list().clear()
    assert event == DONE
    assert copy.copy(event) is event


def test_events_are_compared_by_value() -> None:
    event = Event(DONE)
    assert event == Event(copy.deepcopy(DONE))
    assert event == DONE
    assert DONE == event
    assert event != {**DONE, "more": 1}
    assert event != "response.done"
    assert event.response == DONE["response"]
    assert event.response.output == DONE["response"]["output"]  # type: ignore[index]
    assert event.response.output == [event.response.output[0]]
    assert event.response.output != 5
    assert {"nested": event} == {"nested": DONE}
    with pytest.raises(TypeError):
        hash(event)


def test_pickling_keeps_everything() -> None:
    event = Event(DONE, "response.done.preview")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        found = pickle.loads(pickle.dumps(event, protocol))
        assert (type(found), found, found.type, found.wire_type) == (Event, event, event.type, "response.done.preview")
    fields = pickle.loads(pickle.dumps(event.response))
    assert type(fields) is Fields
    assert fields.output[0].content[0].transcript == "Hi"
    assert type(pickle.loads(pickle.dumps(fields.output))) is Items


def test_dir_shows_fields() -> None:
    names = dir(Event({**DONE, "not an identifier": 1}))
    assert {"response", "event_id", "type", "to_dict", "get"} <= set(names)
    assert "not an identifier" not in names


def test_a_field_with_the_name_of_a_method_is_read_by_brackets() -> None:
    event = Event({"type": "x", "items": [1], "keys": 2, "get": 3, "to_dict": 4, "wire_type": 5, "_data": 6})
    assert [event[name] for name in ("items", "keys", "get", "to_dict", "wire_type", "_data")] == [[1], 2, 3, 4, 5, 6]
    assert event.to_dict()["to_dict"] == 4
    assert event.wire_type == "x"


@pytest.mark.parametrize("kind", [None, 5, [], {}, True])
def test_a_type_that_is_no_text_is_the_empty_one_and_the_field_as_it_came(kind: Any) -> None:
    event = decode(json.dumps({"type": kind}).encode())
    assert event.type == ""
    assert event["type"] == kind


def test_no_type_is_the_empty_one() -> None:
    assert decode(b"{}").type == ""


def test_arrays_are_sequences() -> None:
    items = Event({"list": [1, {"a": 2}, [3]]}).list
    assert len(items) == 3
    assert items[1].a == 2
    assert items[-1][0] == 3
    assert items[:2] == [1, {"a": 2}]
    assert [type(inner) for inner in items] == [int, Fields, Items]
    assert 1 in items
    assert {"a": 2} in items
    assert items.index(1) == 0


# -- odd messages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": NaN, "b": Infinity, "c": -Infinity}',
        b'{"a": "\\ud800", "b": "\\udc00\\ud800"}',
        b'{"a": 123456789012345678901234567890}',
        b'{"a": -123456789012345678901234567890, "b": 18446744073709551616, "c": 9223372036854775808}',
        b'{"a": 1e999, "b": 1.0, "c": -0.0, "d": 1e-400}',
        b'{"": {"": [{}]}}',
        b' \n{"a":\t1}\r\n ',
        b'{"a": "\\u0000\\u2028\\ufeff"}',
        '{"ключ": "значение", "😀": "é"}'.encode(),
    ],
)
def test_odd_but_legal_messages_come_as_json_has_them(message: bytes) -> None:
    assert same(decode(message).to_dict(), json.loads(message))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": 1}{"b": 2}', "not JSON"),
        (b"[]", "not an object"),
        (b"1", "not an object"),
        (b"null", "not an object"),
        (b'"text"', "not an object"),
        (b'{"a": ' * 100_000, "nested too deeply"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'{"a": ' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
    ],
)
def test_what_is_no_json_object_is_refused_without_its_content(message: bytes, said: str) -> None:
    with pytest.raises(ProtocolError, match=said) as raised:
        decode(message)
    assert len(str(raised.value)) < 200
    assert str(len(message)) in str(raised.value)
    assert raised.value.close_code is None


@pytest.mark.parametrize("message", [b"\xff", b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}', b'{"a": "\xc3'])
def test_what_is_no_utf8_is_told_apart(message: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        decode(message)


def test_deeply_nested_events_can_be_copied_shown_and_read() -> None:
    message = b'{"a": ' * 900 + b"1" + b"}" * 900
    event = decode(message)
    inner: Any = event
    for _ in range(900):
        inner = inner["a"]
    assert inner == 1
    assert "..." in repr(event)
    plain = event.to_dict()
    for _ in range(900):
        plain = plain["a"]
    assert plain == 1


# -- what is shown --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        {"type": "response.output_audio.delta", "delta": "SECRETSECRET"},
        {"type": "response.audio.delta", "delta": "SECRETSECRET"},
        {"type": "session.output_audio.delta", "delta": "SECRETSECRET"},
        {"type": "conversation.item.retrieved", "item": {"content": [{"type": "audio", "audio": "SECRETSECRET"}]}},
        {"type": "session.created", "session": {"client_secret": {"value": "SECRETSECRET"}}},
        {"type": "session.created", "session": {"tools": [{"type": "mcp", "authorization": "SECRETSECRET"}]}},
        {"type": "session.created", "session": {"tools": [{"headers": "SECRETSECRET"}]}},
        {"type": "x", "item": {"content": [{"type": "input_image", "image_url": "SECRETSECRET"}]}},
        {"type": "session.created", "session": {"tools": [{"headers": {"X-Key": "SECRETSECRET"}}]}},
    ],
)
def test_audio_images_and_secrets_are_not_shown(value: dict[str, Any]) -> None:
    event = decode(json.dumps(value).encode())
    assert "SECRET" not in repr(event)
    assert "SECRET" not in str(event)
    assert "SECRET" not in f"{event!r:.5000}"
    assert "SECRET" in json.dumps(event.to_dict())


def test_a_repr_says_what_it_is_and_cuts_long_text() -> None:
    shown = repr(Event({"type": "x", "text": "y" * 5000, "short": "z", "list": [1, None, {"a": True}]}))
    assert shown.startswith("Event[x]({'type': 'x', 'text': 'yyy")
    assert "<5000 characters>" in shown
    assert "'short': 'z', 'list': [1, None, {'a': True}]" in shown
    assert len(shown) < 300
    assert repr(Event({"list": [1]}).list) == "[1]"
    assert repr(Event({"a": {"b": 1}}).a) == "Fields({'b': 1})"


# -- writing --------------------------------------------------------------------------------------------------------


def test_bytes_are_written_as_base64_also_beside_views() -> None:
    view = Event({"a": [1]})
    for value in (b"\xff", bytearray(b"\xff"), memoryview(b"\xff")):
        assert json.loads(encode({"audio": value, "view": view.a, "odd": "\ud800"})) == {
            "audio": "/w==", "view": [1], "odd": "\ud800",
        }  # fmt: skip


@pytest.mark.parametrize("value", [object(), {"a": {1: object()}}, [lambda: None]])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"object|function"):
        encode({"type": "x", "value": value})


def test_event_ids_are_short_and_new() -> None:
    made = {new_event_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(name.startswith("event_") and len(name) < 100 for name in made)
