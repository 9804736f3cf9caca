"""What a turn tells of the account and of the MCP servers is kept, and a change is told once."""

import json
from typing import Any

from hyperhive_cli.store.surroundings import read_limits, read_mcp
from tests.conftest import Step
from tests.process.world import NOW, TEXT_SESSION, World, result

RESETS_AT = int(NOW) + 3600


def init(*servers: tuple[str, str]) -> Step:
    named = [{"name": name, "status": status} for name, status in servers]
    return {"line": {"type": "system", "subtype": "init", "session_id": TEXT_SESSION, "mcp_servers": named}}


def limit(kind: str, share: float, resets_at: int = RESETS_AT, **windows: dict[str, Any]) -> Step:
    info = {"status": "allowed", "rateLimitType": kind, "utilization": share, "resetsAt": resets_at}
    return {"line": {"type": "rate_limit_event", "rate_limit_info": {**info, "unifiedWindows": windows}}}


def test_missing_servers_are_told_when_they_change(world: World) -> None:
    for _ in range(4):
        world.put("do it")
    down, up = ("db", "failed"), ("db", "connected")
    life = world.drain(*([init(("web", "connected"), state), result()] for state in (down, down, up, up)))
    assert [(note["text"], note["level"]) for note in life.events("note") if "MCP" in note["text"]] == [
        ("MCP servers are missing: db: failed", "warning"),
        ("all MCP servers are up again", "info"),
    ]
    assert read_mcp(world.inbox.fact("mcp")) == []


def test_the_limits_are_kept_each_by_its_newest_word(world: World) -> None:
    for _ in range(3):
        world.put("do it")
    week = {"utilization": 0.4, "resetsAt": RESETS_AT + 86_400}
    world.drain(
        [init(), limit("five_hour", 0.2), limit("five_hour", 0.3, seven_day=week), result()],
        [init(), limit("seven_day_opus", 0.9, resets_at=int(NOW) - 5), result()],
        [init(), result()],
    )
    found = read_limits(world.inbox.fact("limits"), NOW)
    assert [(one["type"], one["utilization"]) for one in found] == [("five_hour", 0.3), ("seven_day", 0.4)]
    assert len(json.loads(world.inbox.fact("limits") or "")) == 3, "the one that has reset is left out when it is read"
