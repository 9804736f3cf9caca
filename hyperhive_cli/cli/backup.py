"""`hyperhive backup` and `restore`."""

import os
import sys
import tempfile
from pathlib import Path

import click

from hyperhive_cli.cli.declared import argument, command, option, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, print_json
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.core import text
from hyperhive_cli.core.errors import HyperhiveError, UsageError
from hyperhive_cli.core.files import open_file
from hyperhive_cli.store.backup import Contents, restore_backup, stream_backup, write_backup
from hyperhive_cli.store.facts import stored_fact


@command()
@argument("file", type=click.Path(path_type=Path, allow_dash=True))
@option("--force", is_flag=True, help="Replace FILE if it exists.")
@option("--no-history", is_flag=True, help="Leave out the history but for the newest events: a small archive.")
@option("--json", "as_json", is_flag=True, help="Print file, bytes and the counts as JSON.")
@pass_invocation
def backup(invocation: Invocation, file: Path, *, force: bool, no_history: bool, as_json: bool) -> None:
    """Back up the agent (inbox, history, model) to FILE, a .tar.gz, running or not.

    Each database is copied consistently and checked. - means stdout.

    \b
    Examples: hyperhive backup agent.tar.gz
              hyperhive backup - > agent.tar.gz
              hyperhive -a NEW restore agent.tar.gz
    """  # noqa: D301 - click's own mark
    paths = invocation.local(may_be_new=False).paths
    if str(file) != "-":
        contents = write_backup(paths, file.absolute(), force=force, has_segments=not no_history)
        size_bytes = file.stat().st_size
        if as_json:
            print_json({"file": str(file), "bytes": size_bytes, **contents.to_dict()})
        else:
            echo(_sentence(str(file), size_bytes, contents))
        return
    if as_json or sys.stdout.isatty():
        raise UsageError("with -, the archive is written to stdout", "hyperhive backup - > FILE")
    with tempfile.TemporaryDirectory(prefix="hyperhive-backup-") as scratch:
        contents = stream_backup(paths, sys.stdout.buffer, Path(scratch), has_segments=not no_history)
    echo(_sentence("the backup", None, contents), err=True)


def _sentence(name: str, size_bytes: int | None, contents: Contents) -> str:
    size = "" if size_bytes is None else f" ({size_bytes:,} bytes)"
    parts = [
        f"{text.plural(contents.messages, 'message')} ({contents.waiting} waiting)",
        text.plural(contents.turns, "turn"),
        text.plural(contents.events, "event") if contents.missing is None else f"no history: {contents.missing}",
    ]
    if contents.segments:
        parts.append(f"{contents.archived:,} archived in {text.plural(contents.segments, 'segment')}")
    if contents.left_out:
        parts.append(f"left out as damaged: {', '.join(contents.left_out)}")
    return f"{name}{size}: {', '.join(parts)}"


@command()
@argument("file", type=click.Path(path_type=Path, allow_dash=True))
@option("--json", "as_json", is_flag=True, help="Print agent, state_dir, workspace and the counts of the backup.")
@pass_invocation
def restore(invocation: Invocation, file: Path, *, as_json: bool) -> None:
    """Unpack a backup into a new agent, the one that -a names or the folder's.

    The archive is checked first; an agent that exists is not touched. - means stdin. No message runs until
    `hyperhive run`.

    \b
    Examples: hyperhive restore agent.tar.gz -a bee
              ssh host hyperhive backup - | hyperhive restore - -a bee
    """  # noqa: D301 - click's own mark
    paths = invocation.paths()
    try:
        with sys.stdin.buffer if str(file) == "-" else os.fdopen(open_file(file, links=True), "rb") as archive:
            contents = restore_backup(paths, archive)
    except OSError as error:
        raise HyperhiveError(f"{file} cannot be read: {error.strerror}", "hyperhive restore FILE") from error
    workspace = stored_fact(paths.inbox_db, "workspace")
    if as_json:
        restored = {"agent": paths.agent, "state_dir": str(paths.state_dir), "workspace": workspace}
        print_json({**restored, **contents.to_dict()})
        return
    echo(_sentence(f"agent {paths.agent} is restored", None, contents))
    if workspace is not None:
        echo(f"it works in {text.clean(workspace)}; start it with: hyperhive -a {paths.agent} run", err=True)
