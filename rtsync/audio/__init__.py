"""Sound as bytes: the formats of the Realtime API, other sample rates, WAV files, lengths and levels.

PCM16 is 16-bit little-endian mono throughout, at 24,000 Hz where nothing else is said. Rates are in Hz, lengths in
milliseconds, levels in dBFS. Nothing here opens a session, starts a thread or needs numpy::

    formats      PCM16, ULAW, ALAW: what a session can be told to speak (protocol 4.5)
    resampling   Resampler, resample: any sample rate to any other; on kaiser and polyphase
    g711, pcm    samples, for those who look into the bytes
"""

from rtsync.audio.formats import ALAW, FORMATS, PCM16, ULAW, AudioFormat, audio_format
from rtsync.audio.resampling import HIGHEST_SAMPLE_RATE, LOWEST_SAMPLE_RATE, Resampler, resample

__all__ = [
    "ALAW",
    "FORMATS",
    "HIGHEST_SAMPLE_RATE",
    "LOWEST_SAMPLE_RATE",
    "PCM16",
    "ULAW",
    "AudioFormat",
    "Resampler",
    "audio_format",
    "resample",
]
