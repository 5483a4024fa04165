"""Targets as values: equal, hashable, picklable; and no way to print, log or pickle shows a secret."""

from __future__ import annotations

import copy
import functools
import pickle
import subprocess
import sys
from typing import Any

import pytest

from rtsync.edges.credentials import authorization
from rtsync.vocabulary.auth import AZURE_SCOPE, Secret
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.targets import Azure, OpenAI, Simulator, Target
from tests.conftest import PROJECT
from tests.targets.conftest import RecordingCredential

_SECRET = "hunter2"
_URL = "https://r.openai.azure.com"


def _key() -> str:
    return _SECRET


def _ask(prefix: str, secret: str) -> str:
    return prefix + secret


def _targets_with_a_secret() -> list[Target]:
    return [
        OpenAI(api_key=_SECRET),
        OpenAI(api_key=functools.partial(_ask, "", _SECRET)),
        OpenAI(api_key=lambda: _SECRET).for_call("rtc_1"),
        Azure(_URL, "d", api_key=_SECRET),
        Azure(_URL, "d", api_key=_SECRET, api_version="2025-04-01-preview"),
        Azure(_URL, "d", credential=lambda: _SECRET),
    ]


@pytest.mark.parametrize("target", _targets_with_a_secret(), ids=lambda target: target.describe())
def test_nothing_shows_the_secret(target: Target) -> None:
    shown = [repr(target), str(target), target.describe(), repr(target.auth), target.url, str(target.headers)]
    shown += [repr(target.auth.secret), f"{target}", repr(target._as_dict()), repr(target._value())]
    assert _SECRET not in "".join(shown)
    assert _SECRET in str(authorization(target))


class _Talkative(RecordingCredential):
    def __repr__(self) -> str:
        return f"<key {_SECRET}>"


def test_what_a_credential_says_of_itself_is_not_shown() -> None:
    target = Azure(_URL, "d", credential=_Talkative())
    assert _SECRET not in f"{target!r} {target.auth!r} {target.auth}"
    assert "_Talkative from credential=" in repr(target.auth)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("target", _targets_with_a_secret(), ids=lambda target: target.describe())
def test_no_pickle_holds_the_secret(target: Target, protocol: int) -> None:
    pickled = pickle.dumps(target, protocol)
    assert _SECRET.encode() not in pickled
    loaded = pickle.loads(pickled)
    assert (type(loaded), loaded.url, loaded.headers) == (type(target), target.url, target.headers)


@pytest.mark.parametrize("option", ["api_key", "credential"])
def test_a_key_that_was_passed_stays_behind_and_says_so(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "of another account")
    options: dict[str, Any] = {option: lambda: _SECRET}
    loaded = pickle.loads(pickle.dumps(Azure(_URL, "d", **options)))
    with pytest.raises(ConfigurationError, match=f"this target was pickled and {option}= is not carried along"):
        authorization(loaded)
    assert "not carried along" in loaded.describe()


@pytest.mark.parametrize(
    ("variable", "header"),
    [
        ("AZURE_OPENAI_API_KEY", {"api-key": "k-there"}),
        ("AZURE_OPENAI_AD_TOKEN", {"Authorization": "Bearer k-there"}),
    ],
)
def test_a_key_from_the_environment_is_read_again_where_it_is_loaded(
    variable: str, header: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, _SECRET)
    pickled = pickle.dumps(Azure(_URL, "d"))
    assert _SECRET.encode() not in pickled
    monkeypatch.setenv(variable, "k-there")
    assert authorization(pickle.loads(pickled)) == header


