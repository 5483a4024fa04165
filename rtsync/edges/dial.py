"""From a route to a guarded socket: TCP, the proxy and its tunnel, TLS over it all. What sessions and REST both use."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

from rtsync.edges.guard import GuardedSocket
from rtsync.edges.nested_tls import NestedTLS
from rtsync.edges.network import Interrupt, Route, open_tcp, wrap_tls
from rtsync.edges.upgrade import connect_through
from rtsync.vocabulary.deadline import Deadline

__all__ = ["Adopt", "dial"]

Adopt = Callable[[socket.socket | NestedTLS], GuardedSocket]


def dial(
    route: Route,
    tls: ssl.SSLContext | None,
    deadline: Deadline,
    interrupt: Interrupt,
    *,
    adopt: Adopt,
    phase: Callable[[str], None],
) -> GuardedSocket:
    """Connect along ``route``.

    Args:
        route: where to, and through which proxy.
        tls: context for the server and for a proxy behind ``https://``; None for the shared one.
        deadline: for all of it.
        interrupt: ends it from another thread.
        adopt: puts each new layer under guard, and remembers it for whoever may have to abort it.
        phase: told where it stands: ``"dns"``, ``"tcp"``, ``"proxy"``, ``"tls"``.

    Raises:
        ConnectFailed: and ``ConnectTimeout``, with the phase.
        Interrupted: the interrupt was set.
    """
    address, proxy = route.address, route.proxy
    first = address if proxy is None else proxy
    layer: socket.socket | NestedTLS = open_tcp(first.host, first.port, deadline, interrupt, phase)
    guard = adopt(layer)
    if proxy is not None:
        phase("proxy")
        if proxy.secure:
            layer = wrap_tls(layer, proxy.host, tls, deadline, interrupt)
            guard = adopt(layer)
        connect_through(guard, proxy, address, deadline)
    if address.secure:
        phase("tls")
        guard = adopt(wrap_tls(layer, address.host, tls, deadline, interrupt))
    return guard
