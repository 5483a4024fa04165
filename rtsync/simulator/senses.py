"""Ears, voice and detector by name, as options and the command line give them.

``builtin`` (``energy`` for the detector) is what there is without extras and the default, always: a package or program
that happens to be installed changes nothing by itself, or the same test would hear other moments, and say other bytes,
on another machine. ``auto`` asks for it: the best that is installed.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
from collections.abc import Callable

from rtsync.simulator.ears import Ears, measure
from rtsync.simulator.engines import ENGINES
from rtsync.simulator.speech_endpoints import SpeechEndpoint, TranscriptionEndpoint
from rtsync.simulator.sphinx import Pocketsphinx
from rtsync.simulator.transcription import Transcriber
from rtsync.simulator.vad import Detector, SpeechDetector
from rtsync.simulator.voices import Voice
from rtsync.simulator.webrtc import WebrtcDetector, check_webrtc
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["EARS", "VADS", "VOICES", "detector_named", "ears_named", "voice_named"]

VADS = ("energy", "webrtc", "auto")
EARS = ("builtin", "pocketsphinx", "pocketsphinx-open", "auto")
VOICES = ("builtin", *ENGINES, "auto")


def detector_named(vad: str) -> Callable[[], Detector]:
    """What makes the detectors of sessions.

    Raises:
        ConfigurationError: no such detector, or its package is missing.
    """
    if vad == "auto":
        vad = "webrtc" if _is_installed("webrtcvad") else "energy"
    if vad == "energy":
        return SpeechDetector
    if vad == "webrtc":
        check_webrtc()
        return WebrtcDetector
    raise _unknown("vad", vad, VADS)


def ears_named(ears: str | Transcriber) -> Ears:
    """What listens.

    Raises:
        ConfigurationError: no such ears, or their package is missing.
    """
    if not isinstance(ears, str):
        return ears if isinstance(ears, Ears) else Ears(ears)
    if ears == "auto":
        ears = "pocketsphinx" if _is_installed("pocketsphinx") else "builtin"
    if ears == "builtin":
        return Ears(measure)
    if ears in ("pocketsphinx", "pocketsphinx-open"):
        return _pocketsphinx(ears == "pocketsphinx-open", os.getpid())
    if _is_url(ears):
        return TranscriptionEndpoint(ears)
    raise _unknown("ears", ears, EARS)


@functools.cache
def _pocketsphinx(open_vocabulary: bool, process: int) -> Ears:
    """One for all servers of the process: every ``Simulator()`` starts a server, and the models are large."""
    return Pocketsphinx(open_vocabulary=open_vocabulary)


def voice_named(voice: str | Voice) -> Voice | None:
    """What speaks; None for the voice without words.

    Raises:
        ConfigurationError: no such voice, or its program is not on the path.
    """
    if not isinstance(voice, str):
        return voice
    if voice == "auto":
        voice = next((name for name in ENGINES if shutil.which(name)), "builtin")
    if voice == "builtin":
        return None
    if voice in ENGINES:
        return ENGINES[voice]()
    if _is_url(voice):
        return SpeechEndpoint(voice)
    raise _unknown("voice", voice, VOICES)


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _is_url(name: str) -> bool:
    return name.lower().startswith(("http:", "https:"))


def _unknown(option: str, name: str, known: tuple[str, ...]) -> ConfigurationError:
    url = "" if option == "vad" else ", or the base URL of an OpenAI-compatible endpoint"
    shown = name if len(name) <= 40 and name.replace("-", "").isalnum() else "..."  # it may be a URL with a password
    return ConfigurationError(f"{option}={shown!r} is not known; there are {', '.join(known)}{url}")
