"""What all commands share: the global options, the agent that they name, and how output is printed."""

import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hyperhive_cli.cli.declared import option
from hyperhive_cli.cli.streams import drop_stdout, echo, is_missing, write_drawn
from hyperhive_cli.core.errors import HyperhiveError, StoreError, UnknownError, UsageError
from hyperhive_cli.core.files import read_file
from hyperhive_cli.core.settings import (
    WORKSPACE_FILE,
    AgentPaths,
    check_agent_name,
    default_agents_home,
    resolve_paths,
    user_file,
)
from hyperhive_cli.core.terminal import escape

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from hyperhive_cli.harness.client import AgentClient, LocalClient
    from hyperhive_cli.hive.database import Connection


class Invocation:
    """The global options of one call of the program; `current` is the one that runs."""

    current: "ClassVar[Invocation | None]" = None

    def __init__(self) -> None:
        self.agent: str | None = None
        self.state_dir: Path | None = None
        self.hive: str | None = None
        self.debug = False
        self.plain = False
        self._warned: set[str] = set()

    def apply(self, **options: Any) -> None:  # noqa: ANN401 - texts and flags, by name
        """Set global options from the command line or their variables; raises UsageError."""
        if options.get("agent") == "":  # on the command line: an empty variable counts as unset
            raise UsageError("the agent's name is empty", "-a NAME, or no -a for the agent of this folder")
        if options.get("state_dir") is not None:
            options["state_dir"] = Path(options["state_dir"]).absolute()
        for name, value in options.items():
            setattr(self, name, value)
        Invocation.current = self

    @property
    def is_by_name(self) -> bool:
        """Whether the agent was named, and nothing else says that it should exist."""
        return self.agent is not None and self.state_dir is None

    def paths_for(self, workspace: Path) -> AgentPaths:
        """Return the files of the agent that the options, the workspace's file or the workspace's name select.

        Raises UsageError, and HyperhiveError if the workspace's file cannot be read.
        """
        return self._paths_of(_agent_named_in(workspace) if self.agent is None else self.agent, workspace)

    def _paths_of(self, named: str | None, workspace: Path) -> AgentPaths:
        paths = resolve_paths(named, self.state_dir, workspace, os.environ)
        # A name in a workspace's file counts as little as the folder's own: it must not select another folder's agent.
        return paths._replace(explicit=self.agent is not None)

    def paths(self) -> AgentPaths:
        """Return the files of a client command's agent: as `paths_for`, from the current folder.

        If no agent is bound to that folder, but one to a folder above, it is that one.

        If the folder's file cannot be read, this only warns: the agent can write it, and must not lock its operator
        out. Raises AgentConflictError if the name comes from the current folder and its agent is bound to another
        folder, StoreError if the state folder cannot be entered.
        """
        return self._paths_and_workspace()[0]

    def _paths_and_workspace(self) -> tuple[AgentPaths, Path | None]:
        """Return the paths, and the folder to which a first message binds their agent; None if they were named."""
        here = Path.cwd()
        paths = self._paths_of(self._name_here(here) if self.agent is None else self.agent, here)
        check_reachable(paths.state_dir)
        if paths.explicit or self.state_dir is not None:
            return paths, None
        bound = bound_workspace(paths)
        if bound != str(here) and (above := self._nearest_above(here)) is not None:
            return above
        if bound is not None and bound != str(here):
            from hyperhive_cli.store.folder import bound_elsewhere  # noqa: PLC0415 - for the error

            raise bound_elsewhere(paths.agent, bound)
        return paths, here

    def _nearest_above(self, here: Path) -> tuple[AgentPaths, Path] | None:
        """Return the agent that is bound to the nearest folder above, and that folder, as git finds a repository."""
        for folder in here.parents:
            with suppress(HyperhiveError):  # its file cannot be read, or its name is not one for an agent
                paths = self.paths_for(folder)
                if bound_workspace(paths) == str(folder):
                    return paths, folder
        return None

    def _name_here(self, here: Path) -> str | None:
        """Return the name in the folder's file; if that cannot be read, the agent bound to the folder, or None."""
        try:
            named = _agent_named_in(here)
            return None if named is None else check_agent_name(named)
        except HyperhiveError as error:
            bound = None if self.state_dir is not None else _agent_bound_to(here)
            if self.state_dir is not None:
                which = "continuing without it"
            elif bound is not None:
                which = f"continuing with agent {bound!r}, bound to this folder; to name another: hyperhive -a NAME …"
            else:
                which = "continuing with the agent named after this folder; to name another: hyperhive -a NAME …"
            self._warn(f"{error.message}; {which}")
            return bound

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            echo(printable_line(text), err=True)

    def hive_url(self, given: str | None = None, *, reads: bool = False) -> str | None:
        """Return the URL of the hive, None for none.

        The first that is set counts: what a command was `given`, the global option, its variable, the user's file. An
        empty URL means no hive. Raises UsageError, and HyperhiveError if the user's file cannot be read; a command that
        only `reads` warns of that and continues without a hive.
        """
        url = self.hive if given is None else given
        if url is None and "HYPERHIVE_HIVE" not in os.environ and _user_file_names_hive():
            from hyperhive_cli.cli.configured import user_hive  # noqa: PLC0415 - most users have no such file

            try:
                url = user_hive()
            except HyperhiveError as error:
                if not reads:
                    raise
                self._warn(f"{error.message}; continuing without a hive")
        if not url:
            return None
        from hyperhive_cli.hive.address import check_url  # noqa: PLC0415 - for those in a hive

        return check_url(url)

    def client(
        self, hive: str | None = None, *, changes: bool = False, of_many: bool = False, may_be_new: bool | None = None
    ) -> "AgentClient":
        """Return the agent of a command: in its hive if it is in one, else on this machine.

        In a hive, `of_many` also accepts a pattern of names. Raises as `hive_url` and, for a command that `changes` the
        agent, as `steered_paths`.
        """
        url = self.hive_url(hive, reads=not changes)
        if url is None:
            return self.local(changes=changes, may_be_new=may_be_new)
        from hyperhive_cli.hive.client import HiveClient  # noqa: PLC0415 - for those in a hive

        if of_many:
            return HiveClient(url, self.hive_agents())
        return HiveClient(url, (self.steered_paths() if changes else self.paths()).agent)

    def local(self, *, changes: bool = False, may_be_new: bool | None = None) -> "LocalClient":
        """Return the agent of a command on this machine; raises as `client`.

        Raises UnknownError if there is no such agent, unless it `may_be_new`: by default if the command `changes`
        nothing. One whose folder was named exists.
        """
        from hyperhive_cli.harness.client import LocalClient  # noqa: PLC0415 - fcntl, which Windows has not: `main`

        paths, workspace = self._paths_and_workspace()
        if changes:
            self._check_may_steer(paths)
        client = LocalClient(paths, workspace)
        if self.state_dir is None and not (may_be_new if may_be_new is not None else not changes):
            check_known(client, is_named=self.agent is not None)
        return client

    def open_hive(self, given: str | None) -> "AbstractContextManager[Connection]":
        """Connect to the hive of a command; raises UsageError if none is named."""
        from hyperhive_cli.hive.database import open_hive  # noqa: PLC0415 - for those in a hive

        return open_hive(self.needed_hive(given))

    def needed_hive(self, given: str | None) -> str:
        """Return the URL as `hive_url`; raises UsageError if no hive is named."""
        url = self.hive_url(given)
        if url is None:
            raise UsageError("no hive is named", "--hive postgresql://USER@HOST/DATABASE, or HYPERHIVE_HIVE")
        return url

    def hive_agents(self) -> str:
        """Return the agents of a hive that a command shows: a pattern of names, or one name as `paths` finds it."""
        from hyperhive_cli.hive.address import check_pattern, is_pattern  # noqa: PLC0415 - as above

        return check_pattern(self.agent) if self.agent and is_pattern(self.agent) else self.paths().agent

    def steered_paths(self) -> AgentPaths:
        """Return the files of a command that changes the agent: as `paths`.

        Raises RefusedError in a turn of this agent, unless its harness allows that.
        """
        paths = self.paths()
        self._check_may_steer(paths)
        return paths

    def _check_may_steer(self, paths: AgentPaths) -> None:
        if os.path.lexists(paths.lock_file):
            from hyperhive_cli.cli.own_turn import check_may_steer  # noqa: PLC0415 - if a harness has run

            check_may_steer(paths)


