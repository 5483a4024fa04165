"""A forked child leaves its parent's sessions alone, is told so, and can open its own at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.devices.alsa_null import have_portaudio, null_config
from tests.loopback import Certificates
from tests.process.programs import run
from tests.process.service import answering_server, close_codes

both_schemes = pytest.mark.parametrize("scheme", ["ws", "wss"])


@both_schemes
@pytest.mark.parametrize("leaving", ["_exit", "sys.exit", "end"])
def test_a_child_is_refused_everything_at_once_and_the_parents_session_goes_on(
    scheme: str, leaving: str, certificates: Certificates
) -> None:
    with answering_server(certificates.server_context() if scheme == "wss" else None) as server:
        report = run("forked", server.http_url, str(certificates.ca_file) if scheme == "wss" else "-", leaving).report
        assert close_codes(server) == [1000]
    for child in report["children"]:
        assert child["wrong"] == {}
        assert child["descriptors"] == []
        assert child["seconds"] < 5
    assert len(report["children"]) == 3
    assert report["state"] == "open"
    assert report["untried"] == []


def test_children_open_sessions_whatever_the_parents_threads_were_doing(certificates: Certificates) -> None:
    with answering_server() as plain, answering_server(certificates.server_context()) as secure:
        ca_file = str(certificates.ca_file)
        reports = run("fork_storm", plain.http_url, secure.http_url, "10", SSL_CERT_FILE=ca_file).report
        assert None not in reports, reports
        assert len(reports) == 10
        assert [child["own"] for child in reports] == [[]] * 10
        # What another thread is closing at that very moment may stay open in a child.
        assert sum(bool(child["inherited"]) for child in reports) <= 3
        assert set(close_codes(plain) + close_codes(secure)) == {1000}


def test_a_child_that_leaves_the_simulators_block_leaves_it_to_the_parent() -> None:
    assert run("fork_simulator").report == {"status": 0}


@pytest.mark.parametrize("leaving", ["_exit", "sys.exit", "end"])
@pytest.mark.parametrize("device", ["virtual", "null", "default"])
def test_a_child_is_refused_its_parents_devices_and_the_parent_plays_on(
    device: str, leaving: str, tmp_path: Path
) -> None:
    have_portaudio()  # The default one, of ALSA's, which goes nowhere.
    report = run("forked_devices", device, leaving, ALSA_CONFIG_PATH=null_config(tmp_path)).report
    used, unused = report["children"]
    assert used["wrong"] == {}
    assert used["seconds"] < 10
    assert unused == {}
    assert report["heard"] == [["parent", True]]
    assert report["recorded"] == 960
