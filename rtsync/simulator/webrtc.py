"""Is this speech? WebRTC's detector, for sessions that shall hear a voice in noise that comes and goes.

Its strictest mode holds in noise where the milder ones hear speech everywhere, but it misses the soft beginning and end
of words and goes on for 100 ms behind them. So it decides that somebody speaks, and the energy above the noise says
from where to where: sound that stands out just before speech begins, or right after, may belong to it.

A higher threshold wants louder speech, as the service describes it; 0.35 and 0.2 are where a milder mode is taken.
"""

from __future__ import annotations

from array import array

from rtsync.audio.pcm import lower_rate, pcm_bytes, rms
from rtsync.simulator.vad import FRAME_MS, Heard, SpeechDetector, is_hiss
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["WebrtcDetector", "check_webrtc"]

_RATES = (8000, 16000, 32000, 48000)
_JUDGED_RATE = 8000  # It looks at 80 to 4000 Hz only, whatever it is given.
_MODES = ((0.2, 1), (0.35, 2), (1.01, 3))  # below this threshold, this aggressiveness
_WARM_UP_FRAMES = 20  # In its first 100 ms it takes noise for speech; 400 ms are on the safe side.
_TAIL_FRAMES = 3  # frames behind the last voiced one: a final s


def check_webrtc() -> None:
    """Say at once, and how to put it right, that the package is not there.

    Raises:
        ConfigurationError: it is not.
    """
    try:
        import webrtcvad  # noqa: F401 - an extra
    except ImportError:
        raise ConfigurationError(
            "vad='webrtc' needs the package webrtcvad-wheels: pip install 'rtsync[simulator-voice]'"
        ) from None


class WebrtcDetector:
    """Judges frame after frame of one stream.

    Needs the extra ``simulator-voice``.
    """

    lookback_frames = 10

    def __init__(self) -> None:
        import webrtcvad  # an extra

        self._vad = webrtcvad.Vad()
        self._mode = -1
        self._energy = SpeechDetector()
        self._heard = 0
        self._since_speech = 0  # frames

    def hear(self, frame: array[int], *, threshold: float, speaking: bool) -> Heard:
        """What ``frame``, 20 ms of samples at one of the session's rates, is."""
        voiced = self._is_voiced(frame, threshold)
        stands_out = self._energy.hear(frame, threshold=threshold, speaking=speaking) is Heard.SPEECH
        if self._heard < _WARM_UP_FRAMES and not speaking and is_hiss(frame, rms(frame)):
            voiced = False
        self._heard += 1
        self._since_speech = 0 if voiced and stands_out else self._since_speech + 1
        if not stands_out:
            return Heard.NOTHING
        if voiced or (speaking and self._since_speech <= _TAIL_FRAMES):
            return Heard.SPEECH
        return Heard.PERHAPS

    def _is_voiced(self, frame: array[int], threshold: float) -> bool:
        mode = next(mode for below, mode in _MODES if threshold < below)
        if mode != self._mode:
            self._vad.set_mode(mode)
            self._mode = mode
        rate = len(frame) * 1000 // FRAME_MS
        pcm = pcm_bytes(frame)
        if rate not in _RATES:
            pcm, rate = lower_rate(pcm, rate // _JUDGED_RATE), _JUDGED_RATE
        return bool(self._vad.is_speech(pcm, rate))
