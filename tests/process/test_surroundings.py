"""What a turn tells of the account and of the MCP servers is kept, and a change is told once."""

import json
from typing import Any

from hyperhive_cli.store.claude_facts import read_account_limits, read_missing_servers
from tests.conftest import Step
from tests.process.world import NOW, TEXT_SESSION, World, result

RESETS_AT = int(NOW) + 3600


STOPS = '{"continue":false,"stopReason":"maintenance window"}'
UNKNOWN: list[Step] = [{"stderr": "error: unknown option '--include-hook-events'\n"}, {"exit": 1}]


def init(*servers: tuple[str, str]) -> Step:
    named = [{"name": name, "status": status} for name, status in servers]
    return {"line": {"type": "system", "subtype": "init", "session_id": TEXT_SESSION, "mcp_servers": named}}


def limit(kind: str, share: float, resets_at: int = RESETS_AT, **windows: dict[str, Any]) -> Step:
    info = {"status": "allowed", "rateLimitType": kind, "utilization": share, "resetsAt": resets_at}
    return {"line": {"type": "rate_limit_event", "rate_limit_info": {**info, "unifiedWindows": windows}}}


def test_missing_servers_are_reported_when_they_change(world: World) -> None:
    for _ in range(4):
        world.put("do it")
    down, up = ("db", "failed"), ("db", "connected")
    life = world.drain(*([init(("web", "connected"), state), result()] for state in (down, down, up, up)))
    assert [(note["text"], note["level"]) for note in life.events("note") if "MCP" in note["text"]] == [
        ("MCP servers are missing: db: failed", "warning"),
        ("all MCP servers are up again", "info"),
    ]
    assert read_missing_servers(world.inbox.fact("mcp")) == []


def test_the_newest_report_of_each_limit_is_kept(world: World) -> None:
    for _ in range(3):
        world.put("do it")
    week = {"utilization": 0.4, "resetsAt": RESETS_AT + 86_400}
    world.drain(
        [init(), limit("five_hour", 0.2), limit("five_hour", 0.3, seven_day=week), result()],
        [init(), limit("seven_day_opus", 0.9, resets_at=int(NOW) - 5), result()],
        [init(), result()],
    )
    found = read_account_limits(world.inbox.fact("limits"), NOW)
    assert [(one["type"], one["utilization"]) for one in found] == [("five_hour", 0.3), ("seven_day", 0.4)]
    assert len(json.loads(world.inbox.fact("limits") or "")) == 3, "the one that has reset is left out when it is read"


def test_what_a_hook_said_that_stopped_a_turn_is_its_reason(world: World) -> None:
    message_id = world.put("do it")
    hook: Step = {"line": {"type": "system", "subtype": "hook_response", "hook_event": "Stop", "stdout": STOPS}}
    life = world.drain([init(), hook, result(terminal_reason="stop_hook_prevented")])
    assert (life.outcomes(), world.get(message_id).state) == (["blocked"], "dead")
    assert life.events("turn_end")[0]["note"] == "a hook stopped it: maintenance window"
    assert world.arguments("--include-hook-events") != [None]


def test_a_claude_that_knows_no_hook_events_runs_without_them(world: World) -> None:
    first, second = world.put("do it"), world.put("and this")
    life = world.drain(UNKNOWN, [init(), result()], [init(), result()])
    assert (life.outcomes(), world.get(first).state, world.get(second).state) == (["ok", "ok"], "done", "done")
    assert world.get(first).attempts == 1
    argvs = [call["argv"] for call in world.fake.calls()]
    assert ["--include-hook-events" in argv for argv in argvs] == [True, False, False]
