"""``rtsync serve``: the simulator as a server of its own, for programs in any language."""

from __future__ import annotations

import errno
import signal
from typing import TYPE_CHECKING, Literal, NoReturn

import click

from rtsync import ConfigurationError
from rtsync.cli.outcome import EXIT_STATUSES
from rtsync.cli.senses import Senses, key_in, sense_options
from rtsync.edges.latch import Latch

if TYPE_CHECKING:
    from rtsync.simulator import Brain, SimulatorServer

__all__ = ["serve"]

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # what to connect to where all addresses are bound
_KEY = "RTSYNC_SERVER_KEY"
_BRAIN_KEY = "RTSYNC_BRAIN_KEY"


@click.command(epilog=EXIT_STATUSES)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="Port; 0 lets the system choose."
)
@click.option("--tls", is_flag=True, help="Serve https and wss, with a certificate authority made for this run.")
@click.option("--brain-url", metavar="URL", help="Have answers made by this OpenAI-compatible chat endpoint.")
@click.option("--brain-model", metavar="NAME", help="Its model; else the one that the client asks for.")
@click.option("--pace/--no-pace", default=True, show_default=True, help="Send text at a model's speed, or at once.")
@click.option(
    "--dialect",
    type=click.Choice(["auto", "ga", "preview"]),
    default="auto",
    show_default=True,
    help="Event names: by the client's path, or always these.",
)
@click.option(
    "--max-session",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Let sessions expire after so long, as the service does after an hour.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="FAULT",
    help="Misbehave, e.g. reset@events=20,first=1. Can be given several times. docs/cli.md lists the faults.",
)
@click.option("--require-key", is_flag=True, help=f"Accept only the key in {_KEY}; else any key will do.")
@sense_options
def serve(
    host: str,
    port: int,
    tls: bool,
    brain_url: str | None,
    brain_model: str | None,
    pace: bool,
    dialect: Literal["auto", "ga", "preview"],
    max_session: float | None,
    faults: tuple[str, ...],
    require_key: bool,
    senses: Senses,
) -> None:
    """Run the simulator as a server: the Realtime API of OpenAI and of Azure on this machine, without an account.

    Its scripted brain does not think. With --brain-url the answers come from an OpenAI-compatible chat endpoint,
    such as a local model's; if that wants a key, it is read from RTSYNC_BRAIN_KEY.

    It does not listen either, and its voice has no words, until --ears and --voice give it others: programs of this
    machine, or OpenAI-compatible endpoints, whose keys are read from RTSYNC_EARS_KEY and RTSYNC_VOICE_KEY.

    With --fault it misbehaves, so that you can see what your program does then; -v before the command tells when.

    Ctrl+C or SIGTERM stops it: open sessions are closed, and it ends with status 0.
    """
    from rtsync.simulator import SimulatorServer  # heavy, and the other commands do without it

    if brain_model and not brain_url:
        raise click.UsageError("--brain-model goes with --brain-url")
    senses.check()
    ears, voice = senses.listening(), senses.speaking()
    server = SimulatorServer(
        host=host,
        port=port,
        tls=tls,
        brain=_brain(brain_url, brain_model),
        ears=ears,
        voice=voice or "builtin",
        vad=senses.vad,
        pace=pace,
        dialect=dialect,
        max_session_seconds=max_session,
        faults=faults,
        api_keys=[_required_key()] if require_key else None,
    )
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        _start(server, host, port)
        manners = [*_mind(brain_url), *(about for about in (ears.about, getattr(voice, "about", "")) if about)]
        _announce(server, manners, key=f"${_KEY}" if require_key else "any", faults=faults)
        Latch().wait()  # for ever: the signals end it
    except KeyboardInterrupt:
        click.echo("stopping", err=True)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second signal must not break off what the first began;
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it takes less than three seconds
        server.stop()


def _brain(url: str | None, model: str | None) -> Brain | None:
    if url is None:
        return None
    from rtsync.simulator import ChatBrain

    return ChatBrain(url, model=model, api_key=key_in(_BRAIN_KEY))


def _mind(brain_url: str | None) -> list[str]:
    return [] if brain_url else ["Its scripted brain does not think; --brain-url lets a model answer."]


def _required_key() -> str:
    key = key_in(_KEY)
    if key is None:
        raise ConfigurationError(f"--require-key needs the key in the variable {_KEY}, which is not set")
    return key


def _start(server: SimulatorServer, host: str, port: int) -> None:
    try:
        server.start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            way_out = "choose another with --port, or 0 to have the system choose one"
            raise click.ClickException(f"port {port} of {host} is in use: {way_out}") from error
        raise click.ClickException(f"cannot listen at {host}, port {port}: {error.strerror or error}") from error


def _announce(server: SimulatorServer, manners: list[str], *, key: str, faults: tuple[str, ...]) -> None:
    base_url, endpoint = _reachable(server, server.openai_url), _reachable(server, server.azure_endpoint)
    trust = f" --ca-file {server.ca_file}" if server.ca_file else ""
    lines = [
        "The simulator of the Realtime API is listening. Ctrl+C stops it.",
        *manners,
        *(["It misbehaves, as it was asked to:", *(f"  {fault}" for fault in faults)] if faults else []),
        "",
        f"  OpenAI base URL    {base_url}",
        f"  Azure endpoint     {endpoint}   (GA: /openai/v1/realtime, preview: /openai/realtime)",
        *([f"  CA to trust        {server.ca_file}"] if trust else []),
        "",
        "Try it from another terminal:",
        "",
        f"  OPENAI_BASE_URL={base_url} OPENAI_API_KEY={key} rtsync chat --target openai{trust}",
        f"  AZURE_OPENAI_ENDPOINT={endpoint} AZURE_OPENAI_DEPLOYMENT=any AZURE_OPENAI_API_KEY={key} rtsync chat"
        f" --target azure{trust}",
    ]
    if trust:
        lines += ["", f"Other programs trust it with SSL_CERT_FILE={server.ca_file}, for as long as this server runs."]
    click.echo("\n".join(lines))


def _reachable(server: SimulatorServer, url: str) -> str:
    """``url``, with an address to connect to where the server listens at all of them."""
    if server.host not in _ANYWHERE:
        return url
    bound = f"[{server.host}]" if ":" in server.host else server.host
    return url.replace(f"//{bound}:", f"//{_ANYWHERE[server.host]}:")


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
