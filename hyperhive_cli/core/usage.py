"""`TokenUsage`: the four counters of the Messages API, as claude reports them."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from hyperhive_cli.core.figures import whole


class TokenUsage(NamedTuple):
    """Tokens of one request, or a sum over several."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0

    @classmethod
    def from_usage(cls, usage: object) -> Self:
        """Read a `usage` object of the API; missing or unusable counters are 0."""
        fields = usage if isinstance(usage, dict) else {}
        return cls(*[whole(fields.get(name)) or 0 for name in cls._fields])

    @classmethod
    def from_stream_event(cls, line: Mapping[str, Any]) -> Self | None:
        """Read a line of claude's stdout: the usage of a `result`, None for every other type.

        Only the sums of `result` lines may be added up: `assistant` lines repeat their message's usage for each content
        block, with a placeholder for the output.
        """
        return cls.from_usage(line.get("usage")) if line.get("type") == "result" else None

    def context_tokens(self) -> int:
        """Return the context size in tokens: input, cache reads and cache writes.

        Valid only for the usage of ONE request (the last main-thread `assistant` line); the sum in a `result` counts
        the context once per request of the turn.
        """
        return self.input_tokens + self.cache_read_input_tokens + self.cache_creation_input_tokens

    def all_tokens(self) -> int:
        """Return the whole input, cached or not, plus the output."""
        return self.context_tokens() + self.output_tokens

    def to_dict(self) -> dict[str, int]:
        """Return the counters under the API's names."""
        return self._asdict()

    def since(self, before: "TokenUsage") -> "TokenUsage":
        """Return the growth of a running total since `before`.

        If any counter is smaller than before, the total started again from 0, so all of it is growth.
        """
        pairs = list(zip(self, before, strict=True))
        return self if any(now < then for now, then in pairs) else TokenUsage(*(now - then for now, then in pairs))

    def __add__(self, other: "TokenUsage") -> "TokenUsage":  # type: ignore[override]  # adds, as no tuple does
        return TokenUsage(*map(int.__add__, self, other))


def context_of(line: Mapping[str, Any]) -> int | None:
    """Return the context size in tokens that a line shows, None if it shows none.

    Only a `compact_boundary` and the model's own `assistant` lines in the main thread show it: a subagent has its own
    context, and text of the binary itself (`<synthetic>`) has zeros.
    """
    if line.get("type") == "system" and line.get("subtype") == "compact_boundary":
        metadata = line.get("compact_metadata")
        return (whole(metadata.get("post_tokens")) or None) if isinstance(metadata, Mapping) else None
    message = line.get("message")
    if line.get("type") != "assistant" or line.get("parent_tool_use_id") or not isinstance(message, dict):
        return None
    if message.get("model") == "<synthetic>" or not isinstance(message.get("usage"), dict):
        return None
    return TokenUsage.from_usage(message["usage"]).context_tokens()
