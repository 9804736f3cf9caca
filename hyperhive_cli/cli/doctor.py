"""`hyperhive doctor`."""

import os
import shutil
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import trio

from hyperhive_cli.claude.argv import child_environment
from hyperhive_cli.claude.files import read_json
from hyperhive_cli.claude.own_settings import ClaudeFiles, claude_variables
from hyperhive_cli.claude.program import find_claude
from hyperhive_cli.cli.configured import as_json_option, of_workspace, run_context
from hyperhive_cli.cli.declared import command, pass_context, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, hive_option, is_plain, is_utf8, paint, print_json, print_lines
from hyperhive_cli.cli.slips import in_our_words
from hyperhive_cli.cli.width import columns
from hyperhive_cli.core import text
from hyperhive_cli.core.errors import HyperhiveError
from hyperhive_cli.core.settings import ANSWER_LIMIT_S, AgentPaths
from hyperhive_cli.core.status import Status, status_meaning
from hyperhive_cli.doctor.agent import Subject, check_claude, check_files
from hyperhive_cli.doctor.findings import Finding, Level, fine, judge_terminal, warning, wrong
from hyperhive_cli.doctor.hive import check_hive
from hyperhive_cli.harness.client import LocalClient
from hyperhive_cli.hive.database import machine_name
from hyperhive_cli.render.status_rows import status_span

SIGNS = {Level.OK: "✓", Level.WARNING: "!", Level.WRONG: "✗"}
STYLES = {Level.OK: "fine", Level.WARNING: "warn", Level.WRONG: "bad"}
Run = Callable[[Callable[[Subject], Awaitable[list[Finding]]], Subject], list[Finding]]
PLAIN_SIGNS = {Level.OK: "ok", Level.WARNING: "!!", Level.WRONG: "NO"}


@command()
@of_workspace
@as_json_option
@hive_option
@pass_invocation
@pass_context
def doctor(
    ctx: click.Context, invocation: Invocation, workspace: Path | None, hive: str | None, *, as_json: bool
) -> int:
    """Check claude, the agent's files and this machine, and suggest fixes.

    With a hive, also check whether this agent can run in it from here. Changes nothing. Exits with 1 if anything
    is wrong; a warning is not.

    \b
    Examples: hyperhive doctor
              hyperhive doctor --json
    """  # noqa: D301 - click's own mark
    findings = examine(ctx, invocation, workspace, hive)
    is_well = all(finding.level is not Level.WRONG for finding in findings)
    if as_json:
        print_json({"ok": is_well, "findings": [finding.to_dict() for finding in findings]})
    else:
        show_findings(findings)
    return 0 if is_well else 1


def examine(
    ctx: click.Context,
    invocation: Invocation,
    workspace: Path | None,
    hive: str | None,
    *words: str,
    run: Run = trio.run,
) -> list[Finding]:
    """Return what `doctor` finds, for a `run` with these words. Blocking; `run` runs what starts claude."""
    claude, passed, skips = os.environ.get("HYPERHIVE_RUN_CLAUDE", "claude"), (), False
    folder, machine = (workspace or Path.cwd()).resolve(), None
    first = fine("settings", "read")
    try:
        with run_context(ctx, workspace, *words) as found:
            folder = found.params["workspace"].resolve()
            claude, passed, skips = (found.params[name] for name in ("claude", "passed", "skip_permissions"))
            machine, hive = found.params["machine"], found.params["hive"] if hive is None else hive
    except click.UsageError as error:
        first = wrong("settings", in_our_words(error, ["run"]).message, "hyperhive config show")
    except HyperhiveError as error:
        first = wrong("settings", error.message, error.hint or "hyperhive config show")
    try:
        paths = invocation.paths_for(folder)
    except HyperhiveError as error:
        return [first, wrong("agent", error.message, error.hint or "hyperhive --agent NAME doctor"), _terminal()]
    program, missing = None, ""
    try:
        program = find_claude(claude)
    except HyperhiveError as error:
        missing = error.message
    variables = claude_variables(ClaudeFiles(os.environ, folder, (), read_json))
    environment = child_environment(os.environ, passed, own=variables)
    subject = Subject(paths, folder, program, missing, environment, skips)
    about_claude = run(_gather, subject)
    by_login = not any(word in one.finding for one in about_claude for word in ("API_KEY", "apiKeyHelper", "token"))
    about_agent, status = _check_agent(paths)
    about_files = check_files(subject, status, by_login=by_login)
    about_hive = _check_hive(invocation, hive, machine, paths.agent)
    return [*about_agent, first, *about_claude, *about_files, *about_hive, _terminal()]


