"""`hyperhive report` as a process: what a night came to, in each of its forms."""

import json
import re
import signal
import time
from html.parser import HTMLParser
from pathlib import Path

from hyperhive_cli.core.work_report import DAY_MS
from hyperhive_cli.store.inbox import open_inbox
from tests.conftest import FakeClaude, wait_until
from tests.harness import ANSWER, BAD_REQUEST, TEXT, Event, Hive, for_a_person


def report(hive: Hive, *arguments: str) -> Event:
    done = hive.call("report", "--json", *arguments)
    assert (done.status, done.stderr) == (0, "")
    (found,) = done.json_lines()
    return found


class Document(HTMLParser):
    """The text of an HTML document, and the tags that are open at its end."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.text, self.open = "", list[str]()
        self.feed(document)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - its signature
        self.open += [tag] if tag != "meta" else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_night_is_reported_in_each_form(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT, BAD_REQUEST)
    hive.drain("--message", "greet <me>", "--message", "be `refused`")
    hive.call("send", "later", "--at", "+1h")
    found = report(hive, "--since", "10m")
    assert [(one["id"], one["task"], one["state"], one["outcome"]) for one in found["messages"]] == [
        (1, "greet <me>", "done", "ok"), (2, "be `refused`", "dead", "bad_request"),
    ]  # fmt: skip
    assert found["messages"][0]["result"].startswith(ANSWER)
    assert [one["id"] for one in found["stuck"]] == [2]
    assert [one["task"] for one in found["waiting"]] == ["later"]
    assert [one["was_killed"] for one in found["harness"]] == [False]
    assert (found["unseen"], found["now"]["status"], found["now"]["unread"]) == ([], "stopped", 1)

    text = hive.call("report", "--since", "10m").stdout
    markdown = hive.call("report", "--since", "10m", "--markdown").stdout
    document = hive.call("report", "--since", "10m", "--html").stdout
    assert re.findall(r"^## (.*)", markdown, re.MULTILINE) == [
        line for line in text.splitlines()[2:] if re.match(r"\w", line)
    ]
    assert r"greet \<me\>" in markdown
    assert not re.search(r"<script|<me>|https?:", document)
    read = Document(document)
    assert read.open == []
    for shown in (text, markdown.replace("\\", ""), read.text):
        for words in ("greet <me>", ANSWER, "message 2 is dead", "hyperhive inbox retry 2", "later"):
            assert words in shown


def test_a_time_without_work_is_a_short_report(hive: Hive) -> None:
    hive.call("send", "--new", "do it")
    lines = for_a_person(hive, "report")
    assert [line for line in lines[1:] if not line.startswith(" ")] == ["no turns", "", "Now"]
    assert lines[3:] == ["Now", "  stopped", "    `hyperhive run`", "  message 1 waits, operator: do it"]


def test_a_killed_harness_is_told(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with hive.run() as program:
        program.send(signal.SIGKILL)
        program.wait()
    hive.drain("--message", "again")
    found = report(hive, "--since", "10m")["harness"]
    assert [one["was_killed"] for one in found] == [False, True]
    assert "the one before had been killed" in hive.call("report", "--since", "10m").stdout


def test_times_and_forms_that_cannot_be_are_refused(hive: Hive) -> None:
    hive.call("send", "--new", "do it")
    assert hive.call("report", "--since", "tomorrow").refusal(2).endswith("is in the future")
    assert hive.call("report", "--since", "soon").refusal(2) == "not a valid time: 'soon'"
    assert hive.call("report", "--since", "1h", "--until", "2h").refusal(2) == "--since must be before --until"
    refusal = hive.call("report", "--json", "--html").refusal(2)
    assert refusal == "--json, --markdown and --html cannot be used together"


def test_a_daily_report_that_was_missed_is_heard_of_at_the_next_start(
    hive: Hive, fake_claude: FakeClaude, tmp_path: Path
) -> None:
    fake_claude.script(TEXT)
    hive.drain("--message", "greet me")
    with open_inbox(hive.state_dir / "hyperhive-inbox.sqlite") as inbox:
        inbox.put_facts(reported=str(int(time.time() * 1000) - 2 * DAY_MS))
    hook, heard = tmp_path / "hook", tmp_path / "heard"
    hook.write_text(f"#!/bin/sh\ncat > {heard}.part && mv {heard}.part {heard}\n")
    hook.chmod(0o700)
    clock = time.strftime("%H:%M", time.localtime(time.time() - 60))
    with hive.run("--report-at", clock, "--on-event", str(hook)) as program:
        event = program.wait_for_kind("report")
        wait_until(heard.exists)
    assert json.loads(heard.read_text()) == event
    assert (event["until"] - event["since"]) // DAY_MS == 1
    rows = hive.call("tail", "--no-follow", "--kind", "report").stdout.splitlines()
    assert [row.split("\t")[2:] for row in rows] == [["note", f"report: {event['text']}"]]
    assert hive.call("run", "--report-at", "25:00").refusal(2).endswith("not a valid time of day: '25:00': 08:00")
