"""`Evidence`: what the stdout of one run of claude has shown so far, gathered line by line. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hyperhive_cli.claude.planned import Planned
from hyperhive_cli.claude.stream import DIAGNOSTIC, content_blocks
from hyperhive_cli.settings import MOST
from hyperhive_cli.usage import TokenUsage, context_of

# From this release on, `total_cost_usd` of a resumed run goes on from where the session's last one ended.
COST_PER_SESSION_SINCE = (2, 1, 277)
# What only a person can put right, and no login; `verification_required` comes with a 403.
ACCOUNT_ERRORS = frozenset({"billing_error", "account_on_hold", "verification_required"})


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MOST else None


def _dollars(value: object) -> float | None:
    is_figure = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_figure and 0 <= value <= MOST else None  # type: ignore[arg-type,operator]


@dataclass(slots=True)
class Evidence:
    """One run's findings. Fields are None, empty or 0 until a line has shown them.

    The first three say what was asked for, where only that will do: a session, a source of credentials; and the
    cap that claude was given.
    """

    asked_session: str | None = None
    expected_auth: str | None = None
    cost_cap: str | None = None  # what the `--max-budget-usd` is called that claude was given by us
    session_id: str | None = None
    other_session: str | None = None  # the one that `init` named, where another was asked for
    claude_version: str | None = None
    auth_source: str | None = None
    inits: int = 0
    answers: int = 0  # assistant lines, those of the binary itself too
    tool_calls: int = 0  # those of subagents too
    results: int = 0
    usage: TokenUsage = field(default_factory=TokenUsage)  # the sum over all results: the main thread's requests
    requests: dict[str, object] = field(default_factory=dict)  # message id → its `usage`, until a result comes
    total_cost_usd: float | None = None  # the last running total
    total_usage: TokenUsage | None = None  # the same of tokens: subagents, and claude's own requests, included
    context_tokens: int | None = None
    context_window: int | None = None
    result_text: str | None = None
    is_error: bool = False  # of the last result
    answering: bool = False  # something came after the last result: another stretch of work is under way
    subtype: str | None = None  # of the last result
    terminal_reason: str | None = None
    api_error_status: int | None = None
    errors: tuple[str, ...] = ()
    synthetic_error: str | None = None  # `error` of the binary's own assistant line, since the last result
    retry_error: str | None = None  # `error` of the last api_retry, until something was answered
    limit_resets_at: int | None = None  # Unix seconds, of a rejected rate_limit_event
    limit_rejected: bool = False  # since the model's last answer: what the plan refuses, extra usage may pay for
    permission_denials: int = 0
    tasks: set[str] = field(default_factory=set)  # the ids of those that run in the background
    running_tools: dict[str, str] = field(default_factory=dict)  # tool_use id → name
    compacted: bool = False
    compacted_from: int | None = None  # the context's size before
    first_context_tokens: int | None = None  # as the first request found it
    planned: Planned = field(default_factory=Planned)

    def observe_stream(self, line: Mapping[str, Any]) -> None:
        """Take in one line. Unknown types and odd shapes are ignored, never an error."""
        self.planned.observe_stream(line)
        observe = _OBSERVERS.get(_text(line.get("type")) or "")
        if observe is not None:
            observe(self, line)

    @property
    def background_tasks(self) -> int:
        """How many tasks of claude (subagents, shell jobs) run beside the main thread."""
        return len(self.tasks)

    @property
    def is_wrong_auth(self) -> bool:
        """Whether claude has named a source of credentials other than the expected one; none named is another."""
        return self.expected_auth is not None and self.inits > 0 and self.auth_source != self.expected_auth

    @property
    def is_empty(self) -> bool:
        """Whether the run has done nothing at all, though it has ended with a result."""
        nothing = not self.answers and self.result_text is None and self.usage == TokenUsage()
        return self.results > 0 and nothing and not self.compacted

    @property
    def is_over(self) -> bool:
        """Whether the answer is there and nothing goes on."""
        return self.results > 0 and not self.answering and not self.tasks

    def own_cost_usd(self, before_usd: float | None) -> float | None:
        """Give the run's own cost: claude's last running total less what the session had spent before.

        None: what was before is not known.
        """
        total = self.total_cost_usd
        if total is None or not self.cost_is_per_session:
            return total
        if before_usd is None:
            return None
        return total if total < before_usd else total - before_usd  # below what was before: claude began anew

    def own_usage(self, before: TokenUsage | None) -> TokenUsage:
        """Give the run's own tokens as its results have them: the growth of the totals, which were `before`.

        Subagents and claude's own requests are among them. None: what was before is not known.
        """
        if self.total_usage is None or not self.cost_is_per_session:
            return self.total_usage or self.usage
        return self.usage if before is None else self.total_usage.since(before)

    def tokens_so_far(self, before: TokenUsage | None) -> int:
        """Give what went in and came out until now: of requests since the last result only what claude has named.

        That is their input, cached or not; how much they have written comes with the result.
        """
        known = self.own_usage(before) if self.results else TokenUsage()
        return sum(map(TokenUsage.from_usage, self.requests.values()), known).all_tokens()

    @property
    def cost_is_per_session(self) -> bool:
        """Whether this release counts `total_cost_usd` over the session's resumed runs."""
        return version_numbers(self.claude_version) >= COST_PER_SESSION_SINCE