def _check_agent(paths: AgentPaths) -> tuple[list[Finding], Mapping[str, Any]]:
    """Check the agent, and return its status for other checks; empty if there is none."""
    try:
        status = LocalClient(paths).status(limit_s=ANSWER_LIMIT_S)
    except HyperhiveError as error:
        return [wrong("agent", error.message, error.hint or "hyperhive status")], {}
    return [judge_agent(status), *_judge_key(status)], status


def judge_agent(found: Mapping[str, Any]) -> Finding:
    """Judge the agent's status, in the words of `status`, and which of its messages wait for a person."""
    meaning = status_meaning(found["status"])
    waiting = [f"{found[state]} {state}" for state in ("held", "dead") if found[state]]
    if found["status"] == Status.UNREACHABLE:
        return warning("agent", ", ".join([meaning.words, *waiting]), "see the harness below")
    words = ", ".join([status_span(found, time.time())[0], *waiting])
    if meaning.needs_person:
        return warning("agent", words, meaning.advice)
    return warning("agent", words, "hyperhive inbox") if waiting else fine("agent", words)


def _judge_key(found: Mapping[str, Any]) -> list[Finding]:
    """Warn of a key in this shell's environment that the harness does not use."""
    if not (found["running"] and os.environ.get("ANTHROPIC_API_KEY") and found["auth_source"] == "none"):
        return []
    words = "this shell has an ANTHROPIC_API_KEY; the harness uses claude's own login"
    return [warning("key", words, "to use the key, restart the harness from this shell")]


def _check_hive(invocation: Invocation, given: str | None, machine: str | None, agent: str) -> list[Finding]:
    try:
        url = invocation.hive_url(given)
    except HyperhiveError as error:
        return [wrong("hive", error.message, error.hint or "hyperhive config show")]
    if url is None:
        return []
    return list(check_hive(url, agent, machine or machine_name()))


async def _gather(subject: Subject) -> list[Finding]:
    return [finding async for finding in check_claude(subject)]


def _terminal() -> Finding:
    is_terminal, encoding, width = sys.stdout.isatty(), sys.stdout.encoding or "", shutil.get_terminal_size().columns
    return judge_terminal(is_terminal=is_terminal, encoding=encoding, columns=width, environ=os.environ)


def show_findings(findings: Sequence[Finding]) -> None:
    """Print each finding on a line, and below it what to do; long lines are wrapped."""
    signs, arrow = (SIGNS, "→ ") if is_utf8() and not is_plain() else (PLAIN_SIGNS, "-> ")
    width = max(len(finding.what) for finding in findings)
    for one in findings:
        first, *others = _wrapped(one.finding, width + 5)
        head = [(f"{signs[one.level]:<2} ", STYLES[one.level]), (f"{one.what:<{width}}  ", ""), (first, "")]
        print_lines([paint(head), *(f"{'':<{width + 5}}{line}" for line in others)])
        if one.advice is not None:
            advice = _wrapped(one.advice, width + 8)
            starts = [arrow, *[" " * len(arrow)] * len(advice)]
            print_lines(f"{'':<{width + 5}}{start}{line}" for start, line in zip(starts, advice, strict=False))


def _wrapped(words: str, indent: int) -> list[str]:
    width = max(30, columns() - indent)
    line = text.one_line(words, 300)
    return textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) or [""]
