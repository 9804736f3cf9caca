"""claude's command line and environment. Pure.

The prompt is not an argument: it would show in `ps`, break if it starts with `-`, and run into the size limit of an
argument.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hyperhive_cli.claude.planned import WAKEUP_TOOL
from hyperhive_cli.claude.settings_flag import FLAG as SETTINGS_FLAG

# Without it no line says why a hook stopped claude (2.1.332, 2.1.197). 2.1.100 knows the flag, 2.0.77 does not.
HOOK_EVENTS_FLAG = "--include-hook-events"
COST_CAP_FLAG = "--max-budget-usd"  # claude refuses 0


@dataclass(frozen=True, slots=True)
class Launch:
    """What every turn of an agent passes to claude."""

    command: tuple[str, ...]  # the program with its first arguments
    permission_mode: str | None = None
    skip_permissions: bool = False
    partial: bool = False
    extra: tuple[str, ...] = ()
    hook_events: bool = True
    no_wakeups: bool = False
    settings: str | None = None  # the value of `--settings`, which `extra` must then not contain

    @property
    def mode(self) -> str | None:
        """The permission mode that was chosen, as claude calls it; None: what claude's settings say."""
        return "bypassPermissions" if self.skip_permissions else self.permission_mode


def turn_argv(
    launch: Launch,
    *,
    model: str,
    session_id: str | None,
    newest: bool = False,
    stream_input: bool = False,
    cost_cap_usd: float | None = None,
) -> list[str]:
    """Build the command line of one turn.

    - `session_id` resumes that conversation; `newest`, without a session id, continues the folder's newest one.
    - With `stream_input` claude waits for its message as a line on stdin (`prompt_to_line`).
    - `cost_cap_usd` limits this run, not its session, in every release.

    Free text is passed as `--flag=value`, so that it cannot be taken for a flag.
    """
    argv = [*launch.command, "--print", "--verbose", "--output-format", "stream-json", f"--model={model}"]
    options: list[tuple[bool, list[str]]] = [
        (stream_input, ["--input-format", "stream-json"]),
        (session_id is not None, [f"--resume={session_id}"]),
        (session_id is None and newest, ["--continue"]),
        (launch.permission_mode is not None, [f"--permission-mode={launch.permission_mode}"]),
        (launch.skip_permissions, ["--dangerously-skip-permissions"]),
        (launch.partial, ["--include-partial-messages"]),
        (cost_cap_usd is not None, [f"{COST_CAP_FLAG}={max(cost_cap_usd or 0.0, 0.000001):.6f}"]),
        # Measured: an operator's own --disallowedTools, in any of its forms, is added to this one.
        (launch.no_wakeups, [f"--disallowedTools={WAKEUP_TOOL}"]),
        (launch.settings is not None, [f"{SETTINGS_FLAG}={launch.settings}"]),
        (launch.hook_events, [HOOK_EVENTS_FLAG]),
    ]
    argv += [word for is_wanted, words in options if is_wanted for word in words]
    return [*argv, *launch.extra]


def lacks_hook_events(stderr: str) -> bool:
    """Return True if claude did not start because it is too old to know HOOK_EVENTS_FLAG."""
    return f"unknown option '{HOOK_EVENTS_FLAG}'" in stderr


