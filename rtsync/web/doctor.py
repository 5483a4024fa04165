"""Whether an application would work where it stands: its settings, its bus, its service. Said in lines for people."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from rtsync.bus.check import check
from rtsync.vocabulary.errors import RealtimeError
from rtsync.vocabulary.version import VERSION
from rtsync.web.application import Application
from rtsync.web.deployment import Deployment, deployment_of

__all__ = ["Finding", "examine", "report", "warnings_of"]

_OWNER = "rtsync-doctor"
_EXTRAS = (("redis", "redis"), ("audio", "miniaudio"), ("simulator-voice", "pocketsphinx"), ("celery", "celery"))


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        about: what, in one word.
        how: ``"ok"``; ``"note"``, which is worth knowing; ``"wrong"``.
        told: in a sentence, without secrets.
    """

    about: str
    how: Literal["ok", "note", "wrong"]
    told: str


def report(application: Application, say: Callable[[str], object], *, deployment: Deployment | None = None) -> int:
    """Examine ``application``, and ``say`` a line for each finding. Returns an exit status: 1 where something is wrong.

    Threads: blocks for as long as ``examine`` does.
    """
    wrong = False
    for finding in examine(application, deployment=deployment):
        say(f"{finding.how:<6} {finding.about:<10} {finding.told}")
        wrong = wrong or finding.how == "wrong"
    return int(wrong)


def examine(application: Application, *, deployment: Deployment | None = None) -> Iterator[Finding]:
    """Look at everything, one thing after another; a session is opened with the service, and closed.

    Args:
        application: as it would run.
        deployment: how; None to find out.

    Threads: blocks up to some 20 s where the bus or the service are out of reach.
    """
    yield Finding("rtsync", "ok", f"{VERSION}; extras: {_extras()}")
    yield _target(application)
    yield from _deployed(application, deployment_of() if deployment is None else deployment)
    yield _offered(application)
    bus = _bus(application)
    yield bus
    if bus.how == "ok":
        yield _handshake(application)


def warnings_of(application: Application, *, deployment: Deployment | None = None) -> list[str]:
    """What is wrong with where the application runs, in sentences. It reaches nothing: for its start.

    Args:
        application: as it would run.
        deployment: how; None to find out.

    Threads: any.
    """
    found = _deployed(application, deployment_of() if deployment is None else deployment)
    return [finding.told for finding in found if finding.how == "wrong"]


def _extras() -> str:
    return ", ".join(extra for extra, module in _EXTRAS if importlib.util.find_spec(module)) or "none"


def _target(application: Application) -> Finding:
    settings = application.settings
    needed = settings.holds_sessions or settings.client_secrets or application.calls is not None
    if not needed and settings.target is None:
        return Finding("target", "ok", "that of the workers; these processes connect to no service")
    try:
        return Finding("target", "ok", application.target().describe())
    except RealtimeError as error:
        return Finding("target", "wrong", str(error))


def _deployed(application: Application, deployment: Deployment) -> Iterator[Finding]:
    for sentence in check(application.directory, workers=deployment.processes):
        yield Finding("processes", "wrong", sentence)
    if deployment.kind == "sync":
        yield Finding(
            "processes", "wrong", "sync workers serve one request at a time, and a stream is one: use gthread"
        )
    threads, most = deployment.threads, application.settings.max_streams
    if threads is not None and deployment.kind in (None, "gthread") and (most is None or most >= threads):
        told = (
            f"an open stream holds one of {threads} threads: set MAX_STREAMS lower, so that some are left for the rest"
        )
        yield Finding("threads", "note", told)


def _offered(application: Application) -> Finding:
    settings = application.settings
    calls = "takes phone calls" if application.calls is not None else "no phone calls"
    secrets = "gives client secrets" if settings.client_secrets else "no client secrets"
    sound = "sound over the bus" if settings.audio else "no sound over the bus"
    return Finding("offers", "ok", f"{calls}; {secrets}; {sound}")


def _bus(application: Application) -> Finding:
    directory = application.directory
    try:
        began = time.monotonic()
        directory.sessions(_OWNER)
    except RealtimeError as error:
        return Finding("bus", "wrong", str(error))
    took = (time.monotonic() - began) * 1000
    return Finding("bus", "ok", f"{directory.bus_name} answered in {took:.0f} ms")


def _handshake(application: Application) -> Finding:
    """A session as a page would get one: over the bus, by whoever holds sessions."""
    directory = application.directory
    try:
        config = application.views.settings(_OWNER)
        began = time.monotonic()
        session_id = directory.open(_OWNER, config=config)
        took = (time.monotonic() - began) * 1000
        directory.close(session_id, _OWNER)
    except RealtimeError as error:
        return Finding("session", "wrong", str(error))
    return Finding("session", "ok", f"opened in {took:.0f} ms, and closed")