def check_reachable(state_dir: Path) -> None:
    """Raise StoreError if the state folder is not a folder or cannot be entered; a missing one is new."""
    try:
        is_folder = stat.S_ISDIR(state_dir.stat().st_mode)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"the state folder {state_dir} cannot be used: {error.strerror}", "--state-dir DIR") from error
    if not is_folder:
        raise StoreError(f"the state folder {state_dir} is not a folder", "--state-dir DIR")
    if not os.access(state_dir, os.X_OK):
        raise StoreError(
            f"no permission to enter the state folder {state_dir}", "run as the user who owns it, or --state-dir DIR"
        )


def _agent_named_in(workspace: Path) -> str | None:
    if not os.path.lexists(workspace / WORKSPACE_FILE):
        return None
    from hyperhive_cli.cli.configured import workspace_agent  # noqa: PLC0415 - most folders have no such file

    return workspace_agent(workspace)


def _agent_bound_to(folder: Path) -> str | None:
    """Return the agent that is bound to a folder; None if there is none, or more than one."""
    from hyperhive_cli.store.folder import find_agents  # noqa: PLC0415 - as above

    with suppress(HyperhiveError):
        agents = find_agents(default_agents_home(os.environ))
        names = [paths.agent for paths in agents if bound_workspace(paths) == str(folder)]
        return names[0] if len(names) == 1 else None
    return None


