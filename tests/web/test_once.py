"""A text that is sent with a key runs once: whatever is killed, starts or stops between the write and the answer."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPException

import pytest

from tests.conftest import FakeClaude, wait_until
from tests.harness import TEXT, Hive, of_kind
from tests.web.site import Site

SEND = {"body": "do it", "key": "k"}
# Kills the process when it stores a message, before or after it is on the disk.
DEADLY = """
import os, signal
from hyperhive_cli.store.queue import MessageQueue
sending = MessageQueue.send

def send(*args, **options):
    if "{moment}" == "after":
        sending(*args, **options)
    os.kill(os.getpid(), signal.SIGKILL)

MessageQueue.send = send
"""


@contextmanager
def gateway(hive: Hive) -> Iterator[Site]:
    with hive.start("web", "--json", "--bind", "127.0.0.1:0") as program:
        wait_until(lambda: program.stdout or program.process.poll() is not None)
        found = json.loads(program.stdout[0])
        yield Site(found["url"].partition("#")[0], found["token"], program)


def ran(hive: Hive, fake_claude: FakeClaude) -> int:
    """Run what waits; return how many turns there were."""
    fake_claude.script(TEXT)
    return len(of_kind(hive.drain().json_lines(), "turn_start"))


@pytest.mark.parametrize(("moment", "was_stored"), [("before", False), ("after", True)])
def test_a_harness_that_is_killed_while_it_stores_a_text(
    moment: str, was_stored: bool, site: Site, hive: Hive, fake_claude: FakeClaude
) -> None:  # fmt: skip
    with replace(hive, prelude=DEADLY.format(moment=moment)).run() as program:
        assert program.process.poll() is None
        answer = site.post("/api/messages", **SEND)  # the gateway stores it itself, or finds it stored
        assert program.wait() == -signal.SIGKILL
    assert (answer.status, answer.json()["id"], answer.json()["sent_before"]) == (200, 1, was_stored)
    assert site.post("/api/messages", **SEND).json()["sent_before"] is True
    assert ran(hive, fake_claude) == 1
    assert site.post("/api/messages", **SEND).json()["state"] == "done"


@pytest.mark.parametrize(("moment", "stored"), [("before", 0), ("after", 1)])
def test_a_gateway_that_is_killed_while_it_stores_a_text(
    moment: str, stored: int, hive: Hive, fake_claude: FakeClaude
) -> None:
    with gateway(replace(hive, prelude=DEADLY.format(moment=moment))) as site:
        with pytest.raises((OSError, HTTPException)):
            site.post("/api/messages", **SEND)
        assert site.program.wait() == -signal.SIGKILL
    assert len(hive.messages()) == stored
    with gateway(hive) as site:
        answer = site.post("/api/messages", **SEND)
        assert (answer.status, answer.json()["id"], answer.json()["sent_before"]) == (200, 1, bool(stored))
    assert ran(hive, fake_claude) == 1


def test_texts_are_sent_again_and_again_while_the_harness_starts_and_stops(
    site: Site, hive: Hive, fake_claude: FakeClaude
) -> None:
    fake_claude.script(TEXT)
    stop, answers = threading.Event(), list[tuple[int, int]]()

    def send() -> None:
        while not stop.is_set():
            for number in range(3):
                answer = site.post("/api/messages", body=f"text {number}", key=f"key {number}")
                answers.append((answer.status, answer.json().get("id", 0)))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        for ending in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            with hive.run() as program:
                program.send(ending)
                with suppress(AssertionError):  # a killed one leaves no word
                    program.wait()
    finally:
        stop.set()
        thread.join()
    assert {status for status, _ in answers} == {200}
    assert len({number for _, number in answers}) == 3
    hive.drain()
    assert [message["state"] for message in hive.messages("--all")] == ["done"] * 3


def test_a_frozen_harness_holds_up_no_text(site: Site, hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    with hive.run() as program:
        program.send(signal.SIGSTOP)
        try:
            answer = site.post("/api/messages", **SEND)
            assert (answer.status, answer.json()["id"]) == (200, 1)
            assert "the message waits" in answer.json()["note"]
        finally:
            program.send(signal.SIGCONT)
        program.wait_for_kind("turn_end", message_id=1)
        assert site.post("/api/messages", **SEND).json()["state"] == "done"


def test_a_text_for_a_time_that_has_passed_meanwhile_is_still_the_same(site: Site, hive: Hive) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=5)).isoformat()
    first, again = (site.post("/api/messages", **SEND, at=past).json() for _ in range(2))
    assert (first["id"], again["id"], again["sent_before"]) == (1, 1, True)
    assert site.post("/api/messages", body="x", at=past).status == 400  # without a key it is a mistake
    assert len(hive.messages()) == 1
