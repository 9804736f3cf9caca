"""`hyperhive web`."""

import os
from collections.abc import Mapping
from pathlib import Path

import click

from hyperhive_cli.cli.invocation import Invocation, pass_invocation, print_json
from hyperhive_cli.errors import HyperhiveError
from hyperhive_cli.settings import AgentPaths, check_agent_name, default_agents_home, resolve_paths
from hyperhive_cli.store.folder import find_agents

DEFAULT_BIND = "127.0.0.1:8420"
LIBRARIES = {"anyio", "httptools", "starlette", "uvicorn", "uvloop"}


@click.command()
@click.argument("names", nargs=-1, metavar="[AGENT]…")
@click.option("--bind", default=DEFAULT_BIND, metavar="WHERE", show_default=True, help="HOST:PORT, or unix:PATH.")
@click.option(
    "--web-allow-host", "allow_hosts", multiple=True, metavar="NAME",
    help="Answer to this name too; needed, with TLS, beyond this machine; may be given several times.",
)  # fmt: skip
@click.option("--web-cert", type=click.Path(path_type=Path), metavar="FILE", help="TLS: the certificate, in PEM.")
@click.option("--web-key", type=click.Path(path_type=Path), metavar="FILE", help="TLS: its key, in PEM.")
@click.option("--json", "as_json", is_flag=True, help="Print the address and the token as JSON.")
@pass_invocation
def web(
    invocation: Invocation,
    names: tuple[str, ...],
    bind: str,
    allow_hosts: tuple[str, ...],
    web_cert: Path | None,
    web_key: Path | None,
    *,
    as_json: bool,
) -> int:
    """Serve the web panel of these agents, or of every agent of this machine, until Ctrl-C.

    The address that it prints holds a token, made anew at each start: whoever has it can steer the agents.

    \b
    Example: hyperhive web --bind 127.0.0.1:9000
    """  # noqa: D301 - click's own mark
    try:
        from hyperhive_cli.web.server import WebConfig, serve  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in LIBRARIES:
            raise
        raise HyperhiveError(
            f"the web panel needs {error.name}, which is not installed", "pip install 'hyperhive[web]'"
        ) from error

    def announce(url: str, token: str) -> None:
        if as_json:
            print_json({"url": url, "token": token})
        else:
            click.echo(url)

    fixed = _named(invocation, names)
    home = default_agents_home(os.environ) if fixed is None else Path()
    config = WebConfig(bind, allow_hosts, web_cert, web_key)
    return serve(config, lambda: _found(home) if fixed is None else fixed, announce)


def _named(invocation: Invocation, names: tuple[str, ...]) -> Mapping[str, AgentPaths] | None:
    """Give the agents that are named, by the arguments or the global options; None: all are meant."""
    if not names:
        if invocation.agent is None and invocation.state_dir is None:
            return None
        paths = invocation.paths()
        return {paths.agent: paths}
    found = {}
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HYPERHIVE_")}
    for name in names:
        found[name] = resolve_paths(check_agent_name(name), None, Path.cwd(), environ)
        if not found[name].state_dir.exists():
            raise HyperhiveError(f"there is no agent {name!r}", "hyperhive agents")
    return found


def _found(home: Path) -> Mapping[str, AgentPaths]:
    return {paths.agent: paths for paths in find_agents(home)}