# The variables that claude and its tools get; `*` stands for any text. All others are withheld: the operator's shell
# holds more than an agent needs, and a tool that runs `env` prints everything.
_ALWAYS = """
    PATH HOME USER LOGNAME SHELL LANG LANGUAGE LC_* TZ TERM COLORTERM NO_COLOR FORCE_COLOR TMPDIR XDG_*
    SSH_AUTH_SOCK SSL_CERT_* NODE_EXTRA_CA_CERTS
    HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy
    GIT_AUTHOR_* GIT_COMMITTER_* GIT_SSH_COMMAND
    ANTHROPIC_* CLAUDE_* MCP_* OTEL_* DISABLE_* ENABLE_* MAX_*
    BASH_DEFAULT_TIMEOUT_MS BASH_MAX_TIMEOUT_MS BASH_MAX_OUTPUT_LENGTH
    API_TIMEOUT_MS API_FORCE_IDLE_TIMEOUT IS_SANDBOX USE_BUILTIN_RIPGREP DO_NOT_TRACK SLASH_COMMAND_TOOL_CHAR_BUDGET
    TASK_MAX_OUTPUT_LENGTH FALLBACK_FOR_ALL_PRIMARY_MODELS FORCE_AUTOUPDATE_PLUGINS FORCE_PROMPT_CACHING_5M
    TRACEPARENT TRACESTATE
"""
# A cloud's credentials, passed only if claude is configured to use that cloud.
_CLOUDS = {
    "CLAUDE_CODE_USE_BEDROCK CLAUDE_CODE_USE_MANTLE CLAUDE_CODE_USE_ANTHROPIC_AWS": "AWS_*",
    "CLAUDE_CODE_USE_VERTEX CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD": """
        GOOGLE_* GCLOUD_* CLOUDSDK_* VERTEX_* CLOUD_ML_REGION GCE_METADATA_*
    """,
    "CLAUDE_CODE_USE_FOUNDRY": "AZURE_*",
}
_CREDENTIALS = {
    "AWS_*": "AWS_ACCESS_KEY_ID AWS_PROFILE AWS_BEARER_TOKEN_* AWS_WEB_IDENTITY_TOKEN_FILE AWS_CONTAINER_*",
    "GOOGLE_*": "GOOGLE_APPLICATION_CREDENTIALS",
    "AZURE_*": "AZURE_CLIENT_ID AZURE_CLIENT_SECRET AZURE_CLIENT_CERTIFICATE_PATH AZURE_FEDERATED_TOKEN_FILE",
}
# Never passed, even with `--pass-env`: our own variables, and those that tell claude that it runs inside another
# claude. With these it would refuse to start, attach to the outer session or read a descriptor that it was not given.
# The names are those that 2.1.197 and 2.1.330 set for their tools, hooks and jobs.
_NEVER = """
    HYPERHIVE_* CLAUDECODE CLAUDE_PID CLAUDE_EFFORT CLAUDE_PROJECT_DIR CLAUDE_ENV_FILE CLAUDE_JOB_DIR
    CLAUDE_BG_* CLAUDE_BRIDGE_* CLAUDE_PTY_* CLAUDE_CODE_ENTRYPOINT CLAUDE_CODE_EXECPATH CLAUDE_CODE_SSE_PORT
    CLAUDE_CODE_SESSION_* CLAUDE_CODE_CHILD_* CLAUDE_CODE_MESSAGING_* CLAUDE_CODE_LAUNCHED_BY_*
    CLAUDE_CODE_INVOKED_SKILLS CLAUDE_CODE_SPAWN_TIMESTAMP_MS CLAUDE_CODE_*_FILE_DESCRIPTOR
"""
_NO = {"", "0", "false", "no", "off"}  # as claude reads a switch


def child_environment(
    environ: Mapping[str, str], passed: Sequence[str] = (), *, own: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return claude's environment: the variables of `environ` that it needs, and those that `passed` names.

    In `passed`, `*` stands for any text. `own` is the environment with the additions of claude's own settings
    (`claude_variables`), which may switch a cloud on or off.
    """
    allowed = _names([*_ALWAYS.split(), *_cloud_names(environ if own is None else own), *passed])
    never = _names(_NEVER.split())
    return {name: value for name, value in environ.items() if allowed.fullmatch(name) and not never.fullmatch(name)}


def withheld_clouds(environ: Mapping[str, str], given: Mapping[str, str]) -> list[str]:
    """Return the clouds whose credentials are in `environ` but not in `given`, as patterns for `--pass-env`."""
    kept = environ.keys() - given.keys()
    return [names for names, keys in _CREDENTIALS.items() if any(map(_names(keys.split()).fullmatch, kept))]


def _cloud_names(environ: Mapping[str, str]) -> list[str]:
    chosen = (
        names
        for switches, names in _CLOUDS.items()
        if any(environ.get(switch, "").strip().lower() not in _NO for switch in switches.split())
    )
    return [name for names in chosen for name in names.split()]


def _names(patterns: Iterable[str]) -> re.Pattern[str]:
    """Compile names in which `*` stands for any text; every other character is literal."""
    return re.compile("|".join(re.escape(pattern).replace(r"\*", ".*") for pattern in patterns), re.DOTALL)


def check_passed(names: Sequence[str]) -> str | None:
    """Return the first entry that is not a valid variable name (for example `NAME=value`), None if all are valid."""
    return next((name for name in names if not _VARIABLE.fullmatch(name)), None)


_VARIABLE = re.compile(r"[^=\s\x00]+")
