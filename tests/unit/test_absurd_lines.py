"""A line of claude's may have any JSON in any field: whatever reads it takes what it knows, and never fails."""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
import pytest

from hyperhive_cli.claude.evidence import Evidence
from hyperhive_cli.claude.limits import line_to_limits
from hyperhive_cli.claude.retries import line_to_retry
from hyperhive_cli.claude.sentences import line_to_sentence
from hyperhive_cli.claude.stream import tool_names
from hyperhive_cli.core.events import Stream
from hyperhive_cli.core.usage import context_of
from hyperhive_cli.transcript.activity import Activity
from tests.conftest import recording, recording_index

Line = Mapping[str, Any]
WRONG: tuple[object, ...] = (5, -1, 1e300, "x", [], ["x"], [None], {}, {"a": 1}, True, None)
READERS: dict[str, Callable[[Line], object]] = {
    "evidence": lambda line: Evidence().observe_stream(line),
    "limits": line_to_limits,
    "retry": line_to_retry,
    "sentence": line_to_sentence,
    "context": context_of,
    "tools": tool_names,
    "activity": lambda line: Activity().observe(Stream.from_line(dict(line)), 0),
}


def shapes() -> list[Line]:
    """Return one recorded line of each type and subtype, with all its fields."""
    found: dict[tuple[str, str], Line] = {}
    for name in recording_index():
        for raw in recording(name):
            try:
                line = orjson.loads(raw)
            except orjson.JSONDecodeError:
                continue
            if isinstance(line, dict):
                key = (str(line.get("type")), str(line.get("subtype")))
                if len(raw) > len(orjson.dumps(found.get(key, {}))) and len(raw) < 4_000:
                    found[key] = line
    return [*found.values(), {"type": "result", "subtype": "success", "origin": {"kind": "human"}}]


def altered(value: Any, wrong: object) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    """Yield the value with each of its parts, however deep, replaced."""
    yield copy.copy(wrong)
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        for other in altered(part, wrong):
            changed = copy.copy(value)
            changed[name] = other
            yield changed


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_any_part_of_a_line_may_be_anything(wrong: object) -> None:
    lines = shapes()
    assert len(lines) > 10
    for line in lines:
        for odd in altered(line, wrong):
            if isinstance(odd, dict):
                for name, read in READERS.items():
                    try:
                        read(odd)
                    except Exception as error:
                        raise AssertionError(f"{name} cannot read {odd}") from error
