"""`TokenUsage`: the four counters of the Messages API, as claude reports them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from hyperhive_cli.core.settings import MAX_FIGURE


def _count(value: object) -> int:
    """Give `value` as a counter; whatever is no whole number, below zero or beyond MAX_FIGURE counts as 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_FIGURE else 0


_IN_CONTEXT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one request, or the sum over several."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0

    @classmethod
    def from_usage(cls, usage: object) -> Self:
        """Read a `usage` object of the API; missing or unusable counters are 0."""
        fields = usage if isinstance(usage, Mapping) else {}
        return cls(
            input_tokens=_count(fields.get("input_tokens")),
            output_tokens=_count(fields.get("output_tokens")),
            cache_read_input_tokens=_count(fields.get("cache_read_input_tokens")),
            cache_creation_input_tokens=_count(fields.get("cache_creation_input_tokens")),
        )

    @classmethod
    def from_stream_event(cls, line: Mapping[str, Any]) -> Self | None:
        """Read a line of claude's stdout: the usage of a `result`, None for every other type.

        `assistant` lines repeat their message's usage once per content block, with a placeholder for
        the output side; only a `result` carries sums that may be added up.
        """
        if line.get("type") != "result":
            return None
        return cls.from_usage(line.get("usage"))

    def context_tokens(self) -> int:
        """Give the size of the context that this usage describes: input, cache reads and cache writes.

        True for the usage of ONE request (the last main-thread `assistant` line); the sum in a
        `result` counts the context once for every request of the turn.
        """
        return self.input_tokens + self.cache_read_input_tokens + self.cache_creation_input_tokens

    def all_tokens(self) -> int:
        """Give all that went in, cached or not, and all that came out."""
        return self.context_tokens() + self.output_tokens

    def to_dict(self) -> dict[str, int]:
        """Give the wire shape, the API's own names."""
        return asdict(self)

    def since(self, before: "TokenUsage") -> "TokenUsage":
        """Give what a running total has grown by; where a counter is below what it was, it began anew: all of it."""
        pairs = [(getattr(self, name), getattr(before, name)) for name in self.__slots__]
        return self if any(now < then for now, then in pairs) else TokenUsage(*(now - then for now, then in pairs))

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        return TokenUsage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_input_tokens + other.cache_read_input_tokens,
            self.cache_creation_input_tokens + other.cache_creation_input_tokens,
        )


def context_of(line: Mapping[str, Any]) -> int | None:
    """Give the context's size in tokens as this line shows it, None when it does not.

    Only a main-thread `assistant` line of the model's own does, and `compact_boundary`: a subagent has a
    context of its own, and text of the binary itself (`<synthetic>`) carries zeros.
    """
    if line.get("type") == "system" and line.get("subtype") == "compact_boundary":
        metadata = line.get("compact_metadata")
        return (_count(metadata.get("post_tokens")) or None) if isinstance(metadata, Mapping) else None
    message = line.get("message")
    if line.get("type") != "assistant" or line.get("parent_tool_use_id") or not isinstance(message, dict):
        return None
    if message.get("model") == "<synthetic>" or not isinstance(message.get("usage"), dict):
        return None
    usage = message["usage"]
    return sum(_count(usage.get(name)) for name in _IN_CONTEXT)
