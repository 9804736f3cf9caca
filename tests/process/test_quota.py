"""What claude reports of the plan is kept for all agents of the account, and idle messages leave the reserve alone."""

from pathlib import Path

import pytest

from hyperhive_cli.agent.credentials import account_name
from hyperhive_cli.core.quota import Reserve, Windows, observe
from hyperhive_cli.store.quota import keep_windows, read_quota, read_windows
from tests.conftest import Step
from tests.process.test_surroundings import init
from tests.process.world import World, result
from tests.unit.recorded_limits import NOW, RESETS_AT, recorded_limits

LINES: list[Step] = [{"line": line} for line in recorded_limits("2.1.332")]
FEW, MOST = LINES[0], LINES[-1]  # of the five hours: 62 % and 91 % used


@pytest.fixture
def accounts(world: World, tmp_path: Path) -> Path:
    world.now = NOW
    world.environment["ANTHROPIC_API_KEY"] = "one"
    return tmp_path / "accounts"


def shares(found: Windows) -> dict[str, float]:
    return {kind: window.used for kind, window in found.items()}


def put_idle(world: World, body: str = "tidy") -> int:
    return world.inbox.send("operator", body, now_ms=int(world.now * 1000), idle=True).id


def test_recorded_lines_are_kept_and_another_account_has_its_own(world: World, accounts: Path) -> None:
    world.put("do it")
    world.drain([init(), *LINES, result()], accounts=accounts)
    first = account_name(world.environment)
    assert world.inbox.fact("account") == first
    assert shares(read_windows(accounts, first)) == {"five_hour": 0.91, "seven_day": 0.41}
    assert [path.name for path in accounts.iterdir()] == [f"{first}.json"]
    assert [accounts.stat().st_mode & 0o777, (accounts / f"{first}.json").stat().st_mode & 0o777] == [0o700, 0o600]

    world.environment["ANTHROPIC_API_KEY"] = "another"
    world.put("do it")
    world.drain([init(), FEW, result()], accounts=accounts)
    other = world.inbox.fact("account")
    assert other not in {None, first}
    assert shares(read_windows(accounts, other)) == {"five_hour": 0.62, "seven_day": 0.4}
    assert shares(read_windows(accounts, first))["five_hour"] == 0.91


def test_what_is_not_reported_is_not_known(world: World, accounts: Path) -> None:
    world.put("do it")
    first: Step = {"line": recorded_limits("2.1.197")[0]}
    assert world.drain([init(), first, result()], accounts=accounts).outcomes() == ["ok"]
    assert (accounts.exists(), world.inbox.fact("account")) == (False, None)
    assert read_quota(accounts, world.inbox.fact, int(NOW * 1000)) == ([], 0)


def test_an_idle_message_waits_until_the_reset_and_is_passed_by_others(world: World, accounts: Path) -> None:
    idle, ordinary = put_idle(world), world.put("work")
    reserve = Reserve.from_texts(["5h=20"])
    keep_windows(accounts, account_name(world.environment), {})
    life = world.drain([init(), MOST, result()], [init(), result()], accounts=accounts, reserve=reserve)
    assert life.outcomes() == ["ok", "ok"], "nothing is known at first, so nothing is held up"

    idle, ordinary = put_idle(world), world.put("work")
    life = world.drain([init(), MOST, result()], accounts=accounts, reserve=reserve)
    assert [turn["message_id"] for turn in life.events("turn_start")] == [ordinary]
    assert "1 message waits until " in life.notes()[-1]
    assert not life.loop.failed, "it is not part of the drain"
    quota, idle_from = read_quota(accounts, world.inbox.fact, int(world.now * 1000))
    assert [(one["used"], one["reserved"]) for one in quota] == [(0.91, None), (0.41, None)], "no harness has set it"
    assert idle_from == 0
    assert world.get(idle).state == "ready"

    world.now = RESETS_AT["five_hour"] + 1
    assert world.drain([init(), result()], accounts=accounts, reserve=reserve).outcomes() == ["ok"]
    assert world.get(idle).state == "done"


def test_without_a_reserve_idle_messages_run(world: World, accounts: Path) -> None:
    put_idle(world)
    put_idle(world)
    assert world.drain([init(), MOST, result()], [init(), result()], accounts=accounts).outcomes() == ["ok", "ok"]


def test_what_another_agent_of_the_account_was_told_holds_back_too(world: World, accounts: Path) -> None:
    account = account_name(world.environment)
    keep_windows(accounts, account, observe({}, [("five_hour", 0.85, RESETS_AT["five_hour"])], NOW))
    idle = put_idle(world)
    life = world.drain(accounts=accounts, reserve=Reserve.from_texts(["5h=20", "week=10"]))
    assert (life.outcomes(), world.get(idle).state) == ([], "ready")


def test_after_a_login_the_plan_of_that_account_is_shown(world: World, accounts: Path) -> None:
    other = account_name({"ANTHROPIC_API_KEY": "another"})
    keep_windows(accounts, other, observe({}, [("five_hour", 0.3, RESETS_AT["five_hour"])], NOW))
    world.put("work")
    world.drain([init(), FEW, result()], accounts=accounts)
    world.environment["ANTHROPIC_API_KEY"] = "another"
    life = world.begin(accounts=accounts)
    life.control.begin_login()
    life.control.end_login(ok=True)
    quota, _ = read_quota(accounts, world.inbox.fact, int(NOW * 1000))
    assert [(one["name"], one["used"]) for one in quota] == [("5h", 0.3)]


@pytest.mark.parametrize("obstacle", ["a file", "a folder of others", "nonsense in it"])
def test_a_place_that_cannot_be_used_costs_no_turn(world: World, accounts: Path, obstacle: str) -> None:
    account = account_name(world.environment)
    if obstacle == "a file":
        accounts.touch()
    else:
        accounts.mkdir()
        (accounts / f"{account}.json").write_text("[[[")
        accounts.chmod(0o777 if obstacle == "a folder of others" else 0o700)
    world.put("do it")
    life = world.drain([init(), FEW, result()], accounts=accounts, reserve=Reserve.from_texts(["5h=50"]))
    assert life.outcomes() == ["ok"]
    assert shares(read_windows(accounts, account)) == (
        {"five_hour": 0.62, "seven_day": 0.4} if "in it" in obstacle else {}
    )
