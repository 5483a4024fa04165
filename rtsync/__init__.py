"""rtsync: live conversations with the OpenAI and Azure OpenAI Realtime API for code that is not async.

The rooms, and an order to read them in. Imports point down this list, never up::

    cli/         applications: the ``rtsync`` command
    web/         applications: browsers, whatever the web framework, ``rtsync.web``
    bus/         applications: sessions that every web worker reaches, ``rtsync.bus``
    gui/         applications: handlers in the main loop of Tk or Qt, ``rtsync.gui``; imported where it is wanted
    session/     what users hold: ``RealtimeSession``, ``Response``
    threads/     the only threads and locks: reader, delivery of handlers, waits
    devices/     microphone and speaker, ``rtsync.devices``; loaded on first use
    edges/       the outside, one module a dependency: socket, WebSocket, signals, credentials, environment
    pure/        rules without threads or sockets: states, who answers whom, what a window shows, responses
    audio/       sound as bytes, ``rtsync.audio``: formats, sample rates, WAV files, levels; loaded on first use
    vocabulary/  words that all rooms know: events, names, targets, errors, deadlines
    simulator/   beside it all, the service's half of the protocol; knows only the vocabulary and audio

Everything public is named here; ``azure``, ``click``, ``dotenv`` and the simulator are loaded on first use.
"""

from typing import TYPE_CHECKING, Any

from rtsync.edges.environment import target_from_env
from rtsync.edges.signals import (
    budget_spent,
    event_received,
    event_sent,
    handler_failed,
    message_refused,
    reconnected,
    reconnecting,
    response_guarded,
    session_closed,
    session_opened,
    tool_finished,
    tool_progress,
    tool_started,
    turn_finished,
)
from rtsync.pure.conversation import Item, ResponseSummary, Snapshot, Usage
from rtsync.pure.recovery import Lost, Reconnect, restorable_items
from rtsync.pure.state import State
from rtsync.pure.stats import SessionStats
from rtsync.pure.turns import ToolSpan, Turn
from rtsync.session import Expectation, RealtimeSession, Response, Responses
from rtsync.threads.delivery import QueueDispatcher
from rtsync.threads.following import Subscription
from rtsync.vocabulary.errors import (
    AuthenticationFailed,
    BusUnavailable,
    CloseCause,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    DeviceFailed,
    FellBehind,
    ProtocolError,
    RateLimited,
    RealtimeError,
    RedirectRefused,
    ResponseFailed,
    SendTimeout,
    ServerError,
    SessionClosed,
    SessionExpired,
    ToolCancelled,
    ToolError,
    TooManySessions,
    UnknownSession,
    UsageError,
    WaitTimeout,
    WebhookRefused,
)
from rtsync.vocabulary.events import Event
from rtsync.vocabulary.targets import Azure, OpenAI, Simulator, Target
from rtsync.vocabulary.version import VERSION as __version__

if TYPE_CHECKING:
    from rtsync import audio as audio
    from rtsync import devices as devices
    from rtsync.pure.budget import Budget, Spending
    from rtsync.pure.prices import Prices
    from rtsync.pure.timeline import timeline_page
    from rtsync.pure.webhook import IncomingCall, verify_webhook
    from rtsync.session.calls import Call
    from rtsync.session.client_secret import ClientSecret, create_client_secret
    from rtsync.session.guards import Verdict
    from rtsync.session.mcp import McpRequest
    from rtsync.session.tools import Tool, ToolCall, ToolContext
    from rtsync.session.traffic import TrafficLog, log_events

# What stands beside a session is loaded when it is first asked for.
_LATER = {
    "Budget": "rtsync.pure.budget",
    "Call": "rtsync.session.calls",
    "ClientSecret": "rtsync.session.client_secret",
    "IncomingCall": "rtsync.pure.webhook",
    "McpRequest": "rtsync.session.mcp",
    "Prices": "rtsync.pure.prices",
    "Spending": "rtsync.pure.budget",
    "Tool": "rtsync.session.tools",
    "ToolCall": "rtsync.session.tools",
    "ToolContext": "rtsync.session.tools",
    "TrafficLog": "rtsync.session.traffic",
    "Verdict": "rtsync.session.guards",
    "create_client_secret": "rtsync.session.client_secret",
    "log_events": "rtsync.session.traffic",
    "timeline_page": "rtsync.pure.timeline",
    "verify_webhook": "rtsync.pure.webhook",
}

__all__ = [
    "AuthenticationFailed",
    "Azure",
    "Budget",
    "BusUnavailable",
    "Call",
    "ClientSecret",
    "CloseCause",
    "ConfigurationError",
    "ConnectFailed",
    "ConnectTimeout",
    "ConnectionLost",
    "DeviceFailed",
    "Event",
    "Expectation",
    "FellBehind",
    "IncomingCall",
    "Item",
    "Lost",
    "McpRequest",
    "OpenAI",
    "Prices",
    "ProtocolError",
    "QueueDispatcher",
    "RateLimited",
    "RealtimeError",
    "RealtimeSession",
    "Reconnect",
    "RedirectRefused",
    "Response",
    "ResponseFailed",
    "ResponseSummary",
    "Responses",
    "SendTimeout",
    "ServerError",
    "SessionClosed",
    "SessionExpired",
    "SessionStats",
    "Simulator",
    "Snapshot",
    "Spending",
    "State",
    "Subscription",
    "Target",
    "TooManySessions",
    "Tool",
    "ToolCall",
    "ToolCancelled",
    "ToolContext",
    "ToolError",
    "ToolSpan",
    "TrafficLog",
    "Turn",
    "UnknownSession",
    "Usage",
    "UsageError",
    "Verdict",
    "WaitTimeout",
    "WebhookRefused",
    "__version__",
    "budget_spent",
    "create_client_secret",
    "event_received",
    "event_sent",
    "handler_failed",
    "log_events",
    "message_refused",
    "reconnected",
    "reconnecting",
    "response_guarded",
    "restorable_items",
    "session_closed",
    "session_opened",
    "target_from_env",
    "timeline_page",
    "tool_finished",
    "tool_progress",
    "tool_started",
    "turn_finished",
    "verify_webhook",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name in ("audio", "devices"):
        return importlib.import_module(f"rtsync.{name}")
    if name not in _LATER:
        raise AttributeError(f"module 'rtsync' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_LATER[name]), name)
    return value
