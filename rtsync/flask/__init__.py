"""Realtime conversations in Flask applications (extra ``flask``): sessions, streams, a WebSocket, calls.

::

    extension   `Realtime`: what an application holds
    routes      its blueprint
    commands    `flask rtsync doctor`, `flask rtsync worker`
"""

from rtsync.flask.extension import Realtime

__all__ = ["Realtime"]
