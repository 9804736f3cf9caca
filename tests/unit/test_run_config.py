"""What `run` and `host` make of their options: a row for each option that decides something."""

import math
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from hyperhive_cli.cli.configured import run_context
from hyperhive_cli.cli.invocation import Invocation
from hyperhive_cli.cli.program import hyperhive
from hyperhive_cli.cli.run_config import build_config, read_options
from hyperhive_cli.core.budget import Budget
from hyperhive_cli.core.errors import HyperhiveError, UsageError
from hyperhive_cli.core.retention import KEEP_ALL, HistoryRetention
from hyperhive_cli.harness.config import HarnessConfig

ROWS: dict[str, tuple[str, Callable[[HarnessConfig], Any], Any]] = {
    "no option: no model": ("", lambda found: found.model, None),
    "no option: no limit of a turn": ("", lambda found: found.agent.limits.turn_s, math.inf),
    "no option: claude's retries go on": ("", lambda found: found.agent.limits.retry_s, math.inf),
    "no option: no panel, hook, hive": ("", lambda found: (found.panel, found.on_event, found.hive), (None, (), None)),
    "no option: messages of other sessions are refused": (
        "", lambda found: found.agent.launch.settings, '{"crossSessionInbound":"refuse"}',
    ),
    "a drain bounds claude's retries": ("--drain --drain-wait 5", lambda found: found.agent.limits.retry_s, 5.0),
    "the wait without a drain": ("--drain-wait 5", lambda found: found.agent.limits.retry_s, math.inf),
    "a model": ("--model opus", lambda found: found.model, "opus"),
    "messages": ("--message a --message b", lambda found: found.messages, [("operator", "a"), ("operator", "b")]),
    "times": (
        "--turn-timeout 9 --start-timeout 8 --stall-timeout 7",
        lambda found: (found.agent.limits.turn_s, found.agent.limits.init_s, found.agent.limits.stall_s),
        (9.0, 8.0, 7.0),
    ),
    "a budget": (
        "--max-turn-cost 1 --max-day-cost 2 --max-turn-tokens 3 --max-tool-calls 4",
        lambda found: found.agent.budget,
        Budget(1.0, 2.0, 3, 4),
    ),
    "text as it comes, as the terminal asks for": ("", lambda found: found.agent.launch.partial, True),
    "no text as it comes": ("--no-partial", lambda found: found.agent.launch.partial, False),
    "claude's own options": ("-- --max-turns 3", lambda found: found.agent.launch.extra, ("--max-turns", "3")),
    "other sessions": (
        "--allow-cross-session", lambda found: (found.agent.launch.settings, found.agent.allow_cross_session),
        (None, True),
    ),
    "a variable": ("--pass-env MINE", lambda found: found.agent.environment.get("MINE"), "x"),
    "messages that are kept": ("--keep-messages all", lambda found: found.keep_messages, KEEP_ALL),
    "events that are kept": (
        "--history-days 90 --history-bytes 1.5GiB", lambda found: found.keep_history,
        HistoryRetention(90, 3 * 2**29),
    ),
    "events that are kept by default": ("", lambda found: found.keep_history, HistoryRetention(30, 10**9)),
    "a hook": ("--on-event 'sh -c true'", lambda found: found.on_event[1:], ("-c", "true")),
    "a workspace that is named": ("", lambda found: found.is_workspace_named, True),
    "a panel of this agent": ("--web", lambda found: found.panel.arguments[::4] if found.panel else None,
                              ("--agent", "web")),
}  # fmt: skip


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], HarnessConfig]:
    claude, workspace = tmp_path / "claude", tmp_path / "workspace"
    claude.write_text("#!/bin/sh\n")
    claude.chmod(0o700)
    workspace.mkdir()
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "MINE": "x"}
    for name in [name for name in os.environ if name.startswith(("HYPERHIVE_", "XDG_"))]:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def build(line: str) -> HarnessConfig:
        root = click.Context(hyperhive, info_name="hyperhive", obj=Invocation(), **hyperhive.context_settings)
        words = shlex.split(line)
        named = [] if "--claude" in words else ["--claude", str(claude)]
        with run_context(root, workspace, *named, *words) as context:
            return build_config(read_options(context), root.obj, environ, live=True)

    return build


@pytest.mark.parametrize("name", ROWS)
def test_an_option_becomes_configuration(name: str, build: Callable[[str], HarnessConfig]) -> None:
    line, look, expected = ROWS[name]
    assert look(build(line)) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-- 'fix it'", "'fix it' is not an option"),
        ("-- --model=x", "--model is not allowed after --"),
        ("--permission-mode 'a b'", "not a valid permission mode: 'a b'"),
        ("--pass-env A=b", "not a valid variable name: 'A=b'"),
        ("--max-day-cost 1 -- --max-budget-usd 2", "cannot be used together"),
        ("--json --quiet", "--json and --quiet cannot be used together"),
        ("--on-event no-such-program", "program not found: 'no-such-program'"),
        ("-- --settings none.json", "cannot be read"),
        ("--hive x", "'x'"),
    ],
)
def test_options_that_cannot_be_used(line: str, message: str, build: Callable[[str], HarnessConfig]) -> None:
    with pytest.raises(UsageError) as failed:
        build(line)
    assert message in failed.value.message


def test_a_missing_claude(build: Callable[[str], HarnessConfig]) -> None:
    with pytest.raises(HyperhiveError, match="claude not found: '/nowhere/claude'"):
        build("--claude /nowhere/claude")
