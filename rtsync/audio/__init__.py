"""Sound as bytes: the formats of the Realtime API, other sample rates, WAV files, lengths and levels.

PCM16 is 16-bit little-endian mono throughout. Rates are in Hz, lengths in milliseconds, levels in dBFS. What is wrong
with a sound raises ``ConfigurationError``, which is a ``ValueError``; what a disk does to a file meanwhile stays an
``OSError``. Nothing here opens a session, starts a thread or needs numpy. The rooms, and an order to read them in::

    formats      PCM16, ULAW, ALAW: what a session can be told to speak (protocol 4.5)
    reading      read_audio: WAV or raw, from anywhere, as chunks of a session's format; on sources and containers
    wav_reading  WavReader; on wav_encodings
    wav_writing  WavWriter, write_wav
    resampling   Resampler, resample: any sample rate to any other; on polyphase and kaiser
    chunking     chunks
    levels       rms_dbfs, peak_dbfs, LevelMeter, apply_gain
    g711, pcm    samples, for those who look into the bytes
"""

from rtsync.audio.chunking import chunks
from rtsync.audio.formats import ALAW, FORMATS, PCM16, ULAW, AudioFormat, audio_format
from rtsync.audio.levels import LevelMeter, apply_gain, peak_dbfs, rms_dbfs
from rtsync.audio.pcm import HIGHEST_SAMPLE_RATE, LOWEST_SAMPLE_RATE
from rtsync.audio.reading import AudioReader, read_audio
from rtsync.audio.resampling import Resampler, resample
from rtsync.audio.sources import AudioSource
from rtsync.audio.wav_reading import WavReader
from rtsync.audio.wav_writing import WavWriter, write_wav

__all__ = [
    "ALAW",
    "FORMATS",
    "HIGHEST_SAMPLE_RATE",
    "LOWEST_SAMPLE_RATE",
    "PCM16",
    "ULAW",
    "AudioFormat",
    "AudioReader",
    "AudioSource",
    "LevelMeter",
    "Resampler",
    "WavReader",
    "WavWriter",
    "apply_gain",
    "audio_format",
    "chunks",
    "peak_dbfs",
    "read_audio",
    "resample",
    "rms_dbfs",
    "write_wav",
]
