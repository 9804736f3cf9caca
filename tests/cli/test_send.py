"""`hyperhive send` as a process: what becomes a message, and how it waits for the answer."""

import os
import pty
import subprocess
from typing import Any

import pytest

from hyperhive_cli.cli import waiting
from hyperhive_cli.cli.progress import Progress
from hyperhive_cli.core.outcomes import Outcome, OutcomeKind, advice_of
from hyperhive_cli.core.settings import MESSAGE_LIMIT_BYTES
from hyperhive_cli.store.inbox import open_inbox
from hyperhive_cli.store.messages import Message
from hyperhive_cli.store.stats import TurnRecord
from tests.conftest import FakeClaude, wait_until
from tests.harness import ANSWER, BAD_REQUEST, LIMIT_S, TEXT, Hive
from tests.store.made_messages import lease


def test_send_prints_the_id_whether_a_harness_runs_or_not(hive: Hive, fake_claude: FakeClaude) -> None:
    new = hive.call("send", "one")
    assert (new.status, new.stdout) == (0, "1\n")
    assert "agent 'workspace' is new" in new.stderr
    second = hive.call("send", "two")
    assert (second.stdout, "no harness is running" in second.stderr) == ("2\n", True)
    fake_claude.script(TEXT)
    with hive.run() as program:
        program.wait_for_kind("turn_end", message_id=2)
        third = hive.call("send", "three")
        assert (third.status, third.stdout, third.stderr) == (0, "3\n", "")
        program.wait_for_kind("turn_end", message_id=3)
    assert [message["body"] for message in hive.messages("--all")] == ["one", "two", "three"]
    assert {message["sender"] for message in hive.messages("--all")} == {"operator"}


@pytest.mark.parametrize("words", [["-"], []], ids=["dash", "nothing"])
def test_send_reads_stdin(words: list[str], hive: Hive) -> None:
    body = "first line\n\nnaïve 日本語 🐝\n"
    assert hive.call("send", *words, "--from", "reviewer", stdin=body.encode()).status == 0
    (message,) = hive.messages()
    assert (message["body"], message["sender"]) == (body, "reviewer")


def test_send_takes_control_characters_and_no_byte_order_mark(hive: Hive) -> None:
    assert hive.call("send", stdin=b"\xef\xbb\xbfa\x00b").status == 0
    assert hive.messages()[0]["body"] == "a\ufffdb"


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"a\xffb", "byte 1 (0xff)"),
        ("a message".encode("utf-16"), "byte 0 (0xff)"),
        (b"x" * 2000 + b"caf\xe9", "byte 2,003 (0xe9)"),
        ("caf\xe9".encode()[:-1], "byte 3 (0xc3)"),
    ],
    ids=["a byte", "UTF-16", "Latin-1", "cut off"],
)
def test_what_is_not_utf_8_is_refused_with_its_place(content: bytes, place: str, hive: Hive) -> None:
    done = hive.call("send", "-", stdin=content)
    assert done.refusal(2) == f"stdin is not UTF-8 text: {place}, counted from 0"
    assert "Try: iconv -f ENCODING -t UTF-8 FILE | hyperhive send -" in done.stderr
    assert list(hive.state_dir.iterdir()) == []


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_message_of_the_most_bytes_is_taken_and_one_more_refused(mark: bytes, hive: Hive) -> None:
    assert hive.call("send", stdin=mark + b"x" * MESSAGE_LIMIT_BYTES).status == 0
    refused = hive.call("send", stdin=mark + b"x" * (MESSAGE_LIMIT_BYTES + 1))
    assert refused.refusal(2) == "a message has at most 1,048,576 bytes, and stdin has more"


def test_a_stdin_without_end_is_refused(hive: Hive) -> None:
    words = [*hive.command("send", "-")]
    done = hive.program("/bin/sh", "-c", 'yes | "$@"', "sh", *words)
    assert (done.returncode, done.stderr.splitlines()[0].endswith("and stdin has more")) == (2, True)


