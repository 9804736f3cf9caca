"""`Evidence`: what the stdout of one run of claude has shown so far, collected line by line. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hyperhive_cli.claude.denials import Denials
from hyperhive_cli.claude.limits import LimitReport, line_to_limits
from hyperhive_cli.claude.missing_servers import mcp_troubles
from hyperhive_cli.claude.models import answering_model, plain_model
from hyperhive_cli.claude.planned import Planned
from hyperhive_cli.claude.stream import content_blocks, session_id_of, text_field, tool_calls
from hyperhive_cli.claude.stretch import REASON_LIMIT_CHARS, Stretch
from hyperhive_cli.core.figures import number, whole
from hyperhive_cli.core.usage import TokenUsage, context_of

# From this release on, `total_cost_usd` of a resumed run continues from the end of the session's previous run.
COST_PER_SESSION_SINCE = (2, 1, 277)
MAX_WINDOWS = 50  # of limits; claude knows six
MAX_STRETCHES = 100  # kept per run: the message's own and the newest
FAILURE_LIMIT_CHARS = 300


@dataclass(slots=True)
class Evidence:
    """The findings about one run. Fields are None, empty or 0 until a line has shown them."""

    asked_session: str | None = None  # given: the session that is required
    expected_auth: str | None = None  # given: the source of credentials that is required
    cost_cap: str | None = None  # given: what to call the limit that was passed as `--max-budget-usd`
    session_id: str | None = None
    other_session: str | None = None  # named by `init` although another one was required
    claude_version: str | None = None
    auth_source: str | None = None
    stretches: list[Stretch] = field(default_factory=lambda: [Stretch()])  # the message's own first
    lines: int = 0
    inits: int = 0
    answers: int = 0  # assistant lines, including those of subagents and of the binary itself
    tool_calls: int = 0  # including those of subagents
    results: int = 0
    conclusions: int = 0  # the first result, and every later one that follows an answer of the model
    answer: str | None = None  # of the last successful stretch
    model: str | None = None  # author of the main thread's last answer
    given_model: str | None = None  # named by `init`; for runs without an answer, such as `/compact`
    usage: TokenUsage = field(default_factory=TokenUsage)  # sum over all results: requests of the main thread
    requests: dict[str, object] = field(default_factory=dict)  # message id → its `usage`, since the last result
    total_cost_usd: float | None = None  # the last running total
    total_usage: TokenUsage | None = None  # likewise, in tokens: includes subagents and claude's own requests
    context_tokens: int | None = None
    context_window: int | None = None
    limits: LimitReport | None = None  # the last one
    refusal: LimitReport | None = None  # the last one that refuses requests
    windows: dict[str, dict[str, Any]] = field(default_factory=dict)  # the account's limits by type, the newest
    mcp_troubles: list[str] | None = None  # MCP servers that `init` reports as missing
    denials: Denials = field(default_factory=Denials)
    tasks: set[str] = field(default_factory=set)  # ids of running background tasks
    running_tools: dict[str, str] = field(default_factory=dict)  # tool_use id → name
    failed_calls: int = 0  # the latest tool calls, failed in a row
    last_failure: str = ""  # tool and text of the last of them
    compacted: bool = False
    compact_error: str | None = None  # why the last compaction failed
    compacted_from: int | None = None  # context tokens before the compaction
    first_context_tokens: int | None = None  # of the first request
    planned: Planned = field(default_factory=Planned)

    def observe_stream(self, line: Mapping[str, Any]) -> None:
        """Process one line. Unknown types and malformed lines are ignored, never an error."""
        self.lines += 1
        self.denials.observe(line)
        self.planned.observe_stream(line)
        observe = _OBSERVERS.get(text_field(line, "type") or "")
        if observe is not None:
            observe(self, line)

    @property
    def own(self) -> Stretch:
        """The message's own stretch, which alone decides the outcome."""
        return self.stretches[0]

    @property
    def current(self) -> Stretch:
        """The newest stretch, which may have ended."""
        return self.stretches[-1]

    def open_stretch(self) -> Stretch:
        """Return the current stretch; start a new one if the last has ended."""
        if self.current.ended:
            if len(self.stretches) >= MAX_STRETCHES:
                del self.stretches[1]
            self.stretches.append(Stretch())
        return self.current

    @property
    def answering(self) -> bool:
        """Whether claude is in the middle of a stretch."""
        return self.current.has_worked and not self.current.ended

    @property
    def is_working(self) -> bool:
        """Whether the run must go on: there is no result yet, or the main thread is answering again."""
        return not self.results or (self.answering and self.current.answers > 0)

    @property
    def background_tasks(self) -> int:
        """The number of background tasks of claude (subagents, shell jobs)."""
        return len(self.tasks)

    @property
    def has_started(self) -> bool:
        """Whether claude may have cost anything yet; its hooks run before its `init`, so other lines do not count."""
        return bool(self.inits or self.answers or self.results)

    @property
    def is_wrong_auth(self) -> bool:
        """Whether claude uses other credentials than expected; naming no source counts as another one."""
        return self.expected_auth is not None and self.inits > 0 and self.auth_source != self.expected_auth

    @property
    def is_empty(self) -> bool:
        """Whether the run ended with a result without having done anything."""
        nothing = not self.answers and self.answer is None and self.usage == TokenUsage()
        return self.results > 0 and nothing and not self.compacted

    @property
    def is_over(self) -> bool:
        """Whether there is a result and nothing is running any more."""
        return self.results > 0 and not self.answering and not self.tasks

    def own_cost_usd(self, before_usd: float | None) -> float | None:
        """Return the cost of this run alone; None if the session's total before, `before_usd`, is not known."""
        total = self.total_cost_usd
        if total is None or not self.cost_is_per_session:
            return total
        if before_usd is None:
            return None
        return total if total < before_usd else total - before_usd  # a smaller total: claude started again from 0

    def own_usage(self, before: TokenUsage | None) -> TokenUsage:
        """Return this run's own tokens, with subagents and claude's own requests unless `before` is None (unknown)."""
        if self.total_usage is None or not self.cost_is_per_session:
            return self.total_usage or self.usage
        return self.usage if before is None else self.total_usage.since(before)

    def tokens_so_far(self, before: TokenUsage | None) -> int:
        """Return the tokens used so far; of requests since the last result only the input, as nothing else is known."""
        known = self.own_usage(before) if self.results else TokenUsage()
        return sum(map(TokenUsage.from_usage, self.requests.values()), known).all_tokens()

    @property
    def cost_is_per_session(self) -> bool:
        """Whether this release accumulates `total_cost_usd` over the resumed runs of a session."""
        return version_numbers(self.claude_version) >= COST_PER_SESSION_SINCE


