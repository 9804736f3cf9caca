"""An agent's name, the paths of its files, and limits that apply everywhere. Pure: no file is touched."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from hyperhive_cli.core.errors import UsageError

DEFAULT_MODEL = "haiku"
HISTORY_CAPACITY = 2_000  # rows that a sweep leaves in the events table
RING_CAPACITY = 256  # records that a subscriber may lag behind before it must re-read the store
RING_LIMIT_BYTES = 8 * 1024 * 1024  # of all these together: 256 of the longest lines would be 4 GiB
LINE_LIMIT_BYTES = 16 * 1024 * 1024
MESSAGE_LIMIT_BYTES = 1024 * 1024
MAX_ATTEMPTS = 3
MAX_FIGURE = 10**15  # far above any real figure, and sums of it still fit into a database
MAX_RESET_S = 40 * 86_400  # from now; no limit of an account lasts longer than a month
TURN_VARIABLE = "HYPERHIVE_TURN"  # in the environment of every process of a turn; the value is the state folder
ANSWER_LIMIT_S = 2.0  # for a question that a harness answers immediately
MODEL_LIMIT_CHARS = 200
SENDER_LIMIT_CHARS = 64
INBOX_NAME = "hyperhive-inbox.sqlite"
LOCK_NAME = "harness.lock"
WORKSPACE_FILE = "hyperhive.toml"  # the settings of a workspace
SOCKET_PATH_LIMIT_BYTES = 100  # sun_path holds 104 (macOS) or 108 (Linux) with its NUL

_AGENT_NAME = r"[a-z0-9][a-z0-9_-]{0,63}"  # compiled on use: no command needs both
_NOT_IN_NAMES = r"[^a-z0-9_-]+"


class AgentPaths(NamedTuple):
    """An agent's name and its files. `explicit`: the name was given, not derived from the workspace folder."""

    agent: str
    state_dir: Path
    events_db: Path
    model_file: Path
    socket: Path
    explicit: bool = True

    @property
    def inbox_db(self) -> Path:
        """The database with messages, turn statistics and the agent's facts."""
        return self.state_dir / INBOX_NAME

    @property
    def history(self) -> Path:
        """The folder of the history's segments: what is older than the rows of `events_db`."""
        return self.state_dir / "history"

    @property
    def accounts(self) -> Path:
        """The folder of what agents of one account share: beside the state folders, or in one with another name."""
        shared = self.state_dir.parent if self.state_dir.name == self.agent else self.state_dir
        return shared / ".accounts"  # not valid as an agent's name

    @property
    def lock_file(self) -> Path:
        """The file that a running harness holds locked (flock)."""
        return self.state_dir / LOCK_NAME


def check_agent_name(name: str) -> str:
    """Return `name`; raises UsageError if it is not a valid agent name."""
    if not re.fullmatch(_AGENT_NAME, name):
        hint = "use 1 to 64 of a-z 0-9 _ -, starting with a letter or a digit"
        raise UsageError(f"{name!r} is not a valid agent name", hint)
    return name


def agent_name_of_folder(folder: Path) -> str:
    """Derive an agent's name from its workspace folder: `My Project` becomes `my-project`."""
    name = re.sub(_NOT_IN_NAMES, "-", folder.name.lower()).strip("-_")[:64]
    if not name:
        raise UsageError(f"no agent name can be derived from the folder {folder}", "hyperhive --agent NAME …")
    return name


def check_model_name(name: str) -> str:
    """Return the trimmed name; raises UsageError if it cannot be the name of a model."""
    trimmed = name.strip()
    if not trimmed or trimmed.startswith("-") or any(c.isspace() or not c.isprintable() for c in trimmed):
        raise UsageError(f"{name!r} is not a valid model name", "use a name without spaces, such as haiku or opus")
    if len(trimmed) > MODEL_LIMIT_CHARS:
        raise UsageError(f"a model name has at most {MODEL_LIMIT_CHARS} characters, this one has {len(trimmed)}")
    return trimmed


def resolve_paths(agent: str | None, state_dir: Path | None, workspace: Path, environ: Mapping[str, str]) -> AgentPaths:
    """Resolve an agent's files from the command line, the environment and the workspace folder; raises UsageError.

    Read from `environ`: XDG_STATE_HOME, XDG_RUNTIME_DIR, HOME, HYPERHIVE_EVENTS_DB and HYPERHIVE_MODEL_FILE. The
    variables of --agent and --state-dir are already resolved into the first two arguments.
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
    """Resolve the files of one agent among several, in this state folder; raises UsageError.

    HYPERHIVE_* variables are ignored: HYPERHIVE_EVENTS_DB and HYPERHIVE_MODEL_FILE name the files of one agent.
    """
    others = {name: value for name, value in environ.items() if not name.startswith("HYPERHIVE_")}
    return resolve_paths(agent, folder, folder, others)


def user_file(environ: Mapping[str, str]) -> Path | None:
    """Return the path of the user's own file; None if neither XDG_CONFIG_HOME nor HOME is set."""
    given, home = environ.get("XDG_CONFIG_HOME", ""), environ.get("HOME", "")
    # The XDG specification: a relative path is invalid and to be ignored.
    folder = Path(given) if given.startswith("/") else Path(home) / ".config" if home else None
    return None if folder is None else folder / "hyperhive" / "config.toml"


def default_agents_home(environ: Mapping[str, str]) -> Path:
    """Return the default parent of the agents' state folders; raises UsageError if HOME is needed and not set."""
    given, home = environ.get("XDG_STATE_HOME", ""), environ.get("HOME")
    if given.startswith("/"):  # by the XDG specification a relative path is invalid and must be ignored
        return Path(given) / "hyperhive"
    if not home:
        raise UsageError("HOME is not set, so there is no default state folder", "hyperhive --state-dir DIR …")
    return Path(home) / ".local" / "state" / "hyperhive"


def _socket_path(state_dir: Path, environ: Mapping[str, str]) -> Path:
    """Return the socket's path: beside the databases, or a shorter one if that is too long for a socket address.

    On Linux no path is too long (control/address.py). /tmp is a safe last resort elsewhere: the server refuses the
    folder, and the client the socket, of another user.
    """
    beside = state_dir / "control.sock"
    if len(bytes(beside)) <= SOCKET_PATH_LIMIT_BYTES or sys.platform == "linux":
        return beside
    import hashlib  # noqa: PLC0415 - 2.7 ms of start-up, needed only for long paths outside Linux

    digest = hashlib.sha256(bytes(state_dir)).hexdigest()[:16]
    runtime, home = environ.get("XDG_RUNTIME_DIR", ""), environ.get("HOME", "")
    places = [Path(runtime) / "hyperhive" / f"{digest}.sock"] if runtime.startswith("/") else []
    places += [Path(home) / ".hyperhive" / f"{digest}.sock"] if home else []
    fitting = (place for place in places if len(bytes(place)) <= SOCKET_PATH_LIMIT_BYTES)
    return next(fitting, Path("/tmp") / f"hyperhive-{digest}" / "control.sock")  # noqa: S108 - see the docstring
