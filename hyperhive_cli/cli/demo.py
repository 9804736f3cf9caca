"""`hyperhive demo`: the whole pipeline, with recorded turns instead of claude."""

import os
import tempfile
from functools import partial
from pathlib import Path

import trio

from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.claude.argv import Launch, child_environment
from hyperhive_cli.claude.redact import Redactor
from hyperhive_cli.cli.declared import command, option
from hyperhive_cli.cli.displays import open_display
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.core import text
from hyperhive_cli.core.settings import AgentPaths, resolve_paths
from hyperhive_cli.demo import MESSAGES, replay_command
from hyperhive_cli.harness.config import HarnessConfig
from hyperhive_cli.harness.run import run_harness
from hyperhive_cli.store.inbox import open_inbox_reader

_NEXT = """The inbox, the history and the console were real.
With your own claude:

  cd YOUR/PROJECT
  hyperhive run --permission-mode acceptEdits   # and type what to do
  hyperhive send 'what to do' --wait            # or from another terminal
  hyperhive help first-hour                     # what to try next"""


@command()
@option("--fast", is_flag=True, help="Leave out the pauses.")
def demo(*, fast: bool) -> int:
    """Watch a recorded agent work for about 15 seconds. Needs no claude and no login, and costs nothing.

    Harness, databases and console are the real ones, in a temporary folder.

    \b
    Example: hyperhive demo --fast
    """  # noqa: D301 - click's own mark
    with tempfile.TemporaryDirectory(prefix="hyperhive-demo-") as folder:
        workspace = Path(folder) / "demo"
        workspace.mkdir(mode=0o700)
        paths = resolve_paths("demo", Path(folder) / "state", workspace, {"HOME": folder})
        launch = Launch(tuple(replay_command("none" if fast else "human")), partial=True)
        agent = AgentConfig(launch, workspace, child_environment(os.environ), drain=True, redactor=Redactor(os.environ))
        messages = [("operator", body) for body in MESSAGES]
        with open_display({"agent": "demo", "status": "online", "model": "haiku", "state": "idle"}) as display:
            config = HarnessConfig(paths, agent, None, messages, display, complain=partial(echo, err=True))
            status = trio.run(run_harness, config)
        if status == 0:
            _summarise(paths)
    return status


def _summarise(paths: AgentPaths) -> None:
    with open_inbox_reader(paths.inbox_db) as inbox:
        totals = inbox.totals()
    facts = f"{totals['turns']} turns, {totals['tool_calls']} tool calls, {text.dollars(totals['cost_usd'])}"
    echo(f"\nThat was a recording: {facts} at the time.\n{_NEXT}")
