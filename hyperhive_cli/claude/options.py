"""claude's options after `--`: parsed as claude parses them; options that would break the harness are refused. Pure.

claude's parser (commander) has no abbreviations. An option with a value takes the next word, whatever it looks like; an
option with several values takes words until the next one that starts with `-`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

# By the number of values, hidden options included (2.1.332). An option in none of these lists is new or has been
# removed: the words after it may be its values.
_NO_VALUE = """
    -d2e --debug-to-stderr --verbose -p --print --bare --safe-mode --init --init-only --maintenance
    --include-hook-events --include-partial-messages --forward-subagent-text --session-mirror --await-claim
    --await-initialize --dangerously-skip-permissions --allow-dangerously-skip-permissions --replay-user-messages
    --enable-auth-status --restricted --exclude-dynamic-system-prompt-sections -c --continue --fork-session
    --deep-link-origin --no-session-persistence --reply-on-resume --include-unsupported-models --allow-other-models
    --managed-settings-in-initialize --host-auth-is-org-sign-in --ide --desktop --strict-mcp-config
    --disable-slash-commands --chrome --no-chrome --tmux --enable-auto-mode --agents-view-if-allowed --bg --background
    --brief --ax-screen-reader --plan-mode-required --hold-repository-while-parked -h --help -v --version
"""
_ONE_VALUE = """
    --debug-file --output-format --json-schema --input-format --thinking --thinking-display --max-thinking-tokens
    --max-turns --max-budget-usd --task-budget --permission-prompt-tool --permission-prompts --system-prompt
    --system-prompt-file --append-system-prompt --append-system-prompt-file --system-prompt-snapshot
    --append-subagent-system-prompt --append-subagent-system-prompt-file --plan-mode-instructions --permission-mode
    --inherit-permission-mode --watch-artifact --watch-artifact-no-autoreact --prefill --deep-link-repo
    --deep-link-last-fetch --prefill-b64 --deep-link-cwd-b64 --resume-session-at --resume-drops-turn --rewind-files
    --model --effort --fast-mode --agent --fallback-model --workload --settings --client-data-url --managed-settings
    --project-config-root --session-id -n --name --agents --setting-sources --plugin-dir --plugin-dir-no-mcp
    --plugin-url --advisor --autocompact --proactivity --messaging-socket-path --agent-id --agent-name --team-name
    --agent-color --parent-session-id --lead-verify-key --teammate-mode --agent-type --sdk-url --runner-declares
    --session-began-as-copy --initialize-fields --forward-home-settings --attach-serve --environment --pool
    --correlation-id --metadata --on-branch --ref --remote-control-session-name-prefix
"""
_PERHAPS_ONE = """
    -d --debug --prompt-suggestions -r --resume --from-pr -w --worktree --teleport --cloud --remote --remote-control
    --rc
"""
_SEVERAL = """
    --allowedTools --allowed-tools --tools --disallowedTools --disallowed-tools --mcp-config --betas --add-dir --file
    --channels --dangerously-load-development-channels
