"""The live region on a fake and a real terminal, and outputs that are odd or go away."""

import errno
import io
import os
import pty
import re
import termios
import threading
from typing import Any

import pytest

from hyperhive_cli.core.events import (
    BusEvent,
    LiveEvent,
    ModelChanged,
    Note,
    StatusChanged,
    TokenUsageChanged,
    TurnEnd,
    TurnStart,
    TurnStateChanged,
)
from hyperhive_cli.core.usage import TokenUsage
from hyperhive_cli.render.console.display import Console
from tests.unit.made_events import (
    NOW,
    assistant,
    call,
    delta,
    numbered,
    plain,
    record,
    recorded_turn,
    said,
    same_world,  # noqa: F401 - a fixture, used by name
)
from tests.unit.screen import Screen

pytestmark = pytest.mark.usefixtures("same_world")
SNAPSHOT = {
    "agent": "bee", "status": "online", "model": "haiku", "state": "thinking", "since_unix": NOW - 12,
    "context_tokens": 76_000, "context_window": 200_000, "unread": 3,
}  # fmt: skip


class Terminal:
    """A live console on a fake terminal, its clock in our hand."""

    def __init__(self, width: int | None = 80, **snapshot: object) -> None:
        self.file = io.StringIO()
        self.time = NOW
        self.seq = 0
        self.console = Console(
            snapshot=SNAPSHOT | snapshot, file=self.file, live=True, width=width, hint="read-only", now=self.clock
        )

    def clock(self) -> float:
        return self.time

    def show(self, *events: LiveEvent | dict[str, Any]) -> None:
        records = list(numbered(events, self.seq))
        self.seq = max((record.seq for record in records if record.seq is not None), default=self.seq)
        self.console.show(records)

    @property
    def screen(self) -> Screen:
        return Screen().feed(self.file.getvalue())


def test_the_region() -> None:
    terminal = Terminal()
    with terminal.console:
        assert terminal.screen.text.split("\n") == [
            "",
            "── bee · haiku " + "─" * 50 + " context 38% ──",
            "● thinking 0:12 · read-only" + " " * 44 + "3 waiting",
        ]
        assert not terminal.screen.cursor_shown
        terminal.time += 65
        terminal.console.tick()
        assert "thinking 1:17" in terminal.screen.last
        terminal.console.update(unread=9, nonsense=1)
        assert "3 waiting" in terminal.screen.last
        terminal.time += 1
        terminal.console.update(unread=9)
        assert terminal.screen.last.endswith("9 waiting")
    assert terminal.screen.text == ""
    assert terminal.screen.cursor_shown


@pytest.mark.parametrize("width", [24, 30, 40, 50, 60, 70, 80, 100, 200])
def test_the_region_fits(width: int) -> None:
    terminal = Terminal(width, model="claude-opus-4-7-20260101-with-a-long-tail", status="needs_login_idle")
    with terminal.console:
        rule, line = terminal.screen.text.strip().split("\n")
        assert len(rule) == width
        assert len(line) <= width
        assert line.startswith("! claude is")
        if width >= 60:
            assert "38%" in rule
            assert "3 waiting" in line


def test_a_region_that_was_taken_away_comes_back_below_what_was_printed_meanwhile() -> None:
    terminal = Terminal()
    with terminal.console:
        terminal.show(Note(text="before"))
        terminal.console.suspend()
        assert (terminal.screen.text, terminal.screen.cursor_shown) == ("· before", True)
        terminal.show(Note(text="meanwhile"))
        terminal.console.tick()
        assert (terminal.screen.text, terminal.screen.cursor_shown) == ("· before\n· meanwhile", True)
        terminal.console.resume()
        terminal.console.resume()
        assert terminal.screen.text.startswith("· before\n· meanwhile\n\n── bee")
        assert (terminal.screen.last[:2], terminal.screen.cursor_shown) == ("● ", False)
    assert terminal.screen.text == "· before\n· meanwhile"


def test_a_console_that_knows_nothing_yet_does_not_fail() -> None:
    file = io.StringIO()
    with Console(file=file, live=True, width=30, snapshot={"model": None}, now=lambda: NOW):
        assert Screen().feed(file.getvalue()).last == "○ idle · nothing waits"


