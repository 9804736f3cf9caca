"""`hyperhive web`."""

import os
import sys
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.declared import argument, command, option, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, hive_option, print_json
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.core.errors import HyperhiveError, UsageError
from hyperhive_cli.core.settings import AgentPaths, check_agent_name, default_agents_home, paths_by_name
from hyperhive_cli.hive.address import check_pattern, is_pattern
from hyperhive_cli.store.folder import find_agents
from hyperhive_cli.web.access import PanelFiles, Token, is_token, open_token
from hyperhive_cli.web.bind import WebConfig, check_bind

DEFAULT_BIND = "127.0.0.1:8420"
LIBRARIES = ("anyio", "httptools", "starlette", "uvicorn", "uvloop")
TOKEN_LIMIT_CHARS = 256


_F = TypeVar("_F", bound=Callable[..., object])
_TLS = (
    option(
        "--web-allow-host", "allow_hosts", multiple=True, metavar="NAME",
        help="Answer to this name too; required, with TLS, for other machines; repeatable.",
    ),
    option(
        "--web-url", "urls", multiple=True, metavar="URL",
        help="The address at which a TLS proxy serves it: https://host/prefix; repeatable.",
    ),
    option("--web-cert", type=click.Path(path_type=Path), metavar="FILE", help="The TLS certificate, in PEM."),
    option("--web-key", type=click.Path(path_type=Path), metavar="FILE", help="The certificate's key, in PEM."),
)  # fmt: skip


def with_tls(command: _F) -> _F:
    """Add the options of a panel that other machines can reach."""
    for add in reversed(_TLS):
        command = add(command)
    return command


def need_extra() -> None:
    """Raise HyperhiveError if a library of the extra `web` is not installed."""
    missing = next((library for library in LIBRARIES if find_spec(library) is None), None)
    if missing is not None:
        raise HyperhiveError(f"the web panel needs {missing}, which is not installed", "pip install 'hyperhive[web]'")


def web_arguments(config: WebConfig) -> tuple[str, ...]:
    """Return the arguments of `web` for this configuration, valid in any folder; raises UsageError."""
    place = check_bind(config)
    files = {"--web-cert": config.certificate, "--web-key": config.key}
    return (
        f"--bind={f'unix:{place}' if isinstance(place, Path) else config.bind}",
        "--hive=",  # the panel shows this agent only
        *(f"--web-allow-host={name}" for name in config.allow_hosts),
        *(f"--web-url={url}" for url in config.urls),
        *(f"{name}={file.absolute()}" for name, file in files.items() if file is not None),
    )


@command()
@argument("names", nargs=-1, metavar="[AGENT]…", shell_complete=completers.agents)
@option("--bind", default=DEFAULT_BIND, metavar="WHERE", show_default=True, help="HOST:PORT, or unix:PATH.")
@with_tls
@hive_option
@option("--json", "as_json", is_flag=True, help="Print the address and the token as JSON.")
@option("--token-stdin", is_flag=True, help="Read the token, a line, from stdin.")
@option("--show", is_flag=True, help="Print the addresses of the panels that run, and exit.")
@option("--new-token", is_flag=True, help="Change the token, also of panels that run, and exit.")
@pass_invocation
def web(
    invocation: Invocation,
    names: tuple[str, ...],
    bind: str,
    allow_hosts: tuple[str, ...],
    urls: tuple[str, ...],
    web_cert: Path | None,
    web_key: Path | None,
    hive: str | None,
    *,
    as_json: bool,
    token_stdin: bool,
    show: bool,
    new_token: bool,
) -> int:
    """Serve the web panel of these agents, or of every agent of this machine, until Ctrl-C.

    With a hive, agents of other machines are shown too, and take messages; AGENT may be a pattern.

    The printed address contains a token: anyone who has it can steer the agents. It stays the same until --new-token.

    \b
    Examples: hyperhive web --bind 127.0.0.1:9000
              hyperhive web --hive postgresql://db.example/hive 'team-*'
              hyperhive web --show
              hyperhive web --new-token
    """  # noqa: D301 - click's own mark
    if show or new_token:
        from hyperhive_cli.cli.panel_access import show_panels  # noqa: PLC0415 - the panel itself needs none of it

        show_panels(_named(invocation, names), changes=new_token, as_json=as_json)
        return 0
    need_extra()
    from hyperhive_cli.web.server import serve  # noqa: PLC0415 - an extra

    def announce(url: str, token: str) -> None:
        if as_json:
            print_json({"url": url, "token": token})
        else:
            echo(url)

    url = invocation.hive_url(hive)
    view = None if url is None else _view(url, invocation, names)
    config = WebConfig(bind, allow_hosts, urls, web_cert, web_key)
    agents = _agents(invocation, names, is_in_hive=view is not None)
    token = _read_token() if token_stdin else open_token(_panel_files(invocation, names), partial(echo, err=True))
    return serve(config, agents, announce, token, view)


