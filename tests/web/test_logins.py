"""The gateway as a client of a login, for its pages whose connections a phone may close."""

import anyio
import anyio.lowlevel
import pytest

from hyperhive_cli.web import logins
from hyperhive_cli.web.logins import FollowedLogins
from tests.conftest import FakeClaude, wait_until
from tests.harness import LIMIT_S, Hive
from tests.web.site import Site


class Agent:
    """An agent whose login ends when `over` is set; counts its clients."""

    key = "bee"

    def __init__(self) -> None:
        self.over = anyio.Event()
        self.clients = self.joined = 0

    async def follow_login(self) -> None:
        self.clients += 1
        self.joined += 1
        try:
            await self.over.wait()
        finally:
            self.clients -= 1


async def until_followed(agent: Agent) -> None:
    while not agent.clients:
        await anyio.lowlevel.checkpoint()


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(logins, "PAGE_GRACE_S", 0.1)


def test_a_login_is_followed_once_until_it_finishes() -> None:
    async def main() -> Agent:
        agent, followed = Agent(), FollowedLogins({"bee"})
        with anyio.fail_after(LIMIT_S):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(followed.follow, agent)
                await until_followed(agent)
                await anyio.sleep(0.2)  # longer than the grace: a page is open
                assert agent.clients == 1
                agent.over.set()
            await followed.follow(agent)  # the next one
        return agent

    assert anyio.run(main).joined == 2


def test_a_login_without_pages_is_left_after_a_grace_period() -> None:
    pages = {"bee"}

    async def main() -> Agent:
        agent, followed = Agent(), FollowedLogins(pages)
        with anyio.fail_after(LIMIT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(followed.follow, agent)
                await until_followed(agent)
                pages.clear()
        assert not agent.over.is_set()
        return agent

    assert anyio.run(main).clients == 0


def test_the_harness_counts_the_gateway_as_a_client(site: Site, hive: Hive, fake_claude: FakeClaude) -> None:
    def clients() -> int:
        number: int = site.get("/api/state")["login"]["clients"]
        return number

    fake_claude.script([], logged_in="file")
    with hive.run():
        refused = site.post("/api/login/join")
        assert (refused.status, refused.json()["error"]) == (409, "no login is under way")
        assert site.post("/api/login").json()["login"]["finished"] is False
        wait_until(lambda: clients() == 1)
        assert site.post("/api/login/join").json()["login"]["finished"] is False
        assert clients() == 1
        assert site.program.interrupt() == 130
        wait_until(lambda: hive.status()["login"]["clients"] == 0)
