"""Celery tasks: one converses, one writes down a recording and tells how far it is.

What:  asks for both, shows the progress of the second, and prints what they return.
Needs: pip install 'rtsync[celery]'. Without a broker the tasks run in this program. With one, such as
       CELERY_BROKER_URL=redis://localhost CELERY_RESULT_BACKEND=redis://localhost, they run in a worker, started by:
       celery --workdir examples --app celery_tasks worker --concurrency 2
       With an account, the one line that says where to connect becomes another.
Run:   python examples/celery_tasks.py
"""

import math
import os
import sys
import tempfile
import time
from array import array

import celery

import rtsync
from rtsync.audio import write_wav
from rtsync.celery import RealtimeTask

target = rtsync.Simulator()  # the real ones: rtsync.OpenAI() or rtsync.Azure(), with what they need in the environment

app = celery.Celery("celery_tasks")  # reads the two variables itself
app.conf.task_always_eager = "CELERY_BROKER_URL" not in os.environ
WORDS = "conversation.item.input_audio_transcription"


@app.task(base=RealtimeTask, soft_time_limit=120)
def converse(*sentences: str) -> list[str]:
    with rtsync.RealtimeSession(target, config={"output_modalities": ["text"]}) as session:
        return [session.ask(sentence, timeout=60).text for sentence in sentences]


@app.task(base=RealtimeTask, bind=True, soft_time_limit=600)
def transcribe(self: RealtimeTask, path: str) -> str:
    with rtsync.RealtimeSession(target.for_transcription()) as session:
        session.update(audio={"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}, "turn_detection": None}})
        session.send_audio(path, pace=False, progress=self.progress())
        session.commit_audio()
        return str(session.wait_for(f"{WORDS}.completed", timeout=300).transcript)


if __name__ == "__main__":
    print("\n".join(converse.delay("Hello", "Who are you?").get(timeout=120)))
    with tempfile.TemporaryDirectory() as folder:
        upload = sys.argv[1] if len(sys.argv) > 1 else f"{folder}/hum.wav"
        if len(sys.argv) == 1:
            hum = [int(6000 * math.sin(at * math.tau * 220 / 24000)) for at in range(24000 * 3 // 2)]
            write_wav(upload, array("h", hum).tobytes())
        job = transcribe.delay(upload)  # a worker on another host needs a folder that both see
        while not job.ready():
            print(job.state, job.info)
            time.sleep(0.2)
        print(job.get())