def _read_token() -> Token:
    token = sys.stdin.readline(TOKEN_LIMIT_CHARS).strip()
    if not is_token(token):
        raise UsageError("a token needs at least 43 characters of A-Z a-z 0-9 _ -")
    return Token(token)


def _panel_files(invocation: Invocation, names: tuple[str, ...]) -> PanelFiles:
    """Return the files of a panel: of one agent with a state folder here those in it, of any other the shared ones."""
    only = names[0] if len(names) == 1 else None
    if only is not None and not is_pattern(only):
        folder = default_agents_home(os.environ) / only
    elif not names and (invocation.state_dir is not None or (invocation.agent and not is_pattern(invocation.agent))):
        folder = invocation.paths().state_dir
    else:
        folder = None
    return PanelFiles(folder if folder is not None and folder.is_dir() else default_agents_home(os.environ))


def _view(url: str, invocation: Invocation, names: tuple[str, ...]) -> Any:  # noqa: ANN401 - an extra's
    """Return the named agents of a hive, by patterns too; without a name, all."""
    from hyperhive_cli.hive.database import need_psycopg  # noqa: PLC0415 - sockets, which `run -h` can do without
    from hyperhive_cli.web.hive import HiveView  # noqa: PLC0415 - an extra

    need_psycopg()
    if names:
        return HiveView(url, [check_pattern(name) for name in names])
    is_of_one = invocation.agent is not None or invocation.state_dir is not None
    return HiveView(url, [invocation.hive_agents() if is_of_one else "*"])


def _agents(
    invocation: Invocation, names: tuple[str, ...], *, is_in_hive: bool
) -> Callable[[], Mapping[str, AgentPaths]]:
    """Return a callable that finds the agents of this machine, as of now."""
    patterns = [name for name in (names or (invocation.agent or "",)) if is_pattern(name)]
    if is_in_hive and (names or patterns):
        wanted, home = names or patterns, default_agents_home(os.environ)
        return lambda: {
            name: paths for name, paths in _found(home).items() if any(fnmatchcase(name, one) for one in wanted)
        }
    fixed = _named(invocation, names)
    if fixed is not None:
        return lambda: fixed
    home = default_agents_home(os.environ)
    return lambda: _found(home)


def _named(invocation: Invocation, names: tuple[str, ...]) -> Mapping[str, AgentPaths] | None:
    """Return the agents named by the arguments or the global options; None means all."""
    if not names:
        if invocation.agent is None and invocation.state_dir is None:
            return None
        paths = invocation.paths()
        return {paths.agent: paths}
    found, home = {}, default_agents_home(os.environ)
    for name in names:
        found[name] = paths_by_name(name, home / check_agent_name(name), os.environ)
        if not found[name].state_dir.exists():
            raise HyperhiveError(f"there is no agent {name!r}", "hyperhive agents")
    return found


def _found(home: Path) -> Mapping[str, AgentPaths]:
    return {paths.agent: paths for paths in find_agents(home)}
