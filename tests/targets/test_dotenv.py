"""`target_from_env`: which file is read, which target follows, and what is said about it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from rtsync.edges.credentials import authorization
from rtsync.edges.environment import target_from_env
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.targets import Azure, OpenAI, Simulator, Target

_SECRET = "hunter2"
_OPENAI = {"OPENAI_API_KEY": _SECRET}
_AZURE = {
    "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com",
    "AZURE_OPENAI_DEPLOYMENT": "d",
    "AZURE_OPENAI_API_KEY": _SECRET,
}
_OPENAI_URL = "wss://api.openai.com/v1/realtime?model=gpt-realtime"
_AZURE_URL = "wss://r.openai.azure.com/openai/v1/realtime?model=d"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def _write(path: Path, variables: dict[str, str]) -> Path:
    path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        (_OPENAI, OpenAI),
        (_AZURE, Azure),
        (_OPENAI | _AZURE, Azure),
        (_OPENAI | _AZURE | {"RTSYNC_TARGET": "openai"}, OpenAI),
        (_OPENAI | _AZURE | {"RTSYNC_TARGET": " Azure "}, Azure),
        (_OPENAI | _AZURE | {"RTSYNC_TARGET": "simulator"}, Simulator),
        (_OPENAI | _AZURE | {"RTSYNC_TARGET": ""}, Azure),
        (_OPENAI | {"AZURE_OPENAI_ENDPOINT": ""}, OpenAI),
        ({"RTSYNC_TARGET": "simulator"}, Simulator),
    ],
)
def test_the_environment_decides(
    variables: dict[str, str], kind: type[Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert type(target_from_env()) is kind


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "set AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_DEPLOYMENT for Azure, or OPENAI_API_KEY for OpenAI"),
        ({}, r"without an account use Simulator\(\)"),
        ({"RTSYNC_TARGET": "gemini"}, "RTSYNC_TARGET must be openai, azure or simulator"),
        ({"RTSYNC_TARGET": "openai"}, r"set OPENAI_API_KEY \(chosen because RTSYNC_TARGET=openai\)"),
        ({"RTSYNC_TARGET": "azure"}, r"set AZURE_OPENAI_ENDPOINT.* \(chosen because RTSYNC_TARGET=azure\)"),
        (
            _OPENAI | {"AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com"},
            r"set AZURE_OPENAI_DEPLOYMENT .*RTSYNC_TARGET=openai for that",
        ),
    ],
)
def test_what_cannot_be_decided_names_the_ways_out(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=said):
        target_from_env()


def test_a_dotenv_file_in_the_working_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / ".env", _AZURE)
    monkeypatch.chdir(tmp_path)
    target = target_from_env()
    assert target.url == _AZURE_URL
    assert authorization(target) == {"api-key": _SECRET}
    assert os.environ["AZURE_OPENAI_API_KEY"] == _SECRET


def test_a_dotenv_file_above_the_working_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / ".env", _OPENAI)
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert target_from_env().url == _OPENAI_URL


def test_the_real_environment_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / ".env", _AZURE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AZURE_OPENAI_DEPLOYMENT", "mine")
    assert target_from_env().model == "mine"


def test_no_file_is_read_when_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / ".env", _OPENAI)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="the environment names no target"):
        target_from_env(dotenv=False)
    assert "OPENAI_API_KEY" not in os.environ


@pytest.mark.parametrize("as_text", [True, False])
def test_a_file_of_another_name_is_read_by_its_path(tmp_path: Path, as_text: bool) -> None:
    path = _write(tmp_path / "production.env", _OPENAI)
    assert target_from_env(dotenv=str(path) if as_text else path).url == _OPENAI_URL


def test_the_file_may_name_the_target(tmp_path: Path) -> None:
    path = _write(tmp_path / "my.env", _OPENAI | _AZURE | {"RTSYNC_TARGET": "openai"})
    assert target_from_env(path).url == _OPENAI_URL


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfOPENAI_API_KEY=hunter2\r\n",
        b'export OPENAI_API_KEY="hunter2"  # mine\n',
        b"# only\n\nOPENAI_API_KEY = 'hunter2'\n",
    ],
)
def test_files_are_read_as_editors_and_shells_write_them(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ".env"
    path.write_bytes(content)
    assert authorization(target_from_env(path)) == {"Authorization": f"Bearer {_SECRET}"}


def test_a_directory_named_dotenv_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", _SECRET)
    assert target_from_env().url == _OPENAI_URL


@pytest.mark.parametrize("name", ["missing.env", "."])
def test_a_path_that_is_no_file_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(ConfigurationError, match="no such file") as refused:
        target_from_env(path)
    assert str(refused.value).startswith(str(path))


def test_a_dotenv_option_of_another_type_is_refused() -> None:
    wrong: object = 3
    with pytest.raises(ConfigurationError, match="dotenv= must be True, False or the path of a file, not int"):
        target_from_env(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"OPENAI_API_KEY=hunter2\xff\xfe\n", b"OPENAI_API_KEY=hunter2\0\n"])
def test_a_file_that_cannot_be_read_is_named_and_not_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ".env"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot be read") as refused:
        target_from_env(path)
    assert str(refused.value).startswith(str(path))
    assert _SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_file_that_the_system_refuses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path / ".env", _OPENAI)

    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", refuse)  # file modes do not stop a test run as root
    with pytest.raises(ConfigurationError, match=r"\.env cannot be read: Permission denied"):
        target_from_env(path)


def test_a_line_that_is_no_setting_is_warned_of_by_its_number(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    path = tmp_path / ".env"
    path.write_text(
        f"OPENAI_API_KEY={_SECRET}\n{_SECRET}\nOPENAI_PROJECT_ID=\nOPENAI_ORG_ID=o\n'{_SECRET}\n", encoding="utf-8"
    )
    assert target_from_env(path).headers == {"OpenAI-Organization": "o"}
    warned = [
        each.getMessage() for each in said.records if each.name == "rtsync.target" and each.levelname == "WARNING"
    ]
    assert warned == [f"{path}: no NAME=value in line 2, 5"]
    assert _SECRET not in said.text


def test_a_key_that_is_taken_for_a_name_is_not_logged(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    path = tmp_path / ".env"
    path.write_text(f"RTSYNC_TARGET=simulator\n{_SECRET}==\n", encoding="utf-8")
    target_from_env(path)
    assert f"{path}: RTSYNC_TARGET, 1 of other programs" in said.text
    assert _SECRET not in said.text


def test_what_was_found_is_logged_without_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture
) -> None:
    path = _write(tmp_path / ".env", _AZURE | {"COLOUR": "blue"})
    monkeypatch.setenv("OPENAI_API_KEY", _SECRET)
    target_from_env(path)
    assert [(each.levelname, each.getMessage()) for each in said.records if each.name == "rtsync.target"] == [
        (
            "INFO",
            f"{path}: AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_DEPLOYMENT, AZURE_OPENAI_API_KEY, 1 of other programs",
        ),
        (
            "INFO",
            "environment: AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_DEPLOYMENT, AZURE_OPENAI_API_KEY, OPENAI_API_KEY",
        ),
        (
            "INFO",
            "AZURE_OPENAI_ENDPOINT is set (beats OPENAI_API_KEY; RTSYNC_TARGET=openai for that): "
            f"Azure ga conversation at {_AZURE_URL} (key from AZURE_OPENAI_API_KEY)",
        ),
    ]
    assert _SECRET not in said.text
