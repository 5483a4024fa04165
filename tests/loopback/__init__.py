"""Scripted raw WebSocket servers over real loopback sockets: the service at its worst, on demand.

```python
def script(peer: Peer) -> None:
    realtime_greeting(peer)                      # 101, session.created
    peer.recv_json()                             # answers pings, raises PeerClosed on close
    peer.send_raw(frame(TEXT, "half")[:3])       # the middle of a frame ...
    peer.reset()                                 # ... and a RST

with ScriptedServer(script) as server:
    connect(server.url)
```

Reading order: `wire` (a socket under deadlines), `peer` (frames), `server` (threads), then `realtime`, `proxy`,
`blackhole`, `ports`, `certificates`; `tls_tickets` is a program of its own. The fixtures stand in `tests/conftest.py`.
"""

from tests.loopback.blackhole import blackhole
from tests.loopback.certificates import Certificates
from tests.loopback.peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Peer,
    PeerClosed,
    Request,
    Script,
    frame,
)
from tests.loopback.ports import reserved_port
from tests.loopback.proxy import RecordingProxy
from tests.loopback.realtime import realtime_greeting, session_created
from tests.loopback.server import ScriptedServer
from tests.loopback.wire import LIMIT, PeerGone

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "LIMIT",
    "PING",
    "PONG",
    "TEXT",
    "Certificates",
    "Peer",
    "PeerClosed",
    "PeerGone",
    "RecordingProxy",
    "Request",
    "Script",
    "ScriptedServer",
    "blackhole",
    "frame",
    "realtime_greeting",
    "reserved_port",
    "session_created",
]
