"""The real binary waits out a limit by itself, as CLAUDE_CODE_RETRY_WATCHDOG tells it to."""

import time
from collections.abc import Callable

from tests.conftest import wait_until
from tests.harness import Hive, outcomes


def test_a_limit_that_claude_waits_out_is_shown_until_its_moment(start: Callable[[str], Hive]) -> None:
    hive = start("limit_hour")
    hive.environment = {**hive.environment, "CLAUDE_CODE_RETRY_WATCHDOG": "1"}
    with hive.run("--message", "hi", "--stall-timeout", "1") as program:
        waits = program.wait_for_kind("status_changed", status="rate_limited")
        assert 3_500 < waits["until_unix"] - time.time() < 4_600  # 2.1.332 adds up to a quarter
        status = hive.status()
        assert (status["status"], status["state"]) == ("rate_limited", "thinking")
        assert status["waits_until"] == waits["until_unix"]
        time.sleep(2)  # twice the stall time
        assert hive.call("cancel").status == 0
        program.wait_for_kind("turn_end")
        wait_until(lambda: hive.status()["status"] == "online")
        assert outcomes(program.events()) == ["cancelled"]


def test_without_being_told_to_it_does_not_wait_so_long(start: Callable[[str], Hive]) -> None:
    hive = start("limit_hour")
    done = hive.drain("--message", "hi", "--drain-wait", "0")
    assert outcomes(done.json_lines()) == ["rate_limited"]
    assert [message["attempts"] for message in hive.messages()] == [0]
