"""Speech in, text out: a transcription session, in which no model answers.

What:  sends a recording in pieces, as a microphone would, and prints its words as they come.
Needs: nothing: it then sends a hum. With a recording, a WAV file at any rate. With an account, the one line that says
       where to connect becomes another.
Run:   python examples/transcription.py
"""

import math
import sys
from array import array

import rtsync
from rtsync.audio import chunks, read_audio

target = rtsync.Simulator().for_transcription()  # the real ones: rtsync.OpenAI() or rtsync.Azure() in its place

RATE = 24000
WORDS = "conversation.item.input_audio_transcription"


def hum(seconds: float) -> bytes:
    return array("h", [int(6000 * math.sin(at * math.tau * 220 / RATE)) for at in range(int(seconds * RATE))]).tobytes()


sound = read_audio(sys.argv[1], chunk_ms=100) if len(sys.argv) > 1 else chunks(hum(1.5), chunk_ms=100)

with rtsync.RealtimeSession(target) as session:
    session.on(f"{WORDS}.delta", lambda session, event: print(event.delta, end="", flush=True))
    # One recording is one turn, which ends with commit_audio(). For a microphone leave turn_detection as it is: then
    # the service hears where turns end.
    session.update(audio={"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}, "turn_detection": None}})
    for chunk in sound:
        session.append_audio(chunk)
    session.commit_audio()
    words = session.wait_for(f"{WORDS}.completed", timeout=30)
    print(f"\n[{len(words.transcript.split())} words]")
