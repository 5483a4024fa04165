"""The sound of the page, without a microphone: its resampler, and its speaker to the sample."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver

from rtsync import Simulator
from tests.page.visiting import Visit, application, served

pytestmark = pytest.mark.timeout(60, func_only=True)  # The first one may have to install Chromium.


@pytest.fixture(scope="module")
def page(browser: WebDriver) -> Iterator[Visit]:
    """For all of these: they leave nothing on it."""
    with served(application(), Simulator()) as (app, wire):
        visit = Visit(browser, app, wire)
        visit.open()
        yield visit
        browser.get("about:blank")


RESAMPLER = "const { Resampler, pcm16 } = await import('/static/resampler.js');"
TONE = """
    const tone = (rate, hertz, length) =>
        Float32Array.from({ length }, (_, n) => 0.5 * Math.sin(2 * Math.PI * hertz * n / rate));
    const level = samples => Math.sqrt(samples.reduce((sum, each) => sum + each * each, 0) / samples.length);
"""
GAIN = f"""
    {RESAMPLER} {TONE}
    const [from, hertz] = args;
    const made = new Resampler(from, 24000).push(tone(from, hertz, from)).slice(500);
    return 20 * Math.log10(Math.max(1e-9, level(made)) / level(tone(from, hertz, from)));
"""


@pytest.mark.parametrize("rate", [48_000, 44_100, 16_000, 96_000])
def test_speech_passes_the_resampler_and_what_would_fold_into_it_does_not(page: Visit, rate: int) -> None:
    for hertz in (100, 1_000, 4_000):
        assert abs(page.do(GAIN, rate, hertz)) < 0.1
    if rate > 24_000:
        assert abs(page.do(GAIN, rate, 8_000)) < 0.1
        for hertz in (13_000, 15_000, 20_000):  # Folded, they would be heard at 11, 9 and 4 kHz.
            assert page.do(GAIN, rate, hertz) < -60


@pytest.mark.parametrize("rate", [48_000, 44_100])
def test_what_is_resampled_in_pieces_is_what_it_is_at_once(page: Visit, rate: int) -> None:
    once, pieces, expected = page.do(
        f"""
        {RESAMPLER} {TONE}
        const [from] = args;
        const sound = tone(from, 440, from);
        const whole = new Resampler(from, 24000);
        const once = [...whole.push(sound), ...whole.flush()];
        const other = new Resampler(from, 24000);
        const pieces = [];
        for (let at = 0; at < sound.length; at += 128) pieces.push(...other.push(sound.slice(at, at + 128)));
        pieces.push(...other.flush());
        return [once, pieces, [...tone(24000, 440, 24000)]];
        """,
        rate,
    )
    assert pieces == once
    assert len(once) == 24_000
    off = [abs(one - other) for one, other in zip(once, expected, strict=True)]
    assert max(off[200:-200]) < 0.001  # Nor is it moved in time.


def test_samples_that_are_too_loud_are_clipped(page: Visit) -> None:
    made = page.do(f"{RESAMPLER} return [...pcm16(Float32Array.of(0, 0.5, 1, 1.5, -1, -1.5))]")
    assert made == [0, 16_384, 32_767, 32_767, -32_768, -32_768]


SPEAKER = """
    const [stops, ...given] = args;             // blocks after which it is stopped; [item, length, finished]
    const told = [];
    globalThis.AudioWorkletProcessor = class { port = { postMessage: each => told.push(each) } };
    globalThis.registerProcessor = (name, made) => { globalThis.made = made; };
    await import(`/static/speaker.js?${Math.random()}`);       // Anew for each test.
    const speaker = new globalThis.made();
    for (const [item, length, finished] of given) {
        speaker.port.onmessage({ data: { do: 'play', item, samples: new Float32Array(length).fill(0.5) } });
        if (finished) speaker.port.onmessage({ data: { do: 'finish', item } });
    }
    const heard = [];
    for (let block = 0; block < 80; block++) {
        if (block === stops) speaker.port.onmessage({ data: { do: 'stop' } });
        const out = new Float32Array(128);
        speaker.process([], [[out]]);
        heard.push(...out);
    }
    return { told, loud: heard.lastIndexOf(0.5) + 1, heard: heard.findLastIndex(each => each !== 0) + 1 };