def version_numbers(version: str | None) -> tuple[int, ...]:
    """Parse `2.1.330`. An unreadable version counts as the newest, a missing one as the oldest."""
    if not version:
        return (0,)
    try:
        return tuple(int(part) for part in version.split("-")[0].split("."))
    except ValueError:
        return (1_000_000,)


def _observe_init(seen: Evidence, line: Mapping[str, Any]) -> None:
    seen.inits += 1
    seen.open_stretch().inits += 1
    session_id = session_id_of(line) or seen.session_id
    if seen.asked_session is not None and session_id not in {None, seen.asked_session}:
        seen.other_session = session_id  # not adopted: the agent goes on in the session that it asked for
    else:
        seen.session_id = session_id
    seen.claude_version = text_field(line, "claude_code_version") or seen.claude_version
    seen.auth_source = text_field(line, "apiKeySource") or seen.auth_source
    seen.given_model = text_field(line, "model") or seen.given_model
    troubles = mcp_troubles(line)
    seen.mcp_troubles = seen.mcp_troubles if troubles is None else troubles


def _observe_status(seen: Evidence, line: Mapping[str, Any]) -> None:
    if line.get("compact_result") == "failed":
        seen.compact_error = (text_field(line, "compact_error") or "no reason given")[:REASON_LIMIT_CHARS]


def _observe_boundary(seen: Evidence, line: Mapping[str, Any]) -> None:
    seen.compacted = True
    metadata = line.get("compact_metadata")
    seen.compacted_from = whole(metadata.get("pre_tokens")) if isinstance(metadata, Mapping) else None
    seen.context_tokens = context_of(line)  # None, unknown, with 2.1.100 and 2.0.77


def _observe_tasks(seen: Evidence, line: Mapping[str, Any]) -> None:
    tasks = line.get("tasks")
    found = [task for task in tasks if isinstance(task, Mapping)] if isinstance(tasks, list) else []
    seen.tasks = {text_field(task, "task_id") or "" for task in found}


_SYSTEM: dict[str, Callable[[Evidence, Mapping[str, Any]], None]] = {
    "init": _observe_init,
    "api_retry": lambda seen, line: seen.open_stretch().observe_retry(line),
    "informational": lambda seen, line: seen.current.observe_informational(line),
    "status": _observe_status,
    "hook_response": lambda seen, line: seen.current.observe_hook(line),
    "compact_boundary": _observe_boundary,
    "background_tasks_changed": _observe_tasks,  # since 2.1.330, where it is authoritative
    "task_started": lambda seen, line: seen.tasks.add(text_field(line, "task_id") or ""),
    "task_notification": lambda seen, line: seen.tasks.discard(text_field(line, "task_id") or ""),
}


def _observe_system(seen: Evidence, line: Mapping[str, Any]) -> None:
    observe = _SYSTEM.get(text_field(line, "subtype") or "")
    if observe is not None:
        observe(seen, line)