def test_events_feed_the_bottom_line() -> None:
    terminal = Terminal(120)
    usage = {"input_tokens": 12, "cache_read_input_tokens": 5600, "cache_creation_input_tokens": 340}
    main = {"type": "assistant", "parent_tool_use_id": None, "message": {"model": "m", "content": [], "usage": usage}}
    with terminal.console:

        def region(event: LiveEvent | dict[str, Any]) -> str:
            terminal.time += 1
            terminal.show(event)
            return terminal.screen.text

        assert "context 3% (6k of 200k)" in region(main)
        others = {"parent_tool_use_id": "t", "message": {"usage": {"input_tokens": 99_999}}}
        assert "3% (6k of 200k)" in region(main | others)
        synthetic = {"model": "<synthetic>", "usage": {"input_tokens": 99_999}}
        assert "3% (6k of 200k)" in region(main | {"message": synthetic})
        line = {"type": "result", "modelUsage": {"m": {"contextWindow": 1_000_000}}, "result": ""}
        # It may be another model's: the turn's end says which window counts.
        assert "3% (6k of 200k)" in region(line)
        boundary = {"type": "system", "subtype": "compact_boundary", "compact_metadata": {"post_tokens": 100_000}}
        assert "50% (100k of 200k)" in region(boundary)
        changed = TokenUsageChanged(usage=TokenUsage(), context_tokens=7000, context_window=190_000)
        assert "4% (7k of 190k)" in region(changed)
        assert "sonnet" in region(ModelChanged(model="sonnet"))
        assert "! log in · open the page above" in region(StatusChanged(status="needs_login_in_progress"))
        until = int(terminal.time) + 751
        found = region(StatusChanged(status="rate_limited", until_unix=until, why="5-hour limit"))
        assert "‖ rate limited: 5-hour limit · resumes at " in found
        assert "(in 12m 30s)" in found
        assert "● thinking" in region(StatusChanged(status="online"))
        assert "compacting 0:00" in region(TurnStateChanged(state="compacting", since_unix=int(terminal.time) + 1))
        assert "5 waiting" in region(TurnStart(sender="a", body="b", unread=5))


def test_permanent_lines_are_printed_above_the_region() -> None:
    terminal = Terminal()
    with terminal.console:
        terminal.show(Note(text="one"))
        terminal.show(Note(text="two"), Note(text="three"))
        rows = terminal.screen.text.split("\n")
        assert rows[:3] == ["· one", "· two", "· three"]
        assert rows[3:5] == ["", rows[4]]
        assert rows[4].startswith("── bee")
        assert len(rows) == 6
    assert terminal.screen.text == "· one\n· two\n· three"


def test_the_transcript_on_a_terminal_is_that_of_a_pipe() -> None:
    terminal = Terminal()
    with terminal.console:
        for event in recorded_turn("tools_partial"):
            terminal.time += 1
            terminal.show(event)
    assert terminal.screen.text + "\n" == plain(*recorded_turn("tools_partial"))


def test_a_growing_text_shows_its_last_lines_and_vanishes() -> None:
    terminal = Terminal()
    with terminal.console:
        terminal.show(delta("content_block_start", content_block={"type": "text", "text": ""}))
        for number in range(20):
            terminal.time += 1
            terminal.show(delta("content_block_delta", delta={"type": "text_delta", "text": f"line {number}\n"}))
        rows = terminal.screen.text.split("\n")
        assert [row.strip() for row in rows[-11:-3]] == [f"line {number}" for number in range(12, 20)]
        assert "line 11" not in terminal.screen.text
        terminal.show(assistant(said("The end.")))
        assert terminal.screen.text.startswith("  The end.\n\n")
        assert "line 19" not in terminal.screen.text
        after = terminal.screen.text.split("\n")
        assert len(after) == len(rows)  # the region does not shrink by itself, so that nothing jumps
        terminal.show(*(Note(text=str(number)) for number in range(8)))
        assert len(terminal.screen.text.split("\n")) == len(rows) + 1  # nine lines, and the blank one between


def test_drafts_of_thinking_and_tools() -> None:
    terminal = Terminal()
    with terminal.console:
        terminal.show(delta("content_block_delta", delta={"type": "thinking_delta", "thinking": "Hm\x1b[2J"}))
        terminal.time += 1
        terminal.console.tick()
        assert r"~ Hm\x1b[2J" in terminal.screen.text
        terminal.show(delta("content_block_start", content_block={"type": "tool_use", "name": "Write", "input": {}}))
        terminal.time += 1
        terminal.show(delta("content_block_delta", delta={"type": "input_json_delta", "partial_json": "x" * 2048}))
        assert "▸ Write …" in terminal.screen.text
        assert "~" not in terminal.screen.text
        terminal.show(TurnEnd(ok=True, outcome="ok"))
        assert "Write" not in terminal.screen.text


def test_redraws_are_rare_unless_asked_for() -> None:
    terminal = Terminal()
    with terminal.console:
        start = len(terminal.file.getvalue())
        for number in range(50):
            terminal.time += 0.001
            terminal.show(delta("content_block_delta", delta={"type": "text_delta", "text": str(number)}))
        assert len(terminal.file.getvalue()) == start
        terminal.time += 0.1
        terminal.show(delta("content_block_delta", delta={"type": "text_delta", "text": "!"}))
        once = len(terminal.file.getvalue())
        assert once > start
        terminal.console.tick()
        assert len(terminal.file.getvalue()) == once  # nothing has changed
        terminal.time += 1
        terminal.console.tick()
        assert len(terminal.file.getvalue()) > once


def test_a_clock_that_is_set_back_does_not_freeze_the_region() -> None:
    terminal = Terminal()
    with terminal.console:
        terminal.time -= 3600
        terminal.console.update(unread=8)
        assert terminal.screen.last.endswith("8 waiting")