def test_a_key_makes_sending_twice_harmless(hive: Hive) -> None:
    first, again = hive.call("send", "one", "--key", "k"), hive.call("send", "one", "--key", "k")
    assert (first.stdout, again.stdout, again.status) == ("1\n", "1\n", 0)
    other = hive.call("send", "two", "--key", "k").refusal()
    assert other == "the key 'k' was used for another message (1)"
    assert len(hive.messages()) == 1


@pytest.mark.parametrize("body", [b"", b" \n\t", b"x" * (2 << 20)], ids=["empty", "blank", "2 MiB"])
def test_what_is_no_message_is_refused(body: bytes, hive: Hive) -> None:
    assert "a message" in hive.call("send", stdin=body).refusal(2)
    assert list(hive.state_dir.iterdir()) == []  # no agent comes of it
    assert hive.messages() == []


def test_a_terminal_is_told_how_to_end_the_message(hive: Hive) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        hive.command("send"), env=hive.variables(), cwd=hive.workspace,
        stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        assert process.stderr is not None
        assert process.stderr.readline() == "type the message, then Ctrl-D\n"
        os.write(ours, b"typed by hand\n\x04")
        assert process.communicate(timeout=LIMIT_S)[0] == "1\n"
    os.close(ours)
    assert hive.messages()[0]["body"] == "typed by hand\n"


@pytest.mark.parametrize("sender", ["", "two\nlines", "x" * 65, "\x1b[31m"])
def test_what_is_no_sender_is_refused(sender: str, hive: Hive) -> None:
    message = hive.call("send", "one", "--from", sender).refusal(2)
    assert ("is not a valid sender name" in message, message.isprintable()) == (True, True)


