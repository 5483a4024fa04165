"""Sessions that any web worker can reach: who holds them, what is sent to them, what they say.

Read ``directory`` first: ``SessionDirectory`` is what applications hold. Below it::

    check        whether a bus fits the number of workers
    directory    the face: open, send, stream, snapshot, info, close
    reading      what readers hold; ``watch``: the one thread that reads for all of them
    worker       a process that holds sessions: claims, renews, hands over
    owner        one session in such a process; ``ledger``: what of it stands on the bus; ``outflow``: how it gets there
    engine       what a bus can do; ``memory``: in this process; ``streams``: on Redis, with ``scripts``
    notices      events of rtsync's own on the bus, and audio off it
"""

from rtsync.bus.check import check
from rtsync.bus.directory import SessionDirectory
from rtsync.bus.engine import SessionInfo, SessionSnapshot
from rtsync.bus.notices import CLOSED, FAILED, GAP, MOVED
from rtsync.bus.reading import EventStream, Posted

__all__ = [
    "CLOSED",
    "FAILED",
    "GAP",
    "MOVED",
    "EventStream",
    "Posted",
    "SessionDirectory",
    "SessionInfo",
    "SessionSnapshot",
    "check",
]
