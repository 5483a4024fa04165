"""rtsync: live conversations with the OpenAI and Azure OpenAI Realtime API for code that is not async.

The rooms, and an order to read them in. Imports point down this list, never up::

    cli/         applications: the ``rtsync`` command
    session/     what users hold: ``RealtimeSession``, ``Response``
    threads/     the only threads and locks: reader, delivery of handlers, waits
    edges/       the outside, one module a dependency: socket, WebSocket, signals, credentials, environment
    pure/        rules without threads or sockets: states, who answers whom, what a window shows, responses
    vocabulary/  words that all rooms know: events, names, targets, errors, deadlines
    simulator/   beside it all, the service's half of the protocol; knows only the vocabulary

Everything public is named here; ``azure``, ``click``, ``dotenv`` and the simulator are loaded on first use.
"""

from rtsync.edges.environment import target_from_env
from rtsync.edges.signals import (
    event_received,
    event_sent,
    handler_failed,
    message_refused,
    reconnected,
    reconnecting,
    session_closed,
    session_opened,
)
from rtsync.pure.state import State
from rtsync.session import Expectation, RealtimeSession, Response
from rtsync.threads.delivery import QueueDispatcher
from rtsync.threads.following import Subscription
from rtsync.vocabulary.errors import (
    AuthenticationFailed,
    CloseCause,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    ProtocolError,
    RateLimited,
    RealtimeError,
    RedirectRefused,
    ResponseFailed,
    SendTimeout,
    ServerError,
    SessionClosed,
    SessionExpired,
    UsageError,
    WaitTimeout,
)
from rtsync.vocabulary.events import Event
from rtsync.vocabulary.targets import Azure, OpenAI, Simulator, Target
from rtsync.vocabulary.version import VERSION as __version__

__all__ = [
    "AuthenticationFailed",
    "Azure",
    "CloseCause",
    "ConfigurationError",
    "ConnectFailed",
    "ConnectTimeout",
    "ConnectionLost",
    "Event",
    "Expectation",
    "OpenAI",
    "ProtocolError",
    "QueueDispatcher",
    "RateLimited",
    "RealtimeError",
    "RealtimeSession",
    "RedirectRefused",
    "Response",
    "ResponseFailed",
    "SendTimeout",
    "ServerError",
    "SessionClosed",
    "SessionExpired",
    "Simulator",
    "State",
    "Subscription",
    "Target",
    "UsageError",
    "WaitTimeout",
    "__version__",
    "event_received",
    "event_sent",
    "handler_failed",
    "message_refused",
    "reconnected",
    "reconnecting",
    "session_closed",
    "session_opened",
    "target_from_env",
]
