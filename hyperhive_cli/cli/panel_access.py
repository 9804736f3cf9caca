"""`hyperhive web --show` and `--new-token`: the ways into panels that run."""

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from io import StringIO
from typing import NamedTuple
from urllib.parse import urlsplit

from hyperhive_cli.cli.invocation import is_utf8, print_json
from hyperhive_cli.cli.own_turn import check_may_steer, check_may_steer_hive
from hyperhive_cli.cli.streams import echo, write_drawn
from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.settings import AgentPaths, default_agents_home
from hyperhive_cli.store.folder import find_agents
from hyperhive_cli.web.access import PanelFiles

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_BLACK_ON_WHITE = "\x1b[97;40m{}\x1b[0m"  # the library draws the light modules


class _Place(NamedTuple):
    """Where panels keep their files. `agent` is None for panels of several agents."""

    agent: str | None
    files: PanelFiles


def show_panels(named: Mapping[str, AgentPaths] | None, *, changes: bool, as_json: bool) -> None:
    """Print the address of each running panel of these agents; None: of this machine. `changes`: with a new token.

    Raises RefusedError in a turn of an agent that it would let steer itself, HyperhiveError if no panel runs.
    """
    places = _places(named)
    if changes:
        for place in places:
            # Without a name, agents that never had a panel are left alone.
            if named is not None or place.agent is None or place.files.token_file.exists():
                place.files.change_token()
    found = [(place.agent, address, place.files.token()) for place in places for address in place.files.running()]
    if as_json:
        print_json([{"agent": agent, "url": f"{url}#token={token}", "token": token} for agent, url, token in found])
        return
    for agent, address, token in found:
        if len(found) > 1:
            echo("all agents:" if agent is None else f"{agent}:", err=True)
        echo(f"{address}#token={token}")
    if len(found) == 1:
        _, address, token = found[0]
        _draw_code(address, f"{address}#token={token}")
    elif not found and changes:
        echo("no panel runs; the next one will have the new token", err=True)
    elif not found:
        raise HyperhiveError("no panel runs", "hyperhive web, or hyperhive run --web")


def _places(named: Mapping[str, AgentPaths] | None) -> list[_Place]:
    if named is not None:
        for paths in named.values():
            check_may_steer(paths)
        return [_Place(name, PanelFiles(paths.state_dir)) for name, paths in named.items()]
    check_may_steer_hive()
    home = default_agents_home(os.environ)
    return [
        _Place(None, PanelFiles(home)),
        *(_Place(one.agent, PanelFiles(one.state_dir)) for one in find_agents(home)),
    ]


def _draw_code(address: str, url: str) -> None:
    """Draw a QR code on a terminal that can show it, if the extra is installed."""
    if not sys.stdout.isatty() or not is_utf8() or find_spec("segno") is None:
        return
    if urlsplit(address).hostname in _LOOPBACK:
        echo("This address works on this machine only; for a phone: hyperhive help panel", err=True)
        return
    import segno  # noqa: PLC0415 - an extra

    drawn = StringIO()
    segno.make(url, error="l", micro=False).terminal(drawn, border=2, compact=True)
    write_drawn("".join(_BLACK_ON_WHITE.format(line) + "\n" for line in drawn.getvalue().splitlines()))
