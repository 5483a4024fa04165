"""How an address, an aim and a version become a URL."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.targets import Azure, Dialect, OpenAI, Simulator

_AZURE_GA = "wss://r.openai.azure.com/openai/v1/realtime?model=d"

_names = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1).map(str.strip).filter(bool)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://r.openai.azure.com",
        "https://r.openai.azure.com/",
        "https://r.openai.azure.com//",
        "HTTPS://R.OpenAI.Azure.com",
        "wss://r.openai.azure.com",
        "  https://r.openai.azure.com\n",
        "https://r.openai.azure.com/openai",
        "https://r.openai.azure.com/openai/",
        "https://r.openai.azure.com/openai/v1",
        "https://r.openai.azure.com/openai/v1/",
        "https://r.openai.azure.com/v1",
        "https://r.openai.azure.com/realtime",
        "https://r.openai.azure.com/openai/realtime",
        "wss://r.openai.azure.com/openai/v1/realtime",
    ],
)
def test_an_azure_endpoint_may_be_written_in_many_ways(endpoint: str) -> None:
    assert Azure(endpoint, "d", api_key="k").url == _AZURE_GA
    preview = Azure(endpoint, "d", api_key="k", api_version="2024-10-01-preview")
    assert preview.url == "wss://r.openai.azure.com/openai/realtime?api-version=2024-10-01-preview&deployment=d"


@pytest.mark.parametrize(
    ("base_url", "before_realtime"),
    [
        ("https://api.openai.com/v1", "wss://api.openai.com/v1"),
        ("https://api.openai.com/v1/", "wss://api.openai.com/v1"),
        ("https://api.openai.com", "wss://api.openai.com/v1"),
        ("wss://api.openai.com/v1/realtime", "wss://api.openai.com/v1"),
        ("http://localhost:8000", "ws://localhost:8000/v1"),
        ("http://127.9.9.9:8000/v1", "ws://127.9.9.9:8000/v1"),
        ("ws://[::1]:8000/v1", "ws://[::1]:8000/v1"),
        ("ws://[0:0:0:0:0:0:0:1]", "ws://[0:0:0:0:0:0:0:1]/v1"),
        ("http://localhost/realtime", "ws://localhost"),
        ("https://gateway.example:8443/llm/v2", "wss://gateway.example:8443/llm/v2"),
        ("https://r.openai.azure.com/openai/v1", "wss://r.openai.azure.com/openai/v1"),
        ("https://gateway.example/a%2Fb/v1", "wss://gateway.example/a%2Fb/v1"),
    ],
)
def test_an_openai_base_url_is_kept_but_for_its_scheme_and_end(base_url: str, before_realtime: str) -> None:
    assert OpenAI("m", api_key="k", base_url=base_url).url == f"{before_realtime}/realtime?model=m"


@pytest.mark.parametrize("prefix", ["gw", "gw/team-1", "openai/gw", "api/projects/p"])
def test_a_gateway_s_prefix_is_kept(prefix: str) -> None:
    for end in ("", "/", "/openai", "/openai/v1"):
        target = Azure(f"https://apim.example/{prefix}{end}", "d", api_key="k")
        assert target.url == f"wss://apim.example/{prefix}/openai/v1/realtime?model=d"


@given(_names)
def test_any_model_name_survives_the_url(name: str) -> None:
    assert _query(OpenAI(name, api_key="k").url) == {"model": name}
    assert _query(OpenAI(translation=name, api_key="k").url) == {"model": name}


@given(_names)
def test_any_deployment_name_survives_both_urls(name: str) -> None:
    endpoint = "https://r.openai.azure.com"
    assert _query(Azure(endpoint, name, api_key="k").url) == {"model": name}
    preview = Azure(endpoint, name, api_key="k", api_version="2024-10-01-preview")
    assert _query(preview.url) == {"api-version": "2024-10-01-preview", "deployment": name}


@given(_names)
def test_any_call_id_survives_the_url(call_id: str) -> None:
    assert _query(OpenAI(api_key="k").for_call(call_id).url) == {"call_id": call_id}


@given(_names)
def test_a_url_is_plain_ascii_without_spaces(name: str) -> None:
    url = OpenAI(name, api_key="k").url
    assert url.isascii()
    assert url.isprintable()
    assert " " not in url


@given(st.text())
def test_any_text_as_an_address_is_a_target_or_a_configuration_error(text: str) -> None:
    try:
        target = OpenAI("m", api_key="k", base_url=f"https://{text}")
    except ConfigurationError:
        return
    parts = urlsplit(target.url)
    assert (parts.scheme, parts.query, parts.fragment) == ("wss", "model=m", "")
    assert parts.hostname
    assert "@" not in parts.netloc
    assert target.url.isascii()


@pytest.mark.parametrize(("version", "dialect"), [
    (None, "ga"), ("v1", "ga"), ("preview", "ga"), ("latest", "ga"), ("V1", "ga"),
    ("2024-10-01-preview", "preview"), ("2025-04-01-Preview", "preview"), ("2025-08-28", "preview"),
])  # fmt: skip
def test_a_dated_version_means_the_preview_endpoint(version: str | None, dialect: Dialect) -> None:
    target = Azure("https://r.openai.azure.com", "d", api_key="k", api_version=version)
    assert target.dialect == dialect
    assert ("api-version" in target.url) == (dialect == "preview")


def test_aims_show_in_purpose_model_call_id_and_session_type() -> None:
    first = OpenAI("m", api_key="k")
    seen = [
        (each.purpose, each.model, each.call_id, each.session_type)
        for each in (first, first.for_call("c"), first.for_transcription(), first.for_translation())
    ]
    assert seen == [
        ("conversation", "m", None, "realtime"),
        ("call", None, "c", "realtime"),
        ("transcription", None, None, "transcription"),
        ("translation", "gpt-realtime-translate", None, None),
    ]


def test_preview_sessions_carry_no_session_type() -> None:
    assert Simulator(dialect="preview").session_type is None
    assert Simulator().session_type == "realtime"


def test_a_simulator_has_no_url_before_it_runs() -> None:
    assert Simulator().url == ""
    assert Simulator().at("ws://127.0.0.1:9").url == "ws://127.0.0.1:9/v1/realtime?model=gpt-realtime"


def test_a_simulator_that_runs_keeps_its_brain_and_pace() -> None:
    def brain(*_: object) -> str:
        return ""

    running = Simulator(brain=brain, pace=False, dialect="preview").at("ws://127.0.0.1:9")
    assert (running.brain, running.pace, running.dialect) == (brain, False, "preview")


def test_openai_talks_to_gpt_realtime_unless_told_otherwise() -> None:
    assert OpenAI(api_key="k").model == "gpt-realtime"


def _query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, strict_parsing=True))


def test_transcription_on_the_preview_names_its_intent_and_no_deployment() -> None:
    target = Azure("https://r.openai.azure.com", "d", api_key="k", api_version="2025-04-01-preview").for_transcription()
    assert target.url == (
        "wss://r.openai.azure.com/openai/realtime?api-version=2025-04-01-preview&intent=transcription"
    )
    assert (target.dialect, target.session_type, target.model) == ("preview", "transcription", None)
