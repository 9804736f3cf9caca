"""The real binary renews a login: one agent's at a time, among those that share it."""

import json
import time
from contextlib import ExitStack
from pathlib import Path

from tests.claude.conftest import MessagesApi
from tests.claude.token_endpoint import TokenEndpoint
from tests.conftest import wait_until
from tests.forkserver import Forkserver
from tests.harness import Hive, Program, outcomes

OLD, NEW = "sk-ant-ort01-old", "Bearer sk-ant-oat01-new-1"


def test_one_of_three_agents_renews_the_login_that_they_share(
    claude_binary: Path, messages_api: MessagesApi, endpoint: TokenEndpoint, state_dir: Path, forkserver: Forkserver
) -> None:
    environment = {**messages_api.start("text"), **endpoint.environment}
    del environment["ANTHROPIC_API_KEY"]
    log_in(Path(environment["HOME"]))
    with ExitStack() as stack:
        agents = []
        for name in ("ant", "bee", "cat"):
            workspace, state = messages_api.workspace / name, state_dir / name
            workspace.mkdir()
            hive = Hive(workspace, state, claude_binary, environment, forkserver)
            run = hive.start("run", "--claude", str(claude_binary), "--json", "--drain", "--message", "say hello")
            agents.append(stack.enter_context(run))
        wait_until(lambda: sum(map(waits, agents)) == 2 and endpoint.used)
        assert messages_api.requests() == []
        endpoint.gate.set()
        ends = [agent.wait() for agent in agents]
    assert (ends, [outcomes(agent.events()) for agent in agents]) == ([0] * 3, [["ok"]] * 3)
    assert endpoint.used == [OLD]
    assert messages_api.authorizations() == [NEW] * 3


def waits(agent: Program) -> bool:
    return any("another agent is renewing the login" in str(event.get("text")) for event in agent.events())


def log_in(home: Path) -> None:
    """Put the login of a subscription there, whose access token has ended."""
    login = {
        "accessToken": "sk-ant-oat01-old",
        "refreshToken": OLD,
        "expiresAt": round((time.time() - 60) * 1000),
        "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max",
    }
    (home / ".claude").mkdir(exist_ok=True)
    (home / ".claude" / ".credentials.json").write_text(json.dumps({"claudeAiOauth": login}))
