"""The transcript as a pipe gets it: a line for each row."""

import re
from pathlib import Path

import pytest

from hyperhive_cli.core.events import LiveEvent, Note, TurnStart
from hyperhive_cli.render.piped_transcript import PipedTranscript
from tests.unit.agreed import Output, check
from tests.unit.made_events import (
    RECORDINGS,
    answer,
    assistant,
    call,
    delta,
    record,
    recorded_turn,
    said,
    same_world,  # noqa: F401 - a fixture, used by name
)

pytestmark = pytest.mark.usefixtures("same_world")
TIME = "2026-11-22T16:24:31+00:00"


def lines_of(*events: LiveEvent | dict[str, object], whole: bool = True) -> list[str]:
    """Return the lines of events, the first of them in turn 5."""
    start = TurnStart(sender="ci", body="go", unread=0, turn_id=5)
    records = [record(event, seq) for seq, event in enumerate([start, *events], 1)]
    text = PipedTranscript(whole=whole).text(records)
    assert text.endswith("\n")
    return [line.removeprefix(f"{TIME}\t") for line in text.splitlines()[1:]]


@pytest.mark.parametrize("whole", [False, True], ids=["as run prints it", "whole"])
@pytest.mark.parametrize(
    ("name", "release"),
    [("tools", "v2.1.330"), ("tools_denied", "v2.1.330"), ("subagent", "v2.1.330"), ("not_logged_in", "v2.1.330")],
)
def test_golden_lines_of_a_recording(name: str, release: str, *, whole: bool) -> None:
    records = [record(event, seq) for seq, event in enumerate(recorded_turn(name, release), 1)]

    def show(file: Output, _: int) -> None:
        file.write(PipedTranscript(whole=whole).text(records))

    check(f"piped_{name}{'_whole' if whole else ''}_{release}", show)


@pytest.mark.parametrize(
    "path", sorted(RECORDINGS.glob("v*/*.jsonl")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_recording_is_a_line_for_each_row_with_four_values(path: Path) -> None:
    turn = recorded_turn(path.stem, path.parent.name)
    for whole in (False, True):
        text = PipedTranscript(whole=whole).text([record(event, seq) for seq, event in enumerate(turn, 1)])
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
        for line in text.split("\n")[:-1]:
            assert re.fullmatch(rf"{re.escape(TIME)}\t(-|\d+(\.\d+)?)\t[a-z]+\t[^\t]+", line)


def test_a_text_is_one_line_and_its_newlines_come_back() -> None:
    text = "C:\\new\none\ttwo \x1b[31mred\x1b[0m \u202eevil"
    (line,) = lines_of(assistant(said(text)))
    assert line.split("\t") == ["5", "text", r"C:\\new\none\ttwo \\x1b[31mred\\x1b[0m \\u202eevil"]


def test_a_long_output_is_cut_unless_it_is_asked_for_whole() -> None:
    output = "\n".join(f"line {number}" for number in range(100_000))
    events = (assistant(call("a", "Bash", command="seq")), answer("a", output))
    assert lines_of(*events)[1] == "5.1\tanswer\tBash: " + output.replace("\n", "\\n")
    cut = r"Bash: line 0\nline 1\n… 99,997 lines (hyperhive show 5.1)\nline 99999"
    assert lines_of(*events, whole=False)[1] == f"5.1\tanswer\t{cut}"


def test_a_failed_call_shows_where_errors_stand() -> None:
    output = "Exit code 3\n" + "\n".join(map(str, range(50)))
    events = (assistant(call("a", "Bash", command="x")), answer("a", output, is_error=True))
    shown = r"Bash, exit 3: 0\n1\n… 43 lines (hyperhive show 5.1)\n45\n46\n47\n48\n49"
    assert lines_of(*events, whole=False)[1] == f"5.1\tfailed\t{shown}"


def test_a_command_that_its_summary_cuts_is_whole_where_nothing_is_cut() -> None:
    command = "echo " + "x" * 1000
    for whole in (False, True):
        (line,) = lines_of(assistant(call("a", "Bash", command=command)), whole=whole)
        assert line.endswith(f": {command}") is whole


def test_a_row_of_a_subagent_says_whose_it_is() -> None:
    events = (
        assistant(call("a", "Task", description="count", prompt="count the lines")),
        assistant(said("I count."), parent_tool_use_id="a"),
    )
    assert lines_of(*events)[1] == "5\ttext\tsubagent (count): I count."


def test_partial_lines_add_nothing() -> None:
    assert PipedTranscript(whole=True).text([record(delta("message_stop"))]) == ""


def test_an_error_is_told_from_a_note() -> None:
    assert lines_of(Note(text="disk full", level="error"), Note(text="hm", source="stderr")) == [
        "5\terror\tdisk full",
        "5\tnote\tstderr: hm",
    ]
