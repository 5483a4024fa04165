"""TLS from several threads while the server sends post-handshake messages: where stock clients crash."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.conftest import PROJECT
from tests.loopback import Certificates
from tests.loopback.tls_tickets import TicketServer


@pytest.mark.parametrize(("what", "connections", "seconds"), [("ticket", 7, 0.7), ("key-update", 2, 0.7)])
def test_no_line_is_lost_to_tickets_in_the_middle_of_its_traffic(
    certificates: Certificates, what: str, connections: int, seconds: float
) -> None:
    with TicketServer(certificates, what=what, every=0.02) as server:
        arguments = [server.url, str(certificates.ca_file), str(connections), str(seconds)]
        command = [sys.executable, "-m", "tests.line.ticketed", *arguments]
        run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=55, check=False)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["failed"] == []
    assert min(result["received"], result["sent"]) > 100 * connections
    assert server.report.connections == connections
    assert server.report.messages > connections
    assert server.report.errors == {}
