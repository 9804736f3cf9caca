"""Where an agent's state lies, what it is called, and the limits of the house. Pure: nothing is touched."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from hyperhive_cli.core.errors import UsageError

DEFAULT_MODEL = "haiku"
HISTORY_CAPACITY = 2_000  # rows of the events table that a sweep leaves
RING_CAPACITY = 256  # records a slow subscriber may lag behind before it must re-read the store
RING_LIMIT_BYTES = 8 * 1024 * 1024  # and how much they may be in all: 256 of the longest lines would be 4 GiB
LINE_LIMIT_BYTES = 16 * 1024 * 1024
MESSAGE_LIMIT_BYTES = 1024 * 1024
MAX_ATTEMPTS = 3
MAX_FIGURE = 10**15  # of any figure: nobody comes near, and sums of it stay within what a database holds
MAX_RESET_S = 40 * 86_400  # no limit of an account is one of more than a month
TURN_VARIABLE = "HYPERHIVE_TURN"  # in the environment of all that a turn starts; its value: the state folder
ANSWER_LIMIT_S = 2.0  # for a question that a harness answers immediately
MODEL_LIMIT_CHARS = 200
SENDER_LIMIT_CHARS = 64
INBOX_NAME = "hyperhive-inbox.sqlite"
LOCK_NAME = "harness.lock"
WORKSPACE_FILE = "hyperhive.toml"  # a workspace's own settings
PANEL_TOKEN_BYTES = 32  # of chance, in the token of a web panel
SOCKET_PATH_LIMIT_BYTES = 100  # sun_path holds 104 (macOS) or 108 (Linux) with its NUL

_AGENT_NAME = r"[a-z0-9][a-z0-9_-]{0,63}"  # compiled when used: no command needs both
_NOT_IN_NAMES = r"[^a-z0-9_-]+"


class AgentPaths(NamedTuple):
    """An agent's name and the files of its state folder. `explicit`: named, not derived from a folder."""

    agent: str
    state_dir: Path
    events_db: Path
    model_file: Path
    socket: Path
    explicit: bool = True

    @property
    def inbox_db(self) -> Path:
        """The inbox, turn statistics and the agent's own facts."""
        return self.state_dir / INBOX_NAME

    @property
    def lock_file(self) -> Path:
        """The file whose flock a running harness holds."""
        return self.state_dir / LOCK_NAME


def check_agent_name(name: str) -> str:
    """Give `name` back; raises UsageError when no agent may be called so."""
    if not re.fullmatch(_AGENT_NAME, name):
        raise UsageError(f"{name!r} is no agent name", "use 1 to 64 of a-z 0-9 _ -, the first a letter or a digit")
    return name


def agent_name_of_folder(folder: Path) -> str:
    """Derive an agent's name from its workspace folder: `My Project` gives `my-project`."""
    name = re.sub(_NOT_IN_NAMES, "-", folder.name.lower()).strip("-_")[:64]
    if not name:
        raise UsageError(f"the folder {folder} gives no agent name", "hyperhive --agent NAME …")
    return name


def check_model_name(name: str) -> str:
    """Give the trimmed name back; raises UsageError for what can be no model's name."""
    trimmed = name.strip()
    if not trimmed or trimmed.startswith("-") or any(c.isspace() or not c.isprintable() for c in trimmed):
        raise UsageError(f"{name!r} is no model name", "a name without spaces, such as haiku or opus")
    if len(trimmed) > MODEL_LIMIT_CHARS:
        raise UsageError(f"a model name has at most {MODEL_LIMIT_CHARS} characters, this one {len(trimmed)}")
    return trimmed


def resolve_paths(agent: str | None, state_dir: Path | None, workspace: Path, environ: Mapping[str, str]) -> AgentPaths:
    """Find an agent's files from what was said on the command line, the environment and the workspace folder.

    `environ` gives XDG_STATE_HOME, XDG_RUNTIME_DIR, HOME, HYPERHIVE_EVENTS_DB and HYPERHIVE_MODEL_FILE;
    options with a variable of their own (--agent, --state-dir) have been looked up by then. Raises
    UsageError.
    """
    name = agent_name_of_folder(workspace) if agent is None else check_agent_name(agent)
    folder = state_dir if state_dir is not None else default_agents_home(environ) / name
    return AgentPaths(
        agent=name,
        state_dir=folder,
        events_db=Path(environ.get("HYPERHIVE_EVENTS_DB") or folder / "hyperhive-events.sqlite"),
        model_file=Path(environ.get("HYPERHIVE_MODEL_FILE") or folder / "hyperhive-model"),
        socket=_socket_path(folder, environ),
        explicit=agent is not None,
    )


def paths_by_name(agent: str, folder: Path, environ: Mapping[str, str]) -> AgentPaths:
    """Find the files of one agent among several, in this state folder; raises UsageError.

    Variables that name one agent's files (HYPERHIVE_EVENTS_DB, HYPERHIVE_MODEL_FILE) are nobody else's.
    """
    others = {name: value for name, value in environ.items() if not name.startswith("HYPERHIVE_")}
    return resolve_paths(agent, folder, folder, others)


def default_agents_home(environ: Mapping[str, str]) -> Path:
    """Give the folder below which each agent has its own, unless it was told otherwise. Raises UsageError."""
    return _state_home(environ) / "hyperhive"


def _home(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME")
    if not home:
        raise UsageError("HOME is not set, so there is no default state folder", "hyperhive --state-dir DIR …")
    return Path(home)


def _state_home(environ: Mapping[str, str]) -> Path:
    given = environ.get("XDG_STATE_HOME", "")
    # The XDG specification: a relative path is invalid and to be ignored.
    return Path(given) if given.startswith("/") else _home(environ) / ".local" / "state"


def _socket_path(state_dir: Path, environ: Mapping[str, str]) -> Path:
    """Return the socket's place: beside the databases, or a shorter path when that is too long for a socket.

    On Linux no path is too long (control/address.py). Elsewhere the server refuses a folder, and the client a socket,
    of another user; so /tmp will do in the end.
    """
    beside = state_dir / "control.sock"
    if len(bytes(beside)) <= SOCKET_PATH_LIMIT_BYTES or sys.platform == "linux":
        return beside
    import hashlib  # noqa: PLC0415 - costs each command 2 ms and is hardly ever needed

    digest = hashlib.sha256(bytes(state_dir)).hexdigest()[:16]
    runtime, home = environ.get("XDG_RUNTIME_DIR", ""), environ.get("HOME", "")
    places = [Path(runtime) / "hyperhive" / f"{digest}.sock"] if runtime.startswith("/") else []
    places += [Path(home) / ".hyperhive" / f"{digest}.sock"] if home else []
    fitting = (place for place in places if len(bytes(place)) <= SOCKET_PATH_LIMIT_BYTES)
    return next(fitting, Path("/tmp") / f"hyperhive-{digest}" / "control.sock")  # noqa: S108 - see above
