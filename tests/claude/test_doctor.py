"""The doctor and both releases of the real binary."""

from collections.abc import Callable
from pathlib import Path

from tests.harness import Event, Hive


def examine(hive: Hive, **variables: str) -> tuple[int, dict[str, Event]]:
    done = hive.call("doctor", "--json", variables={"HYPERHIVE_RUN_CLAUDE": str(hive.claude), **variables})
    assert done.stderr == ""
    (report,) = done.json_lines()
    return done.status, {one["what"]: one for one in report["findings"]}


def test_a_release_that_was_tried_is_well(start: Callable[[str], Hive]) -> None:
    hive = start("tools")
    assert hive.drain("--message", "look around", "--dangerously-skip-permissions").status == 0
    status, found = examine(hive, HYPERHIVE_RUN_DANGEROUSLY_SKIP_PERMISSIONS="1")
    assert (status, {one["level"] for one in found.values()}) == (0, {"ok"})
    assert found["login"]["finding"] == "logged in, by ANTHROPIC_API_KEY"
    assert "tested: " in found["version"]["finding"]
    assert "are of known types" in found["stream"]["finding"]


def test_a_missing_login_is_told(start: Callable[[str], Hive]) -> None:
    hive = start("text")
    hive.environment = {name: value for name, value in hive.environment.items() if name != "ANTHROPIC_API_KEY"}
    status, found = examine(hive)
    assert (status, found["login"]["level"]) == (1, "wrong")


def test_a_hook_hears_of_a_turn_that_the_service_refused(start: Callable[[str], Hive], tmp_path: Path) -> None:
    hive = start("credit_low")
    program = tmp_path / "hook"
    program.write_text(f"#!/bin/sh\ncat >> {tmp_path}/heard\n")
    program.chmod(0o700)
    hive.drain("--message", "hello", "--drain-wait", "0", "--on-event", str(program))
    heard = (tmp_path / "heard").read_text()
    assert '"outcome":"billing"' in heard
    assert '"status":"failed"' in heard
