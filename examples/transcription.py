"""Speech in, text out: a transcription session, in which no model answers.

What:  sends a recording in pieces, as a microphone would, and prints its words as they come.
Needs: nothing: it then sends a hum. With a recording, a WAV file of 16 bits, mono, 24000 Hz. With an account, the one
       line that says where to connect becomes another.
Run:   python examples/transcription.py
"""

import math
import sys
import wave
from array import array
from collections.abc import Iterator

import rtsync

target = rtsync.Simulator().for_transcription()  # the real ones: rtsync.OpenAI() or rtsync.Azure() in its place

RATE = 24000
PIECE = RATE // 10  # samples: 100 ms
WORDS = "conversation.item.input_audio_transcription"


def recording(path: str) -> bytes:
    with wave.open(path) as sound:
        if (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) != (1, 2, RATE):
            raise SystemExit(f"{path} is not 16 bits, mono, {RATE} Hz")
        return bytes(sound.readframes(sound.getnframes()))


def hum(seconds: float) -> bytes:
    return array("h", [int(6000 * math.sin(at * math.tau * 220 / RATE)) for at in range(int(seconds * RATE))]).tobytes()


def pieces(pcm: bytes) -> Iterator[bytes]:
    for start in range(0, len(pcm), 2 * PIECE):
        yield pcm[start : start + 2 * PIECE]


with rtsync.RealtimeSession(target) as session:
    session.on(f"{WORDS}.delta", lambda session, event: print(event.delta, end="", flush=True))
    # One recording is one turn, which ends with commit_audio(). For a microphone leave turn_detection as it is: then
    # the service hears where turns end.
    session.update(audio={"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}, "turn_detection": None}})
    for piece in pieces(recording(sys.argv[1]) if len(sys.argv) > 1 else hum(1.5)):
        session.append_audio(piece)
    session.commit_audio()
    words = session.wait_for(f"{WORDS}.completed", timeout=30)
    print(f"\n[{len(words.transcript.split())} words]")
