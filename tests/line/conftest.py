"""Each test that asks for `tls` runs twice: over plain TCP, and over TLS 1.3."""

from __future__ import annotations

import pytest

from tests.loopback import Certificates


@pytest.fixture(params=["ws", "wss"])
def tls(request: pytest.FixtureRequest, certificates: Certificates) -> Certificates | None:
    """The certificates, or None for a plain connection."""
    return certificates if request.param == "wss" else None