@pytest.mark.parametrize("there", ["", "not\nusable"])
def test_a_variable_that_is_missing_where_it_is_loaded_is_named(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", _SECRET)
    pickled = pickle.dumps(OpenAI())
    monkeypatch.setenv("OPENAI_API_KEY", there)
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY is not set"):
        authorization(pickle.loads(pickled))


def test_a_module_level_function_travels_by_its_name() -> None:
    target = OpenAI(api_key=_key)
    loaded = pickle.loads(pickle.dumps(target))
    assert loaded == target
    assert authorization(loaded) == {"Authorization": f"Bearer {_SECRET}"}


def test_a_default_credential_is_made_anew_where_it_is_loaded(default_credentials: list[RecordingCredential]) -> None:
    target = Azure(_URL, "d")
    loaded = pickle.loads(pickle.dumps(target))
    assert loaded == target
    authorization(target)
    authorization(loaded)
    assert [each.scopes for each in default_credentials] == [[(AZURE_SCOPE,)]] * 2


def test_a_simulator_travels_with_its_brain() -> None:
    target = Simulator(brain=_key, pace=False, dialect="preview").at("ws://127.0.0.1:9")
    assert pickle.loads(pickle.dumps(target)) == target


def test_targets_are_equal_by_value() -> None:
    assert OpenAI(api_key="k") == OpenAI("gpt-realtime", api_key="k", base_url="https://api.openai.com/v1/")
    assert len({OpenAI(api_key="k"), OpenAI(api_key="k"), Azure(_URL, "d"), Azure(_URL, "d")}) == 2
    assert OpenAI(api_key=_key) == OpenAI(api_key=_key)
    assert OpenAI(api_key=_key) != OpenAI(api_key=lambda: _SECRET)


@pytest.mark.parametrize(
    "other",
    [
        OpenAI(api_key="other"),
        OpenAI(api_key=_key),
        OpenAI("m", api_key="k"),
        OpenAI(api_key="k", headers={"X-A": "1"}),
        OpenAI(api_key="k", base_url="https://elsewhere.example"),
        OpenAI(api_key="k", transcription=True),
        Azure("https://api.openai.com", "gpt-realtime", api_key="k"),
        Simulator(),
        "wss://api.openai.com/v1/realtime?model=gpt-realtime",
    ],
)
def test_targets_that_differ_are_not_equal(other: object) -> None:
    assert OpenAI(api_key="k") != other


def test_simulators_with_other_brains_or_pace_are_not_equal() -> None:
    assert (
        len({Simulator(), Simulator(), Simulator(pace=False), Simulator(brain=_key), Simulator(dialect="preview")}) == 4
    )


def test_a_copy_is_the_target_itself() -> None:
    target = OpenAI(api_key=_SECRET)
    assert copy.copy(target) is target
    assert copy.deepcopy([target])[0] is target


def test_a_secret_shows_itself_to_reveal_alone() -> None:
    secret = Secret(_SECRET)
    assert secret.reveal() == _SECRET
    assert _SECRET not in f"{secret!r} {secret} {secret!s:>40}"
    assert secret == Secret(_SECRET)
    assert secret != Secret("other")
    assert secret != _SECRET
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(secret)


def test_describe_says_where_and_how_in_one_line(monkeypatch: pytest.MonkeyPatch, credential: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", _SECRET)
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", _SECRET)
    at_azure = "at wss://r.openai.azure.com/openai/v1/realtime?model=d"
    targets = [
        OpenAI(),
        Azure(_URL, "d"),
        Azure(_URL, "d", credential=credential),
        Azure(_URL, "d", credential=_key),
        Simulator(),
    ]
    assert [each.describe() for each in targets] == [
        "OpenAI ga conversation at wss://api.openai.com/v1/realtime?model=gpt-realtime (key from OPENAI_API_KEY)",
        f"Azure ga conversation {at_azure} (token from AZURE_OPENAI_AD_TOKEN)",
        f"Azure ga conversation {at_azure} (RecordingCredential from credential=)",
        f"Azure ga conversation {at_azure} (callable from credential=)",
        "Simulator ga conversation in this process (no credential)",
    ]


_IMPORTS = """
import sys
import rtsync.vocabulary.targets, rtsync.edges.credentials, rtsync.edges.environment
from rtsync.vocabulary.targets import Azure, OpenAI
from rtsync.edges.credentials import authorization
authorization(Azure("https://r.openai.azure.com", "d", api_key="k"))
authorization(OpenAI(api_key="k"))
Azure("https://r.openai.azure.com", "d")
print([name for name in sys.modules if name.split(".")[0] in ("azure", "dotenv", "msal", "requests")])
"""


def test_azure_and_dotenv_are_not_imported_before_they_are_needed() -> None:
    ran = subprocess.run([sys.executable, "-c", _IMPORTS], check=True, capture_output=True, text=True, timeout=30)
    assert ran.stdout.strip() == "[]"


# Past rtsync/__init__.py, which brings the rest of the library along.
_TARGETS_ALONE = f"""
import sys, types, msgspec
rtsync = types.ModuleType("rtsync"); rtsync.__path__ = [{str(PROJECT / "rtsync")!r}]
sys.modules["rtsync"] = rtsync
before = {{name.partition(".")[0] for name in sys.modules}} | sys.stdlib_module_names
import rtsync.vocabulary.targets
print({{name.partition(".")[0] for name in sys.modules}} - before or "nothing else")
"""


def test_targets_need_msgspec_alone() -> None:
    ran = subprocess.run([sys.executable, "-c", _TARGETS_ALONE], check=True, capture_output=True, text=True, timeout=30)
    assert ran.stdout.strip() == "nothing else"
