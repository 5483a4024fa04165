"""Speech in, speech out: a recording is said as if into a microphone, and the spoken answer becomes a WAV file.

What:  sends a WAV at the pace of speech; voice detection hears where its turn ends, and the model answers by itself.
Needs: nothing: it then sends a hum. With a recording, a WAV file at any rate. With an account, the one line that says
       where to connect becomes another.
Run:   python examples/voice.py
"""

import math
import sys
from array import array

import rtsync
from rtsync.audio import PCM16, write_wav

target = rtsync.Simulator()  # the real ones: rtsync.OpenAI() or rtsync.Azure() in its place

question = sys.argv[1] if len(sys.argv) > 1 else "question.wav"
if len(sys.argv) == 1:
    hum = array("h", [int(6000 * math.sin(at * math.tau * 220 / 24000)) for at in range(24000)])
    write_wav(question, PCM16.silence(500) + hum.tobytes())  # half a second of silence, a second of hum

with rtsync.RealtimeSession(target) as session, session.responses(timeout=30) as responses:
    session.update(audio={"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}})
    session.on("input_audio_buffer.speech_started", lambda _, event: print("from", event.audio_start_ms, "ms"))
    session.on("input_audio_buffer.speech_stopped", lambda _, event: print("to", event.audio_end_ms, "ms"))
    words = "conversation.item.input_audio_transcription.completed"
    with session.expect(words) as heard:
        print("sent", session.send_audio(question), "ms")  # with the silence that voice detection needs to hear the end
    print("you:", heard.event.transcript)
    response = next(responses)
    print("answer.wav:", response.save("answer.wav"), "ms:", response.transcript)