"""


def test_the_speaker_knows_to_the_sample_what_was_played(page: Visit) -> None:
    stops = 50 * 128  # It is asked for blocks of 128 samples.
    found = page.do(SPEAKER, 50, ["first", 5_000, True], ["second", 3_000, False], ["third", 4_000, False])
    counts = [
        {"item": "first", "given": 5_000, "played": 5_000, "finished": True},
        {"item": "second", "given": 3_000, "played": stops - 5_000, "finished": False},
        {"item": "third", "given": 4_000, "played": 0, "finished": False},
    ]
    assert found["told"] == [{"sounding": True}, {"stopped": counts}, {"sounding": False}]
    assert stops <= found["loud"] <= stops + 1  # Then it falls silent within 5 ms, without a click.
    assert stops < found["heard"] <= stops + 120


def test_the_speaker_plays_all_of_it_and_falls_silent(page: Visit) -> None:
    found = page.do(SPEAKER, None, ["first", 5_000, True], ["second", 3_000, True])
    assert found == {"told": [{"sounding": True}, {"sounding": False}], "loud": 8_000, "heard": 8_000}


def test_heard_is_what_was_played_without_what_the_device_still_holds(page: Visit) -> None:
    script = "const { heard } = await import('/static/voice.js'); return args[0].map(each => heard(each, 0.05))"
    given = [
        {"item": "cut", "given": 48_000, "played": 24_000, "finished": True},
        {"item": "begun", "given": 48_000, "played": 600, "finished": False},
        {"item": "whole", "given": 48_000, "played": 48_000, "finished": True},
        {"item": "starved", "given": 48_000, "played": 48_000, "finished": False},
    ]
    assert page.do(script, given) == [
        {"item": "cut", "whole": False, "heard_ms": 950},
        {"item": "begun", "whole": False, "heard_ms": 0},
        {"item": "whole", "whole": True, "heard_ms": 2_000},
        {"item": "starved", "whole": False, "heard_ms": 1_950},
    ]


def test_sound_is_the_same_in_base64_and_back(page: Visit) -> None:
    script = """
        const { base64, floats } = await import('/static/voice.js');
        return [base64(Int16Array.of(0, 1, -1, 32767, -32768).buffer), [...floats(args[0])].map(each => each * 32768)];
    """
    written = "AAABAP///38AgA=="
    assert page.do(script, written) == [written, [0, 1, -1, 32_767, -32_768]]


QUEUE = """
    const { SoundQueue } = await import('/static/sound_queue.js');
    const queue = new SoundQueue();
    const add = (from, to) => { for (let n = from; n < to; n++) queue.add(String(n).padStart(4, '0')); };
    const all = () => { const taken = []; while (!queue.empty) taken.push(queue.take()); return taken; };
"""


def test_sound_waits_in_order_and_goes_in_pieces_that_the_server_takes(page: Visit) -> None:
    first, second = page.do(f"{QUEUE} add(0, 100); const first = all(); add(100, 101); return [first, all()];")
    assert "".join(first) == "".join(f"{number:04}" for number in range(100))
    assert [len(piece) for piece in first] == [60 * 4, 40 * 4]
    assert second == ["0100"]


def test_of_sound_that_waits_the_last_five_seconds_are_kept_until_it_is_dropped(page: Visit) -> None:
    kept, dropped = page.do(f"{QUEUE} add(0, 1000); const kept = all(); add(0, 9); queue.clear(); return [kept, all()]")
    assert "".join(kept) == "".join(f"{number:04}" for number in range(1000 - 5 * 25, 1000))
    assert dropped == []