def test_an_exception_leaves_the_terminal_clean() -> None:
    terminal = Terminal()

    def fail() -> None:
        with terminal.console:
            terminal.show(Note(text="one"))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert terminal.screen.text == "· one"
    assert terminal.screen.cursor_shown


def test_tick_and_update_write_nothing_into_a_pipe() -> None:
    file = io.StringIO()
    with Console(file=file, now=lambda: NOW) as console:
        console.tick()
        console.update(unread=3)
    assert file.getvalue() == ""


@pytest.mark.parametrize(("columns", "given_width", "expected"), [("50", None, 50), ("50", 70, 70), ("x", None, 80)])
def test_the_width_of_a_pipe(
    monkeypatch: pytest.MonkeyPatch, columns: str, given_width: int | None, expected: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    head = plain(TurnStart(sender="a", body="b", unread=0), width=given_width).splitlines()[0]
    assert len(head) == expected


def test_no_color_keeps_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured, weighted = Terminal(), None
    monkeypatch.setenv("NO_COLOR", "1")
    weighted = Terminal()
    for terminal in (coloured, weighted):
        with terminal.console:
            terminal.show(assistant(call("a", "Bash", command="ls")), Note(text="x", level="error"))
    assert re.search(r"\x1b\[[\d;]*3\dm", coloured.file.getvalue())
    assert not re.search(r"\x1b\[([\d;]*;)?[349]\d[\d;]*m", weighted.file.getvalue())
    assert "\x1b[1m" in weighted.file.getvalue()
    assert weighted.screen.text == coloured.screen.text


def test_a_reader_that_leaves_raises_broken_pipe() -> None:
    read, write = os.pipe()
    file = os.fdopen(write, "w", encoding="utf-8")
    with Console(file=file, now=lambda: NOW) as console:
        console.show([record(Note(text="one"))])
        assert os.read(read, 100) == "· one\n".encode()
        os.close(read)
        with pytest.raises(BrokenPipeError):
            console.show([record(Note(text="two"))])
        console.show([record(Note(text="three"))])
    # What the file itself still holds cannot be written either; that is its owner's business.
    with pytest.raises(BrokenPipeError):
        file.close()


class _Broken(io.StringIO):
    def __init__(self, code: int | None = None) -> None:
        super().__init__()
        self.code = code

    def write(self, text: str) -> int:
        if self.code is not None:
            raise OSError(self.code, os.strerror(self.code))
        return super().write(text)


@pytest.mark.parametrize("code", [errno.EPIPE, errno.EIO])
def test_a_terminal_that_hangs_up_raises_broken_pipe(code: int) -> None:
    file = _Broken()
    with Console(file=file, live=True, now=lambda: NOW) as console:
        file.code = code
        with pytest.raises(BrokenPipeError):
            console.show([record(Note(text="two"))])
        console.tick()


def test_a_full_disk_raises_its_own_error() -> None:
    file = _Broken()
    with Console(file=file, now=lambda: NOW) as console:
        file.code = errno.ENOSPC
        with pytest.raises(OSError, match="space") as caught:
            console.show([record(Note(text="two"))])
        assert not isinstance(caught.value, BrokenPipeError)


def test_an_output_without_unicode_gets_plain_signs() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    with Console(file=file, now=lambda: NOW) as console:
        console.show([record(assistant(call("a", "Bash", command="echo é"))), record(TurnEnd(ok=True))])
    file.flush()
    assert raw.getvalue() == b"* Bash   echo \\xe9\n\n+ ok\n"


def test_a_real_terminal_is_found_and_followed() -> None:
    master, slave = pty.openpty()
    output = bytearray()

    def drain() -> None:
        try:
            while chunk := os.read(master, 65536):
                output.extend(chunk)
        except OSError:  # Linux reports the end of a terminal as EIO
            return

    reader = threading.Thread(target=drain)
    reader.start()
    with os.fdopen(slave, "w", encoding="utf-8") as file:
        termios.tcsetwinsize(file.fileno(), (20, 72))
        with Console(snapshot=SNAPSHOT, file=file, now=lambda: NOW) as console:
            console.show([record(Note(text="one"))])
            termios.tcsetwinsize(file.fileno(), (20, 90))
            console.tick()
    reader.join()
    os.close(master)
    shown = output.decode().replace("\r\n", "\n")
    assert f"{'─' * 42}\x1b[0m context 38% " in shown
    assert f"{'─' * 60}\x1b[0m context 38% " in shown
    assert Screen().feed(shown).text == "· one"
    assert Screen().feed(shown).cursor_shown


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")

    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    file = Tty()
    with Console(file=file, now=lambda: NOW) as console:
        console.show([record(Note(text="one"))])
    assert file.getvalue() == "· one\n"


def test_the_wire_shape_is_shown_like_the_event() -> None:
    file, again = io.StringIO(), io.StringIO()
    records = [record(event, seq) for seq, event in enumerate(recorded_turn("tools"), 1)]
    with Console(file=file, now=lambda: NOW) as one, Console(file=again, now=lambda: NOW) as two:
        one.show(records)
        for found in records:
            two.show([BusEvent.from_json(found.to_json())])
    assert file.getvalue() == again.getvalue() != ""
