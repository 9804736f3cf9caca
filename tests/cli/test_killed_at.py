"""The program is killed at each step that a message takes: it is done once, or delivered again with the notice."""

import signal
from dataclasses import dataclass, replace

import pytest

from hyperhive_cli.store.folder import lock_holder
from tests.conftest import FakeClaude, Step, wait_until
from tests.harness import TEXT, Done, Hive, outcomes

# Wraps one of the program's own functions so that the process kills itself before or after it.
PRELUDE = """
import importlib, inspect, os, signal
module, owner, name = {where!r}.split()
moment = {moment!r}
owner = getattr(importlib.import_module("hyperhive_cli." + module), owner)
original = getattr(owner, name)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

async def waiting(*args, **options):
    moment == "after" or die()
    await original(*args, **options)
    die()

def at_once(*args, **options):
    moment == "after" or die()
    original(*args, **options)
    die()

setattr(owner, name, waiting if inspect.iscoroutinefunction(original) else at_once)
"""


@dataclass(frozen=True, slots=True)
class Row:
    """Where it dies, how the message then stands, and what the next life of the harness does with it."""

    where: str  # module, class, function
    moment: str
    state: str
    runs: list[str]  # the outcomes of the next life
    is_announced: bool = False  # whether the model is told of an earlier delivery


AGAIN = (["ok"], True)
STEPS = [
    Row("store.inbox Inbox lease", "before", "ready", ["ok"]),
    Row("store.inbox Inbox lease", "after", "leased", *AGAIN),
    Row("claude.runner Turn run", "before", "leased", *AGAIN),
    Row("claude.process ClaudeProcess start", "after", "leased", *AGAIN),
    Row("claude.process ClaudeProcess feed", "after", "leased", *AGAIN),
    Row("claude.process ClaudeProcess wait", "after", "leased", *AGAIN),
    Row("claude.runner Turn run", "after", "leased", *AGAIN),
    Row("store.inbox Inbox settle", "before", "leased", *AGAIN),
    Row("store.inbox Inbox settle", "after", "done", []),
    Row("feed.current_state CurrentState record_usage", "before", "done", []),
]


def killed_at(row: Row, hive: Hive, *words: str) -> Done:
    """Run a command that dies there."""
    done = replace(hive, prelude=PRELUDE.format(where=row.where, moment=row.moment)).call(*words)
    assert done.status == -signal.SIGKILL, done.stderr
    return done


@pytest.mark.parametrize("row", STEPS, ids=lambda row: f"{row.moment} {row.where}")
@pytest.mark.few(4)
def test_a_message_is_done_once_or_delivered_again_with_the_notice(
    row: Row, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    hive.call("send", "do it")
    killed_at(row, hive, "run", "--claude", str(hive.claude), "--drain", "--quiet")
    assert hive.messages("--all")[0]["state"] == row.state
    wait_until(lambda: lock_holder(hive.state_dir / "harness.lock") is None)  # a claude that was started is gone
    before = len(fake_claude.calls())
    done = hive.drain()
    assert (done.status, outcomes(done.json_lines())) == (0, row.runs)
    prompts = [str(call["prompt"]) for call in fake_claude.calls()][before:]
    assert [prompt.startswith("[Delivery 2 of this message") for prompt in prompts] == [row.is_announced] * len(
        row.runs
    )
    assert hive.messages("--all")[0]["state"] == "done"


@pytest.mark.parametrize(
    ("where", "moment", "there"),
    [
        ("store.inbox Inbox send", "before", 0),
        ("store.inbox Inbox send", "after", 1),  # committed, if not acknowledged: sent again with a key it is one
    ],
)
def test_a_message_is_in_the_inbox_whole_or_not_at_all(where: str, moment: str, there: int, hive: Hive) -> None:
    killed = killed_at(Row(where, moment, "", []), hive, "send", "do it", "--key", "once")
    assert killed.stdout == ""
    assert len(hive.messages()) == there
    assert hive.call("send", "do it", "--key", "once").stdout == "1\n"
    assert len(hive.messages()) == 1


POISON = "kill -9 $(ps -o ppid= -p $(ps -o ppid= -p $PPID))"


def test_a_message_whose_turn_kills_the_harness_is_dead_after_three_and_the_next_one_runs(
    hive: Hive, fake_claude: FakeClaude
) -> None:
    bite: list[Step] = [{"wait_for_prompt": True}, {"spawn": ["sh", "-c", POISON]}, {"wait_for": "never"}]
    fake_claude.script(bite, bite, bite, TEXT)
    hive.call("send", "poison")
    hive.call("send", "good")
    ended = [hive.drain().status for _ in range(4)]
    assert ended == [-signal.SIGKILL] * 3 + [0]
    assert [(message["state"], message["attempts"]) for message in hive.messages("--all")] == [("dead", 3), ("done", 1)]
