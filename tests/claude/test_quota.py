"""The real binary and the plan of a subscription: what the API's headers say of it, `quota` shows."""

import json
import time
from pathlib import Path

import pytest

from tests.claude.conftest import MessagesApi
from tests.forkserver import Forkserver
from tests.harness import Hive, outcomes


def headers(now: int, used: str) -> dict[str, str]:
    prefix = "anthropic-ratelimit-unified"
    five, week = str(now + 7200), str(now + 300_000)
    return {
        f"{prefix}-status": "allowed", f"{prefix}-representative-claim": "five_hour", f"{prefix}-reset": five,
        f"{prefix}-5h-utilization": used, f"{prefix}-5h-reset": five, f"{prefix}-5h-status": "allowed",
        f"{prefix}-7d-utilization": "0.4", f"{prefix}-7d-reset": week, f"{prefix}-7d-status": "allowed",
    }  # fmt: skip


@pytest.mark.both_releases
def test_what_the_headers_say_is_shown_or_not_known(
    claude_binary: Path, messages_api: MessagesApi, state_dir: Path, forkserver: Forkserver
) -> None:
    now = int(time.time())
    environment = messages_api.play({"reply": [{"text": "done"}], "headers": headers(now, "0.62")})
    del environment["ANTHROPIC_API_KEY"]
    environment["CLAUDE_CODE_OAUTH_TOKEN"] = "sk-ant-oat01-dummy"  # noqa: S105
    hive = Hive(messages_api.workspace, state_dir, claude_binary, environment, forkserver)
    events = hive.drain("--message", "hello").json_lines()
    assert outcomes(events) == ["ok"]
    version = next(event["claude_code_version"] for event in events if event.get("subtype") == "init")
    shown = hive.call("quota", "--json")
    found = [(one["name"], one["used"], one["resets_at"]) for one in json.loads(shown.stdout)]
    if version == "2.1.197":
        assert (found, shown.stderr[:9]) == ([], "not known")
    else:
        assert found == [("5h", 0.62, now + 7200), ("week", 0.4, now + 300_000)]