def _user_file_names_hive() -> bool:
    """Return True if the user's configuration may name a hive, or cannot be read."""
    path = user_file(os.environ)
    try:
        content = b"" if path is None else read_file(path, 65_536, links=True)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return b"hive" in content


def printable_line(text: str) -> str:
    """Return a text on one line, without what could control a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def hive_option(command: Any) -> Any:  # noqa: ANN401 - as click's own decorators
    """Add `--hive` to a command."""
    return option("--hive", metavar="URL", help="Hive of the agent: postgresql://…")(command)


def bound_workspace(paths: AgentPaths) -> str | None:
    """Return the folder that an agent is bound to; None if it is new, or its inbox cannot be read."""
    if not paths.inbox_db.exists():
        return None
    from hyperhive_cli.store.facts import stored_fact  # noqa: PLC0415 - SQLite costs 11 ms

    try:
        return stored_fact(paths.inbox_db, "workspace")
    except StoreError:
        return None


def stop_without_reader() -> None:
    """Raise BrokenPipeError if stdout's reader is gone: a command that writes nothing would not notice."""
    import select  # noqa: PLC0415 - each library less that every command loads is 0.2 to 0.6 ms

    poll = select.poll()
    poll.register(1, 0)
    if any(happened & (select.POLLERR | select.POLLHUP) for _, happened in poll.poll(0)):
        raise BrokenPipeError


def print_json(value: object) -> None:
    """Print one JSON value on a line of its own."""
    import json  # noqa: PLC0415 - most output is not JSON

    echo(json.dumps(value, ensure_ascii=not is_utf8(), separators=(",", ":")))


def try_to_print(found: dict[str, Any] | str) -> str | None:
    """Print JSON or a text; return why it could not be printed. It is not an error if the reader is gone."""
    if is_missing(1):
        return "stdout is closed"
    try:
        echo(found) if isinstance(found, str) else print_json(found)
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_stdout()  # reported by the caller: not an error when the command exits
        return error.strerror
    return None


