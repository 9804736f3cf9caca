"""MCP servers that are missing. The lines are those of the binary (2.1.332 and 2.1.197)."""

from typing import Any

import pytest

from hyperhive_cli.claude.missing_servers import MAX_SERVERS, mcp_remark, mcp_troubles


def init(servers: object = None, errors: object = None) -> dict[str, Any]:
    line: dict[str, Any] = {"type": "system", "subtype": "init"}
    line |= {} if servers is None else {"mcp_servers": servers}
    return line | ({} if errors is None else {"mcp_server_errors": errors})


@pytest.mark.parametrize(
    ("line", "troubles"),
    [
        (init(), None),
        (init([]), []),
        (init([{"name": "ok", "status": "connected", "source": "dynamic"}, {"name": "off", "status": "disabled"}]), []),
        (
            init([{"name": "gone", "status": "failed"}, {"name": "slow", "status": "pending"}]),
            ["gone: failed", "slow: not up yet"],
        ),
        (
            init([{"name": "mail", "status": "needs-auth"}, {"status": "melted"}]),
            ["mail: needs a login", "unnamed: melted"],
        ),
        (
            init(
                [], [{"name": "nourl", "type": "url_missing_type", "message": 'Skipped — it has a "url" but no "type"'}]
            ),
            ['nourl: left out, it has a "url" but no "type"'],
        ),
        (init(None, [{"name": "x", "type": "reserved_name"}]), ["x: left out, reserved name"]),
        (init([None, 7, "x", {"name": "y"}, {"name": [], "status": {}}], {"a": 1}), []),
    ],
)
def test_servers_that_are_missing_are_named(line: dict[str, Any], troubles: list[str] | None) -> None:
    assert mcp_troubles(line) == troubles


def test_what_is_named_has_a_bound() -> None:
    servers = [{"name": f"{number} " + "x\n" * 10_000, "status": "failed"} for number in range(100)]
    troubles = mcp_troubles(init(servers))
    assert troubles is not None
    assert troubles[-1] == f"and {100 - MAX_SERVERS} more"
    assert len(troubles) == MAX_SERVERS + 1
    assert all(len(one) < 300 and "\n" not in one for one in troubles)


@pytest.mark.parametrize(
    ("before", "now", "remark"),
    [
        (None, [], None),
        (None, None, None),
        (["a: failed"], ["a: failed"], None),
        (["a: failed"], None, None),
        (None, ["a: failed"], "MCP servers are missing: a: failed"),
        (["a: failed"], ["a: failed", "b: failed"], "MCP servers are missing: a: failed; b: failed"),
        (["a: failed"], [], "all MCP servers are up again"),
    ],
)
def test_a_change_is_told_once(before: list[str] | None, now: list[str] | None, remark: str | None) -> None:
    assert mcp_remark(before, now) == remark