def test_a_sent_command_is_text_unless_it_is_raw(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.call("send", "/clear @/etc/hostname")
    hive.call("send", "--raw", "/clear @/etc/hostname")
    assert hive.drain().status == 0
    framed, raw = (call["prompt"] for call in fake_claude.calls())
    assert raw == "/clear @/etc/hostname"
    assert framed == "Message from operator:\n\n/clear @\u2060/etc/hostname"


def test_send_can_wait_for_the_answer(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT, BAD_REQUEST, TEXT)
    with hive.run():
        ok = hive.call("send", "one", "--wait")
        assert (ok.status, ok.stdout.startswith(ANSWER), ok.stderr) == (0, True, "")
        not_ok = hive.call("send", "two", "--wait")
        assert "message 2 ended bad_request: messages: text content blocks" in not_ok.refusal()
        assert not_ok.stderr.splitlines()[1] == f"Try: {advice_of('bad_request', 2)}"
        done = hive.call("send", "three", "--wait", "--json")
        (ended,) = done.json_lines()
    assert (done.status, ended["result"].startswith(ANSWER)) == (0, True)
    assert {name: ended[name] for name in ("id", "state", "outcome", "note")} == {
        "id": 3, "state": "done", "outcome": "ok", "note": None,
    }  # fmt: skip


def test_the_json_of_a_wait_that_was_not_ok(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(BAD_REQUEST)
    with hive.run():
        done = hive.call("send", "one", "--wait", "--json")
    (ended,) = done.json_lines()
    assert (done.status, ended["state"], ended["outcome"]) == (1, "dead", "bad_request")


def test_send_waits_no_longer_than_it_is_told(hive: Hive) -> None:
    done = hive.call("send", "one", "--wait", "--timeout", "0.2")
    assert done.status == 1
    assert "Error: message 1 is still ready after 0.2 s\nTry: it stays in the inbox: hyperhive inbox" in done.stderr
    assert hive.messages()[0]["state"] == "ready"


def test_a_wait_ends_where_a_person_is_needed(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script([{"replay": "v2.1.330/not_logged_in.jsonl"}], logged_in=False)
    with hive.run() as program:
        done = hive.call("send", "one", "--wait")
        program.wait_for_kind("status_changed", status="needs_login_idle")
        assert hive.status()["status"] == "needs_login_idle"
    assert done.refusal().startswith("message 1 ended needs_login: Not logged in")
    assert done.stderr.splitlines()[1] == "Try: `hyperhive login`; the message stays in the inbox"
    assert hive.messages()[0]["state"] == "ready"


def test_a_wait_ends_when_its_message_is_held(hive: Hive) -> None:
    inbox = hive.state_dir / "hyperhive-inbox.sqlite"
    with hive.start("send", "one", "--key", "k", "--wait") as waiting:
        wait_until(lambda: inbox.exists() and hive.messages())
        with open_inbox(inbox) as opened:
            taken = lease(opened)
            record = TurnRecord(taken.turn_id, Outcome(OutcomeKind.DEFERRED, "claude asks to run Bash"), 5)
            opened.settle(record, taken.message, state="held", now_ms=20)
        assert waiting.wait() == 1
    again = hive.call("send", "one", "--key", "k", "--wait")
    assert (again.status, again.stdout, again.stderr.splitlines()[1:]) == (1, "", [
        "Error: message 1 is held, deferred: claude asks to run Bash",
        f"Try: {advice_of('deferred', 1)}",
    ])  # fmt: skip
    (ended,) = hive.call("send", "one", "--key", "k", "--wait", "--json").json_lines()
    assert (ended["state"], ended["outcome"]) == ("held", "deferred")


class Told:
    """An inbox in which a message goes through states, each with the outcome of its newest turn."""

    def __init__(self, *steps: tuple[str, str | None]) -> None:
        self._steps = list(steps)

    def get(self, message_id: int) -> Message:
        return Message(
            message_id, None, "operator", "do it", raw=False, state=self._steps[0][0], attempts=1, deliveries=1,
            acted=False, not_before=0, reason=None, created=0, changed=0, uid="1",
        )  # fmt: skip

    def last_turn(self, message_id: int) -> dict[str, Any] | None:
        outcome = self._steps[0][1]
        if len(self._steps) > 1:
            del self._steps[0]
        if outcome is None:
            return None
        return {"turn_id": message_id, "outcome": outcome, "note": None, "result_text": "", "cost_usd": None}


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ([("ready", "bad_request"), ("leased", "bad_request"), ("done", "ok")], "done"),  # once more in a new session
        ([("leased", "billing"), ("ready", "billing")], "ready"),
        ([("ready", "rate_limited"), ("ready", "crashed"), ("dead", "crashed")], "dead"),
        ([("held", "deferred")], "held"),
    ],
)
def test_a_wait_ends_with_the_message_or_with_what_needs_a_person(
    steps: list[tuple[str, str | None]], state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "WAIT_POLL_S", 0.001)
    inbox = Told(("leased", None), *steps)
    assert waiting.await_end(inbox, 1, LIMIT_S, Progress())["state"] == state


def test_sending_again_with_the_key_of_an_ended_message_gives_its_result(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    hive.call("send", "one", "--key", "k")
    hive.drain()
    again = hive.call("send", "one", "--key", "k", "--wait")
    assert (again.status, again.stdout.startswith(ANSWER)) == (0, True)
    assert len(fake_claude.calls()) == 1


def test_the_json_of_send(hive: Hive) -> None:
    assert hive.call("send", "one", "--json").json_lines() == [
        {"id": 1, "state": "ready", "not_before": 0, "sent_before": False}
    ]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["/clear"], "/clear is sent as text, not as a command; hyperhive new-session does that"),
        (["/review 12"], "/review is sent as text, not as a command; `send --raw` runs it"),
        (["/var/log says that it failed"], None),
        (["look at /clear"], None),
        (["/clear", "--raw"], None),
        (["/"], None),
    ],
)  # fmt: skip
def test_a_text_that_looks_like_a_command_gets_a_hint(words: list[str], hint: str | None, hive: Hive) -> None:
    done = hive.call("send", *words)
    assert (done.status, done.stdout) == (0, "1\n")
    assert [line for line in done.stderr.splitlines() if "as text" in line] == ([] if hint is None else [hint])
    assert hive.messages()[0]["body"] == words[0]


def test_send_at_prints_the_moment(hive: Hive) -> None:
    done = hive.call("send", "later", "--at", "+2h30m", variables={"TZ": "UTC"})
    assert (done.stdout, done.stderr[:8], " UTC\n" in done.stderr) == ("1\n", "runs at ", True)