def _observe_assistant(seen: Evidence, line: Mapping[str, Any]) -> None:
    is_main = not line.get("parent_tool_use_id")
    # A background subagent goes on after the result and does not open a stretch.
    stretch = seen.open_stretch() if is_main else seen.current
    calls = tool_calls(line)
    stretch.observe_assistant(line, len(calls))
    seen.answers += 1
    context = context_of(line)
    if context is not None:  # the line is the model's own, in the main thread
        seen.context_tokens = context or seen.context_tokens
        seen.first_context_tokens = seen.first_context_tokens or context
    seen.model = answering_model(line) or seen.model
    _observe_request(seen, line)
    seen.tool_calls += len(calls)
    for block in calls:
        if block["type"] == "tool_use":  # it does not run at the API
            seen.running_tools[text_field(block, "id") or ""] = text_field(block, "name") or "unknown"


def _observe_request(seen: Evidence, line: Mapping[str, Any]) -> None:
    # Every block of a message is a line that repeats the usage (anthropics/claude-code#6805: counted 2 to 4 times).
    message = line.get("message")
    if isinstance(message, dict) and (message_id := text_field(message, "id")) is not None:
        seen.requests[message_id] = message.get("usage")


def _observe_user(seen: Evidence, line: Mapping[str, Any]) -> None:
    for block in content_blocks(line, "tool_result"):
        seen.current.is_left_over = seen.current.is_left_over or not seen.answers
        name = seen.running_tools.pop(text_field(block, "tool_use_id") or "", "a tool")
        if block.get("is_error") is not True:
            seen.failed_calls = 0
            continue
        seen.failed_calls += 1
        seen.last_failure = f"{name}: {text_field(block, 'content') or 'no reason given'}"[:FAILURE_LIMIT_CHARS]


def _observe_result(seen: Evidence, line: Mapping[str, Any]) -> None:
    stretch = seen.open_stretch()
    stretch.observe_result(line)
    _observe_figures(seen, line)
    if not seen.tasks:  # the tools of a background subagent may still be running
        seen.running_tools.clear()
    is_older_call = stretch.is_left_over or (stretch.deferred is not None and not seen.answers)
    if not seen.results and (is_older_call or _is_of_another(line)):
        seen.stretches[-1] = Stretch()  # claude settled the leftovers of an earlier run; the message's own comes next
        return
    seen.results += 1
    if seen.results == 1 or stretch.model_answers:
        seen.conclusions += 1
    if stretch.ended_well:
        seen.answer = stretch.answer or seen.answer


def _is_of_another(result: Mapping[str, Any]) -> bool:
    """Return True if a result belongs to work that no message started."""
    # A background task that outlived its claude is reported in a stretch without an answer at the next start (2.1.330).
    origin = result.get("origin")
    return isinstance(origin, Mapping) and origin.get("kind") not in (None, "human")


def _observe_figures(seen: Evidence, line: Mapping[str, Any]) -> None:
    seen.usage += TokenUsage.from_stream_event(line) or TokenUsage()
    seen.total_usage = _total_usage(line.get("modelUsage")) or seen.total_usage
    seen.requests.clear()
    cost = number(line.get("total_cost_usd"))
    seen.total_cost_usd = seen.total_cost_usd if cost is None else cost
    seen.context_window = _window(line.get("modelUsage"), seen.model or seen.given_model) or seen.context_window


def _total_usage(model_usage: object) -> TokenUsage | None:
    """Add up the models' running totals; None without any, as in the result of a refused request."""
    entries = model_usage.values() if isinstance(model_usage, Mapping) else ()
    named = [
        {name: entry.get(theirs) for name, theirs in _MODEL_USAGE.items()}
        for entry in entries
        if isinstance(entry, Mapping)
    ]
    return sum(map(TokenUsage.from_usage, named), TokenUsage()) if named else None


_MODEL_USAGE = {
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "cache_read_input_tokens": "cacheReadInputTokens",
    "cache_creation_input_tokens": "cacheCreationInputTokens",
}


def _window(model_usage: object, model: str | None) -> int | None:
    """Return the context window of the model that answered or, if that is not listed, of the one used most."""
    # From 2.1.277 on all models of the session are listed, including those used before a switch.
    if not isinstance(model_usage, Mapping):
        return None
    entries = {name: entry for name, entry in model_usage.items() if isinstance(entry, Mapping)}
    answered = [entry for name, entry in entries.items() if model and plain_model(name) == plain_model(model)]
    found = answered or sorted(entries.values(), key=lambda entry: whole(entry.get("cacheReadInputTokens")) or 0)
    return whole(found[-1].get("contextWindow")) if found else None


def _observe_limit(seen: Evidence, line: Mapping[str, Any]) -> None:
    seen.limits = line_to_limits(line)
    if seen.limits is not None and len(seen.windows) < MAX_WINDOWS:
        seen.windows |= {found["type"]: found for found in seen.limits.to_list()}
    if seen.limits is not None and seen.limits.refused:
        seen.refusal = seen.limits
        seen.open_stretch().limit_rejected = True


_OBSERVERS: dict[str, Callable[[Evidence, Mapping[str, Any]], None]] = {
    "system": _observe_system,
    "assistant": _observe_assistant,
    "user": _observe_user,
    "result": _observe_result,
    "rate_limit_event": _observe_limit,
}
