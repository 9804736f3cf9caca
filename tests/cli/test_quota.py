"""`hyperhive quota`, `run --reserve` and `send --idle` as processes."""

import json
import time
from typing import Any

from tests.conftest import FakeClaude, Step
from tests.harness import INIT, TEXT, Hive, for_a_person, outcomes, piped_rows
from tests.unit.recorded_limits import recorded_limits

HOUR, DAY = 3600, 86_400


def told(now: int, used: float) -> Step:
    """Play a recorded line with these figures: two hours of the five are over, and four days of the week."""
    line: dict[str, Any] = json.loads(json.dumps(recorded_limits("2.1.332")[0]))
    line["rate_limit_info"]["unifiedWindows"] = {
        "five_hour": {"utilization": used, "resetsAt": now + 3 * HOUR, "status": "allowed"},
        "seven_day": {"utilization": 0.4, "resetsAt": now + 3 * DAY, "status": "allowed"},
    }
    return {"line": line}


def windows(hive: Hive) -> list[dict[str, Any]]:
    """Return what `quota --json` prints."""
    found: list[dict[str, Any]] = json.loads(hive.call("quota", "--json").stdout)
    return found


def test_the_plan_is_shown_and_idle_messages_leave_its_reserve_alone(hive: Hive, fake_claude: FakeClaude) -> None:
    unknown = hive.call("quota")
    assert unknown.stdout.split() == [
        "window", "used", "resets", "seen", "reserved", "low", "high", "full_from", "full_until",
    ]  # fmt: skip
    assert unknown.stderr.startswith("not known: claude reports it in its turns")
    assert windows(hive) == []

    now = int(time.time())
    fake_claude.script([INIT, told(now, 0.62), *TEXT])
    assert outcomes(hive.drain("--message", "hello", "--reserve", "5h=20", "--reserve", "week=7").json_lines()) == [
        "ok"
    ]
    quota = windows(hive)
    assert [(one["window"], one["name"], one["used"], one["reserved"]) for one in quota] == [
        ("five_hour", "5h", 0.62, 0.2), ("seven_day", "week", 0.4, 0.07),
    ]  # fmt: skip
    assert [one["resets_at"] for one in quota] == [now + 3 * HOUR, now + 3 * DAY]
    assert quota[0]["forecast"]["high"] > 1 > quota[1]["forecast"]["high"]
    rows = piped_rows(hive.call("quota").stdout)
    assert [(row["window"], row["used"], row["reserved"]) for row in rows] == [
        ("5h", "0.62", "0.2"),
        ("week", "0.4", "0.07"),
    ]
    assert hive.call("quota", "--no-header").stdout.startswith("5h\t")
    five, five_more, _, week = for_a_person(hive, "quota")
    assert five.startswith("5h    ▕████████████░░░░░░░░▏  62%  resets ")
    assert five_more.endswith(" · 20% reserved")
    assert week.endswith(" at the reset · 7% reserved")
    status = hive.call("status").stdout
    assert "plan        5h 62% · resets " in status
    assert " · week 40%" in status

    # 81 % used: the reserve of 20 % is reached.
    fake_claude.script([INIT, told(now, 0.81), *TEXT], TEXT)
    idle = int(hive.call("send", "tidy", "--idle").stdout)
    assert hive.messages()[0]["idle"] is True
    work = hive.call("send", "work").stdout.strip()
    hive.call("inbox", "move", work, "--first")
    done = hive.drain("--reserve", "5h=20")
    assert (done.status, outcomes(done.json_lines())) == (0, ["ok"])
    assert done.json_lines()[-1]["text"].startswith("1 message waits until ")
    found = hive.status()
    assert (found["unread"], found["idle_until"], found["next_due"]) == (1, now + 3 * HOUR, (now + 3 * HOUR) * 1000)
    assert "20% reserved, so idle messages wait" in for_a_person(hive, "quota")[1]
    assert "1 waiting, the first at " in hive.call("status").stdout
    assert (
        f"idle: too little of the plan is left · hyperhive inbox retry {idle} runs it now" in hive.call("inbox").stdout
    )
    assert hive.call("inbox", "show", str(idle)).stdout.splitlines()[0].endswith(": ready, idle")

    wanted = hive.call("send", "and this", "--idle").stdout.strip()
    assert hive.call("inbox", "retry", wanted).status == 0
    done = hive.drain("--reserve", "5h=20")
    assert [event["message_id"] for event in done.json_lines() if event["kind"] == "turn_start"] == [int(wanted)]

    assert hive.drain().status == 0, "without a reserve it runs"
    assert [one["state"] for one in hive.messages("--all") if one["id"] == idle] == ["done"]
    assert hive.status()["idle_until"] is None


def test_an_unusable_reserve_is_refused(hive: Hive) -> None:
    refused = hive.drain("--reserve", "5h=200")
    assert refused.refusal(2) == "not a valid reserve: '5h=200'"
    assert "--reserve 5h=20 --reserve week=10" in refused.stderr
    (hive.workspace / "hyperhive.toml").write_text('[run]\nreserve = ["5h=20"]\n')
    assert "'reserve' is not allowed in a workspace file" in hive.drain().stderr
