"""Under gevent sessions run in greenlets, whether it patches before or after rtsync is imported."""

from __future__ import annotations

import pytest

from tests.loopback import Certificates
from tests.process.programs import run
from tests.process.service import TEXT, answering_server, close_codes


@pytest.mark.parametrize("when", ["early", "late"])
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_sessions_run_in_greenlets(scheme: str, when: str, certificates: Certificates) -> None:
    ca_file = str(certificates.ca_file)
    with answering_server(certificates.server_context() if scheme == "wss" else None) as server:
        # No CA_FILE of its own: over TLS they share the context, which under "late" was made before the patch.
        ended = run("greenlets", server.http_url, "-", when, SSL_CERT_FILE=ca_file)
        report = ended.report
        assert close_codes(server) == [1000] * len(server.peers)
        assert len(server.peers) == (22 if when == "early" else 23)
    assert report["said"] == [TEXT]
    assert report["pause"] < 2, "a session kept the other greenlets from running"
    assert report["sockets"] == []
    assert report["fork"] == 0
    assert ("before gevent patched ssl" in report["older context"]) == (when == "late")
    assert ended.seconds < 30