"""
_MANY = 1_000_000
_VALUES = {  # flag → the minimum and maximum number of values
    **dict.fromkeys(_NO_VALUE.split(), (0, 0)),
    **dict.fromkeys(_ONE_VALUE.split(), (1, 1)),
    **dict.fromkeys(_PERHAPS_ONE.split(), (0, 1)),
    **dict.fromkeys(_SEVERAL.split(), (1, _MANY)),
}
_UNKNOWN = (0, _MANY)


class Option(NamedTuple):
    """An option with its values. An empty `flag` means a positional word, which claude takes as the prompt."""

    flag: str
    values: tuple[str, ...] = ()


class Refusal(NamedTuple):
    """Why an option is refused, and what to use instead."""

    reason: str
    hint: str


_SHAPE = Refusal("hyperhive parses claude's output and sets its format itself", "hyperhive run -h")
_CONVERSATION = Refusal(
    "hyperhive decides which conversation a turn continues", "hyperhive run --continue, or hyperhive new-session"
)
_ENDS = Refusal("claude would do that and exit without running the message", "the same command without hyperhive")
_ELSEWHERE = Refusal("the session would run elsewhere, out of hyperhive's sight", "leave it out")
_IN_PRINT_MODE = Refusal("it works only in an interactive claude", "leave it out")
_HOST = Refusal("claude would wait for a host program on its stdin", "leave it out")
_WORKTREE = Refusal(
    "each turn would start in a new worktree", "git worktree add DIR, then hyperhive run --workspace DIR"
)

# Options that break a turn or make claude exit before it. Measured with 2.1.332; claude itself refuses most of them
# together with `--print`, but only turn after turn.
_OURS = {
    **dict.fromkeys(("-p", "--print", "--output-format", "--input-format", "--verbose"), _SHAPE),
    **dict.fromkeys(("--sdk-url", "--session-mirror"), _SHAPE),
    "--replay-user-messages": Refusal("every message would be shown twice", "leave it out"),
    **dict.fromkeys(("-c", "--continue", "-r", "--resume", "--session-id", "--fork-session"), _CONVERSATION),
    **dict.fromkeys(("--from-pr", "--teleport", "--resume-session-at", "--resume-drops-turn"), _CONVERSATION),
    **dict.fromkeys(("--reply-on-resume", "--session-began-as-copy"), _CONVERSATION),
    "--no-session-persistence": Refusal(
        "no turn could continue the conversation of the previous one", "hyperhive new-session starts a new one"
    ),
    "--model": Refusal("the agent has its own model", "hyperhive run --model NAME, or hyperhive model set NAME"),
    **dict.fromkeys(("-h", "--help", "-v", "--version", "--init-only", "--rewind-files"), _ENDS),
    **dict.fromkeys(
        ("--bg", "--background"), Refusal("claude would return before the message has run", "leave it out")
    ),
    **dict.fromkeys(("--cloud", "--remote", "--environment", "--pool", "--attach-serve", "--desktop"), _ELSEWHERE),
    **dict.fromkeys(("--remote-control", "--rc", "--tmux", "--agents-view-if-allowed"), _IN_PRINT_MODE),
    **dict.fromkeys(("-w", "--worktree"), _WORKTREE),
    **dict.fromkeys(("--await-claim", "--await-initialize", "--initialize-fields"), _HOST),
    "--managed-settings-in-initialize": _HOST,
}
# Refused only with this value.
_OUR_VALUES = {
    ("--permission-prompt-tool", "stdio"): Refusal(
        "nothing answers on claude's stdin, so every prompt would be denied",
        "hyperhive run --permission-mode acceptEdits, or an MCP tool as its value",
    ),
}


def read_options(words: Sequence[str]) -> Iterator[Option]:
    """Parse the words of a command line as claude does."""
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            yield from (Option("", (operand,)) for operand in words[at:])
            return
        if not _is_option(word):
            yield Option("", (word,))
            continue
        flag, attached = _split(word)
        if attached is not None:
            yield Option(flag, (attached,))
            continue
        least, most = _VALUES.get(flag, _UNKNOWN)
        end = min(at + least, len(words))
        while end < min(len(words), at + most) and not _is_option(words[end]):
            end += 1
        yield Option(flag, tuple(words[at:end]))
        at = end


def refused_option(words: Sequence[str]) -> tuple[str, Refusal] | None:
    """Return the first option or word that is not allowed, with the reason; None if all are."""
    for flag, values in read_options(words):
        if not flag:
            return values[0], Refusal("it would become the prompt of every turn", "hyperhive run --message TEXT")
        if (refusal := _OURS.get(flag)) is not None:
            return flag, refusal
        for value in values:
            if (refusal := _OUR_VALUES.get((flag, value))) is not None:
                return f"{flag} {value}", refusal
    return None


def values_of(words: Sequence[str], flag: str) -> list[str]:
    """Return all values of an option in order, over all its occurrences."""
    return [value for given in read_options(words) if given.flag == flag for value in given.values]


def has_option(words: Sequence[str], flag: str) -> bool:
    """Return True if an option is given, with or without a value."""
    return any(given.flag == flag for given in read_options(words))


def is_known(flag: str) -> bool:
    """Return True if claude has an option of this name."""
    return flag in _VALUES


def _is_option(word: str) -> bool:
    return len(word) > 1 and word.startswith("-")


def _split(word: str) -> tuple[str, str | None]:
    """Split a word into a flag and an attached value: `--flag=value`, `-rID`. Of `-pc` the first flag counts."""
    if word.startswith("--"):
        flag, equals, value = word.partition("=")
        return flag, value if equals else None
    if word in _VALUES or word[:2] not in _VALUES:
        return word, None
    return word[:2], word[2:]
