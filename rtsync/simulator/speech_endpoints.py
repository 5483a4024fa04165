"""Ears and a voice that work elsewhere: OpenAI-compatible transcription and speech endpoints.

Such are OpenAI itself, and servers for models on one's own machine. Ears send a WAV file and take the text; the voice
sends a sentence and takes a WAV file, which is passed on while it comes.
"""

from __future__ import annotations

import http.client
import io
import json
import secrets
import ssl
from collections.abc import Iterator, Mapping

from rtsync.audio import Resampler, WavReader, write_wav
from rtsync.simulator.brains import Cancellation
from rtsync.simulator.ears import Ears, EarsFailed
from rtsync.simulator.endpoint import Endpoint, reason
from rtsync.simulator.voices import Utterance, VoiceFailed
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["SpeechEndpoint", "TranscriptionEndpoint"]

_LARGEST_TEXT = 1 << 20


class TranscriptionEndpoint(Ears):
    """Ears at any endpoint that speaks ``/audio/transcriptions``.

    Args:
        base_url: as for an OpenAI client, for example ``http://127.0.0.1:8000/v1``.
        model: the endpoint's.
        language: of the speech, as ``en``, where the endpoint shall not guess.
        api_key: sent as bearer token when given.
        timeout: seconds the endpoint may be silent.
        tls: context for https; the system's authorities by default.

    Raises:
        ConfigurationError: ``base_url`` is no http or https URL.

    An endpoint that fails, is not there or falls silent fails the transcription of that item.
    """

    about = "It listens through a transcription endpoint."

    def __init__(
        self,
        base_url: str,
        *,
        model: str = "whisper-1",
        language: str | None = None,
        api_key: str | None = None,
        timeout: float = 60.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._endpoint = Endpoint(
            "transcription", base_url, "/audio/transcriptions", api_key=api_key, timeout=timeout, tls=tls
        )
        self._fields = {"model": model, "response_format": "json"}
        if language is not None:
            self._fields["language"] = language

    def __repr__(self) -> str:
        return "<TranscriptionEndpoint>"

    def hear(self, pcm: bytes, sample_rate: int, cancelled: Cancellation) -> str:
        """What the endpoint understands.

        Raises:
            EarsFailed: it cannot be reached, refuses, falls silent, or answers something else than a transcript.

        Threads: any; blocks in the network, and ``cancelled`` wakes it at once.
        """
        body, kind = _form(self._fields, _wav(pcm, sample_rate))
        with self._endpoint.ask(cancelled) as exchange:
            try:
                response = exchange.post(body, {"Content-Type": kind, "Accept": "application/json"})
                if response.status != http.client.OK:
                    refusal = self._endpoint.refusal(response)
                    raise EarsFailed(f"The transcription endpoint refused: {refusal.message}.")
                return _text(response.read(_LARGEST_TEXT))
            except (OSError, http.client.HTTPException) as error:
                raise EarsFailed(f"The transcription endpoint failed: {reason(error)}.") from error


def _text(body: bytes) -> str:
    try:
        text = json.loads(body)["text"]
    except (ValueError, LookupError, TypeError):
        text = None
    if not isinstance(text, str):
        raise EarsFailed("The transcription endpoint sent no JSON with a text in it.")
    return text.strip()


def _wav(pcm: bytes, sample_rate: int) -> bytes:
    made = io.BytesIO()
    write_wav(made, pcm, sample_rate=sample_rate)
    return made.getvalue()


def _form(fields: Mapping[str, str], sound: bytes) -> tuple[bytes, str]:
    """``fields`` and the file as ``multipart/form-data``, and its content type."""
    boundary = f"rtsync-{secrets.token_hex(16)}"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = 'Content-Disposition: form-data; name="file"; filename="speech.wav"\r\nContent-Type: audio/wav'
    parts += [f"--{boundary}\r\n{head}\r\n\r\n".encode(), sound, f"\r\n--{boundary}--\r\n".encode()]
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


class SpeechEndpoint:
    """A voice at any endpoint that speaks ``/audio/speech``.

    Args:
        base_url: as for an OpenAI client, for example ``http://127.0.0.1:8880/v1``.
        model: the endpoint's.
        voice: one of the endpoint's; the session's ``voice`` where it is not given.
        api_key: sent as bearer token when given.
        timeout: seconds the endpoint may be silent, at the start and between pieces.
        tls: context for https; the system's authorities by default.

    Raises:
        ConfigurationError: ``base_url`` is no http or https URL.

    An endpoint that fails, is not there or falls silent ends the response as ``failed``.
    """

    about = "It speaks through a speech endpoint."

    def __init__(
        self,
        base_url: str,
        *,
        model: str = "tts-1",
        voice: str | None = None,
        api_key: str | None = None,
        timeout: float = 60.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._endpoint = Endpoint("speech", base_url, "/audio/speech", api_key=api_key, timeout=timeout, tls=tls)
        self._model = model
        self._voice = voice

    def __repr__(self) -> str:
        return "<SpeechEndpoint>"

    def __call__(self, utterance: Utterance) -> Iterator[bytes]:
        """Yield the sound of ``utterance`` as it comes.

        Raises:
            VoiceFailed: the endpoint cannot be reached, refuses, breaks off, falls silent, or sends no WAV file.

        Threads: blocks in the network; ``utterance.cancelled`` wakes it at once.
        """
        request = {
            "model": self._model,
            "input": utterance.text,
            "voice": self._voice or utterance.voice,
            "response_format": "wav",
            "speed": utterance.speed,
        }
        with self._endpoint.ask(utterance.cancelled) as exchange:
            try:
                response = exchange.post(json.dumps(request), {"Content-Type": "application/json"})
                if response.status != http.client.OK:
                    refusal = self._endpoint.refusal(response)
                    raise VoiceFailed(f"The speech endpoint refused: {refusal.message}.", code=refusal.code)
                yield from _sound(response, utterance.sample_rate)
            except (OSError, http.client.HTTPException) as error:
                raise VoiceFailed(f"The speech endpoint failed: {reason(error)}.", code="voice_unreachable") from error


def _sound(response: http.client.HTTPResponse, sample_rate: int) -> Iterator[bytes]:
    """The samples of the WAV file that comes. A stream's header cannot know its length: the end is where it ends."""
    try:
        file = WavReader(response)
        resampler = Resampler(file.sample_rate, sample_rate)
        for pcm in file:
            yield resampler.feed(pcm)
        rest = resampler.flush()
    except ConfigurationError:
        if not _is_cut_off(response):
            raise VoiceFailed("The speech endpoint sent no WAV file that can be read.", code="voice_protocol") from None
        rest = b""
    if _is_cut_off(response):
        raise VoiceFailed("The speech endpoint broke off in the middle of a sentence.", code="voice_broke_off")
    yield rest


def _is_cut_off(response: http.client.HTTPResponse) -> bool:
    """Whether less came than was announced. What comes behind the sound of a WAV file may be left unread."""
    return bool(response.length) and not response.read(1)