def version_numbers(version: str | None) -> tuple[int, ...]:
    """Read `2.1.330` as numbers; an unreadable or missing version counts as the newest."""
    try:
        return tuple(int(part) for part in (version or "").split("-")[0].split("."))
    except ValueError:
        return (1_000_000,)


def _observe_init(seen: Evidence, line: Mapping[str, Any]) -> None:
    seen.inits += 1
    seen.answering = True
    session_id = _text(line.get("session_id")) or seen.session_id
    if seen.asked_session is not None and session_id not in {None, seen.asked_session}:
        seen.other_session = session_id  # and never ours: what becomes of the turn goes on in the one asked for
    else:
        seen.session_id = session_id
    seen.claude_version = _text(line.get("claude_code_version")) or seen.claude_version
    seen.auth_source = _text(line.get("apiKeySource")) or seen.auth_source


def _observe_retry(seen: Evidence, line: Mapping[str, Any]) -> None:
    error = _text(line.get("error"))
    refused = _whole(line.get("error_status")) in (401, 403) and error not in ACCOUNT_ERRORS
    seen.retry_error = "authentication_failed" if refused else error


def _observe_boundary(seen: Evidence, line: Mapping[str, Any]) -> None:
    seen.compacted = True
    metadata = line.get("compact_metadata")
    seen.compacted_from = _whole(metadata.get("pre_tokens")) if isinstance(metadata, Mapping) else None
    seen.context_tokens = context_of(line) or seen.context_tokens


def _observe_tasks(seen: Evidence, line: Mapping[str, Any]) -> None:
    tasks = line.get("tasks")
    found = [task for task in tasks if isinstance(task, Mapping)] if isinstance(tasks, list) else []
    seen.tasks = {_text(task.get("task_id")) or "" for task in found}


def _observe_task_start(seen: Evidence, line: Mapping[str, Any]) -> None:
    seen.tasks.add(_text(line.get("task_id")) or "")


def _observe_task_end(seen: Evidence, line: Mapping[str, Any]) -> None:
    seen.tasks.discard(_text(line.get("task_id")) or "")


_SYSTEM: dict[str, Callable[[Evidence, Mapping[str, Any]], None]] = {
    "init": _observe_init,
    "api_retry": _observe_retry,
    "compact_boundary": _observe_boundary,
    "background_tasks_changed": _observe_tasks,  # not before 2.1.330, where it has the last word
    "task_started": _observe_task_start,
    "task_notification": _observe_task_end,
}


def _observe_system(seen: Evidence, line: Mapping[str, Any]) -> None:
    observe = _SYSTEM.get(_text(line.get("subtype")) or "")
    if observe is not None:
        observe(seen, line)


def _observe_assistant(seen: Evidence, line: Mapping[str, Any]) -> None:
    seen.answering = True
    seen.answers += 1
    seen.retry_error = None
    seen.synthetic_error = _text(line.get("error"))
    if not _is_synthetic(line):
        seen.limit_rejected = False
    context = context_of(line)
    seen.context_tokens = context or seen.context_tokens
    seen.first_context_tokens = seen.first_context_tokens or context
    _observe_request(seen, line)
    for block in content_blocks(line, "tool_use"):
        seen.tool_calls += 1
        seen.running_tools[_text(block.get("id")) or ""] = _text(block.get("name")) or "unknown"