# Our own symbols: those for drawing, and further ones for an output that cannot encode them.
_DRAWN = str.maketrans("✓✗●○‖↻█░▏▎▍▌▋▊▉▕→", "+x*o=~#-|######|>")
_ASCII = _DRAWN | str.maketrans("·…", "..")


def say_if_new(client: "AgentClient") -> None:
    """Say on stderr that the agent has no inbox yet: its name may be a typing error."""
    if client.is_new:
        say_new(client)


def say_new(client: "AgentClient") -> None:
    """Say on stderr that the agent is a new one."""
    echo(f"agent {client.agent!r} is new; to list existing agents: hyperhive agents", err=True)


def check_known(client: "AgentClient", *, is_named: bool = True) -> None:
    """Raise UnknownError if the agent is new: it would be created by accident, by a slip or in the wrong folder."""
    if client.is_new and not is_named:
        raise UnknownError(
            f"no agent works in {Path.cwd()}", "hyperhive agents, then -a NAME; to start one here: hyperhive run"
        )
    if client.is_new:
        from difflib import get_close_matches  # noqa: PLC0415 - for a slip

        from hyperhive_cli.store.folder import find_agents  # noqa: PLC0415 - as above

        names = [paths.agent for paths in find_agents(default_agents_home(os.environ))]
        close = get_close_matches(client.agent, names, n=1)
        hint = f"hyperhive -a {close[0]} …; for a new agent: " if close else "hyperhive agents; for a new one: "
        raise UnknownError(
            f"there is no agent {client.agent!r}", f"{hint}hyperhive -a {client.agent} run, or send --new"
        )


def warn_of_history(paths: AgentPaths) -> None:
    """Say on stderr if the history cannot be read: it is shown as empty."""
    from hyperhive_cli.store.history import history_trouble  # noqa: PLC0415 - for the commands that read it

    trouble = history_trouble(paths)
    if trouble is not None:
        warn_of_part(trouble)


def warn_of_part(trouble: str) -> None:
    """Say on stderr why a part of the history is not shown."""
    echo(f"{trouble}; see hyperhive doctor", err=True)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines, as `printable`."""
    for line in printable(lines):
        if isinstance(line, Painted):
            write_drawn(f"{line}\n")
        else:
            echo(line)


class Painted(str):
    """A line with our own colours or cursor movements, in which all other text is escaped."""

    __slots__ = ()


def printable(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines with only what stdout can encode; with --plain, letters in place of our symbols."""
    plain = is_plain()
    for line in lines:
        shown = line
        if not is_utf8():
            encoding = sys.stdout.encoding or "ascii"
            shown = line.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
        elif plain:
            shown = line.translate(_DRAWN)
        yield Painted(shown) if isinstance(line, Painted) else shown


_STYLES = {"head": "1", "fine": "32", "warn": "33", "bad": "31", "quiet": "2"}  # bold, green, yellow, red, dim


def is_plain() -> bool:
    """Return True with --plain: no colours, no drawings, no animation."""
    return Invocation.current is not None and Invocation.current.plain


def paint(spans: Iterable[tuple[str, str]]) -> str:
    """Join spans of (text, style) into one line, coloured on a terminal unless NO_COLOR is set."""
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    colours = colours and not is_plain()
    if not colours:
        return "".join(words for words, _ in spans).rstrip()
    return Painted("".join(_coloured(escape(words), _STYLES.get(style)) for words, style in spans).rstrip())


def _coloured(words: str, code: str | None) -> str:
    return f"\x1b[{code}m{words}\x1b[0m" if words and code else words


def is_utf8() -> bool:
    """Return True if stdout can encode any character."""
    return (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"


def is_text(words: str) -> bool:
    """Return True if an argument or a path is valid UTF-8, as everything stored and sent must be."""
    try:
        words.encode()
    except UnicodeEncodeError:
        return False
    return True


def now_ms() -> int:
    """Return the time in Unix milliseconds."""
    return int(time.time() * 1000)
