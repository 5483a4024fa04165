"""Type checkers know the class of each event type, and tell wrong handlers and wrong client events."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rtsync.session import typed_face
from tests.conftest import PROJECT, without_coverage
from tests.events.face_writer import FACE, face, names_of

CASES = Path(__file__).with_name("typing_cases.py")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy")


def _checked(path: Path, cache: Path) -> tuple[str, int]:
    """Run mypy in a process of its own: in this one it would stop the collection of garbage, and leave all it knows."""
    configuration = str(PROJECT / "pyproject.toml")
    options = ["--config-file", configuration, "--follow-imports", "silent", "--cache-dir", str(cache)]
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", *options, path],
        capture_output=True, text=True, timeout=55, env=without_coverage(),
    )  # fmt: skip
    assert ran.stderr == ""
    return ran.stdout, ran.returncode


def test_mypy_accepts_what_is_right_and_refuses_what_is_wrong(cache: Path) -> None:
    """Both: an expected refusal that does not come is an unused `type: ignore`, an error under strict mypy."""
    output, status = _checked(CASES, cache)
    assert (output.splitlines()[-1:], status) == (["Success: no issues found in 1 source file"], 0), output


def test_without_its_ignores_every_wrong_line_is_reported(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYPYPATH", str(PROJECT))
    lines = CASES.read_text(encoding="utf-8").splitlines()
    expected = {number for number, line in enumerate(lines, 1) if "# type: ignore[" in line}
    bare = tmp_path / "bare_cases.py"
    bare.write_text("\n".join(line.partition("# type: ignore[")[0].rstrip() for line in lines), encoding="utf-8")
    output, status = _checked(bare, cache)
    reported = {int(line.split(":")[1]) for line in output.splitlines() if ": error:" in line}
    assert (reported, status) == (expected, 1), output
    assert len(expected) >= 10


def test_the_stub_is_what_its_writer_writes() -> None:
    assert FACE.read_text(encoding="utf-8") == face(), "run: python -m tests.events.face_writer"


def test_preview_names_are_known_to_the_stub() -> None:
    assert names_of("response.output_text.delta") == ["response.output_text.delta", "response.text.delta"]
    assert names_of("session.updated") == ["session.updated", "transcription_session.updated"]
    assert names_of("response.done") == ["response.done"]


def test_at_run_time_a_method_stays_what_it_is() -> None:
    def method() -> None: ...

    decorated: object = typed_face.typed_as(typed_face.wait_for)(method)
    assert decorated is method