def _is_synthetic(line: Mapping[str, Any]) -> bool:
    """Whether a text is the binary's own, and not the model's."""
    message = line.get("message")
    is_its_own = isinstance(message, Mapping) and message.get("model") == "<synthetic>"
    return is_its_own or _text(line.get("error")) is not None


def _observe_request(seen: Evidence, line: Mapping[str, Any]) -> None:
    # Each block of a message is a line with the same usage (anthropics/claude-code#6805: counted 2 to 4 times).
    message = line.get("message")
    message_id = _text(message.get("id")) if isinstance(message, Mapping) else None
    if isinstance(message, Mapping) and message_id is not None:
        seen.requests[message_id] = message.get("usage")


def _observe_user(seen: Evidence, line: Mapping[str, Any]) -> None:
    for block in content_blocks(line, "tool_result"):
        seen.running_tools.pop(_text(block.get("tool_use_id")) or "", None)


def _observe_result(seen: Evidence, line: Mapping[str, Any]) -> None:
    seen.results += 1
    seen.answering = False
    if not seen.tasks:  # a subagent in the background may have tools that run on
        seen.running_tools.clear()
    seen.subtype = _text(line.get("subtype"))
    seen.usage += TokenUsage.from_usage(line.get("usage"))
    seen.total_usage = _total_usage(line.get("modelUsage")) or seen.total_usage
    seen.requests.clear()
    cost = _dollars(line.get("total_cost_usd"))
    seen.total_cost_usd = seen.total_cost_usd if cost is None else cost
    seen.is_error = line.get("is_error") is True
    text = _text(line.get("result"))
    if text or seen.is_error:  # an earlier answer explains no failure
        seen.result_text = text
    seen.terminal_reason = _text(line.get("terminal_reason"))
    seen.api_error_status = _whole(line.get("api_error_status"))
    errors = line.get("errors")
    texts = filter(None, map(_text, errors)) if isinstance(errors, list) else ()
    seen.errors = tuple(text for text in texts if not text.startswith(DIAGNOSTIC))
    denials = line.get("permission_denials")
    seen.permission_denials += len(denials) if isinstance(denials, list) else 0
    seen.context_window = _window(line.get("modelUsage")) or seen.context_window
    if not seen.is_error:
        seen.synthetic_error = None


def _total_usage(model_usage: object) -> TokenUsage | None:
    """Add up the models' running totals; None where none is named, as in the result of a refused request."""
    entries = model_usage.values() if isinstance(model_usage, Mapping) else ()
    found = [_model_usage(entry) for entry in entries if isinstance(entry, Mapping)]
    return sum(found, TokenUsage()) if found else None


def _model_usage(entry: Mapping[str, Any]) -> TokenUsage:
    return TokenUsage.from_usage({name: entry.get(theirs) for name, theirs in _MODEL_USAGE.items()})


_MODEL_USAGE = {
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "cache_read_input_tokens": "cacheReadInputTokens",
    "cache_creation_input_tokens": "cacheCreationInputTokens",
}


def _window(model_usage: object) -> int | None:
    """Give the context window of the model that was used most, by tokens in: the main thread's."""
    if not isinstance(model_usage, Mapping):
        return None
    entries = [entry for entry in model_usage.values() if isinstance(entry, Mapping)]
    entries.sort(key=lambda entry: _whole(entry.get("cacheReadInputTokens")) or 0)
    return _whole(entries[-1].get("contextWindow")) if entries else None


def _unix_seconds(value: object) -> int | None:
    """Give a time in seconds; one that would lie beyond the year 5000 is meant in milliseconds, or is none."""
    found = _whole(value)
    seconds = found // 1000 if found is not None and found > _YEAR_5000 else found
    return None if seconds is not None and seconds > _YEAR_5000 else seconds


_YEAR_5000 = 100_000_000_000


def _observe_limit(seen: Evidence, line: Mapping[str, Any]) -> None:
    info = line.get("rate_limit_info")
    found = info if isinstance(info, Mapping) else line
    if found.get("status") == "rejected":
        seen.limit_rejected = True
        seen.limit_resets_at = _unix_seconds(found.get("resetsAt"))


_OBSERVERS: dict[str, Callable[[Evidence, Mapping[str, Any]], None]] = {
    "system": _observe_system,
    "assistant": _observe_assistant,
    "user": _observe_user,
    "result": _observe_result,
    "rate_limit_event": _observe_limit,
}
