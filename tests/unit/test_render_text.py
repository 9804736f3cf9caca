"""Cleaning text for a terminal, short figures, and tool calls in a few words."""

import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.core import text
from hyperhive_cli.transcript.answers import Answer, content_text, read_answer
from hyperhive_cli.transcript.calls import call_summary, relative
from hyperhive_cli.transcript.diff import Hunk
from hyperhive_cli.transcript.raw_text import RawText
from hyperhive_cli.transcript.rows import Figures, Image

UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
any_text = st.text(st.characters(exclude_categories=[])) | st.text("\x1b\x9b]0;\x07\\\r\n\t\u202ea")
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("dirty", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m\x90q\x9c", r"\x9b31m\x90q\x9c"),
        ("a\rb", r"a\x0db"),
        ("a\r\nb\n", "a\nb\n"),
        ("\x00\x08\x0b\x0c\x7f", r"\x00\x08\x0b\x0c\x7f"),
        ("user\u202egpj.exe\u2066\u2069", r"user\u202egpj.exe\u2066\u2069"),
        ("\u200e\u200f\u061c\u2028\u2029", r"\u200e\u200f\u061c\u2028\u2029"),
        ("\ud83d alone", r"\ud83d alone"),
        ("tab\tand\nline stay", "tab\tand\nline stay"),
        ("naïve café, 日本語, 🐝, 👩‍💻", "naïve café, 日本語, 🐝, 👩‍💻"),
        ("[red]no markup[/red] :smile:", "[red]no markup[/red] :smile:"),
    ],
)
def test_clean_makes_what_steers_a_terminal_visible(dirty: str, shown: str) -> None:
    assert text.clean(dirty) == shown


@given(any_text)
def test_clean_leaves_nothing_unsafe_and_is_stable(dirty: str) -> None:
    once = text.clean(dirty)
    assert not UNSAFE.search(once)
    assert text.clean(once) == once
    once.encode()


@given(any_text)
def test_clean_keeps_all_other_characters_in_order(dirty: str) -> None:
    kept = UNSAFE.sub("", dirty)
    assert re.sub(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4})", "", text.clean(dirty)) == re.sub(
        r"\\(x[0-9a-f]{2}|u[0-9a-f]{4})", "", kept
    )


def test_the_pure_modules_load_no_rich() -> None:
    code = "import sys, hyperhive_cli.core.text, hyperhive_cli.transcript.view; print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (842, "842"), (999, "999"), (1000, "1k"), (5952, "6k"), (12_345, "12.3k"), (76_000, "76k"),
     (99_949, "99.9k"), (123_456, "123k"), (999_499, "999k"), (999_500, "1M"), (1_234_000, "1.2M"),
     (True, "0"), (-5, "0"), ("x", "0"), (float("nan"), "0"), (None, "0"), (10**400, "0")],
)  # fmt: skip
def test_tokens(value: object, shown: str) -> None:
    assert text.tokens(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0.0s"), (0.84, "0.8s"), (9.94, "9.9s"), (9.96, "10s"), (12, "12s"), (59.4, "59s"), (59.6, "1m 00s"),
     (184, "3m 04s"), (3599.7, "1h 00m"), (7500, "2h 05m"), (273_600, "3d 04h"), (-1, "0.0s"),
     ("x", ""), (None, ""), (float("inf"), ""), (True, "")],
)  # fmt: skip
def test_duration(value: object, shown: str) -> None:
    assert text.duration(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.000678, "$0.0007"), (0.0241, "$0.0241"), (0.5, "$0.50"), (1.239, "$1.24"), (1234.5, "$1,234.50"),
     (0.00001, "<$0.0001"), (0, ""), (None, ""), ("1", ""), (-1, "")],
)  # fmt: skip
def test_dollars(value: object, shown: str) -> None:
    assert text.dollars(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 B"), (842, "842 B"), (1000, "1 KiB"), (12_600, "12.3 KiB"), (2 * 1024**2, "2 MiB")],
)
def test_size(value: int, shown: str) -> None:
    assert text.size(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(7, "0:07"), (750.9, "12:30"), (3909, "1:05:09"), (-4, "0:00")])
def test_clock(value: float, shown: str) -> None:
    assert text.clock(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [("a\n b", "a b"), ("x" * 50, "xxxxxxxxx…"), ("\x1b\x1b\x1b\x1b", r"\x1b\x1b\…"), ("  ", "")],
)
def test_one_line(value: str, shown: str) -> None:
    assert text.one_line(value, 10) == shown


def test_one_line_says_that_an_unread_rest_exists() -> None:
    assert text.one_line("a" + " " * 10_000 + "b", 10) == "a…"


@pytest.mark.parametrize(
    ("value", "lines", "more"),
    [
        ("", [], 0),
        ("\n \n\n", [], 0),
        ("a", ["a"], 0),
        ("\n\na\nb\n\n", ["a", "b"], 0),
        ("1\n2\n3\n4\n", ["1", "2", "3", "4"], 0),
        ("1\n2\n3\n4\n5", ["1", "2", "3"], 2),
        ("a\r\nb\r\n", ["a", "b"], 0),
        ("x" * 500, ["x" * 400 + "…"], 0),
    ],
)
def test_head_lines(value: str, lines: list[str], more: int) -> None:
    assert text.head_lines(value, 3) == (lines, more)


@given(any_text, st.integers(0, 5))
def test_head_lines_counts_every_line_once(value: str, limit: int) -> None:
    lines, more = text.head_lines(value, limit)
    inner = value.strip("\n\r \t") and value.lstrip("\n").rstrip("\n\r \t")
    assert len(lines) + more == (inner.count("\n") + 1 if inner else 0)


@given(any_json)
def test_every_short_form_takes_any_value(value: object) -> None:
    for form in (text.text_of, text.brief, text.tokens, text.size, text.duration, text.clock, text.dollars):
        assert not UNSAFE.search(form(value))


@pytest.mark.parametrize(
    ("name", "given_input", "shown"),
    [
        ("Bash", {"command": "echo hello", "description": "say"}, "echo hello"),
        ("Bash", {"command": "cd /x &&\n  make\n"}, "cd /x && make"),
        ("Read", {"file_path": "/home/a/project/src/x.py"}, "src/x.py"),
        ("Read", {"file_path": "/home/a/projects/x.py"}, "/home/a/projects/x.py"),
        ("Edit", {"file_path": "/etc/hosts"}, "/etc/hosts"),
        ("Grep", {"pattern": "def .*", "path": "/home/a/project/src"}, "def .* in src"),
        ("Grep", {"pattern": "def .*", "path": "/home/a/project"}, "def .*"),
        ("Glob", {"pattern": "**/*.py"}, "**/*.py"),
        ("Task", {"description": "count words", "prompt": "…"}, "count words"),
        ("Agent", {"prompt": "go"}, "go"),
        ("WebFetch", {"url": "https://example.org/", "prompt": "x"}, "https://example.org/"),
        ("mcp__db__query", {"sql": "select 1", "limit": 5, "deep": {"a": 1}, "rows": [1, 2]},
         "sql=select 1 limit=5 deep={1 key} rows=[2 items]"),
        ("Bash", {"command": 7, "x": None}, "command=7 x=null"),
        ("Bash", {"command": "\x1b[2J"}, r"\x1b[2J"),
        ("Bash", {}, ""),
        ("Bash", None, ""),
        ("Bash", ["a"], "[1 item]"),
        ("Many", {str(n): n for n in range(9)}, "0=0 1=1 2=2 3=3 4=4 5=5 …"),
    ],
)  # fmt: skip
def test_a_call_in_one_line(name: str, given_input: object, shown: str) -> None:
    assert call_summary(name, given_input, "/home/a/project") == shown


@pytest.mark.parametrize(
    ("path", "cwd", "shown"),
    [("/a/b", "/a", "b"), ("/a", "/a", "."), ("/a/", "/a", "."), ("/ab", "/a", "/ab"), ("b", "", "b"),
     ("/x", "/", "x")],
)  # fmt: skip
def test_relative(path: str, cwd: str, shown: str) -> None:
    assert relative(path, cwd) == shown


@pytest.mark.parametrize(
    ("name", "block", "structured", "answer"),
    [
        ("Bash", {"content": "hello"}, {"stdout": "hello"}, Answer(output="hello")),
        ("Bash", {"content": "hello"}, {"interrupted": False}, Answer(output="hello", figures=Figures(exit_status=0))),
        ("Bash", {"content": "id: 1"}, {"interrupted": False, "backgroundTaskId": "1"}, Answer(output="id: 1")),
        ("Grep", {"content": "a"}, {"numFiles": 1, "numLines": 7}, Answer(output="a", figures=Figures(hits=7))),
        ("Bash", {"content": ""}, None, Answer(label="no output")),
        ("Bash", {"content": "Exit code 3", "is_error": True}, "Error: …",
         Answer(failed=True, label="exit 3", figures=Figures(exit_status=3))),
        ("Bash", {"content": "Exit code 1\nls: no", "is_error": True}, None,
         Answer(failed=True, label="exit 1", output="ls: no", figures=Figures(exit_status=1))),
        ("Bash", {"content": "<tool_use_error>Blocked: x</tool_use_error>", "is_error": True}, None,
         Answer(failed=True, label="error", output="Blocked: x")),
        ("Bash", {"content": "\n".join("12345678")}, None, Answer(output="1\n2\n3\n4\n5\n6\n7\n8")),
        ("Read", {"content": [{"type": "text", "text": "a"}, {"type": "image", "source": {}}]}, None,
         Answer(output="a\n[image]")),
        ("Read", {"content": [{"type": "image", "source": {"media_type": "image/png", "data": "iVBORw=="}}]}, None,
         Answer(output="[image]", images=(Image("image/png", "iVBORw=="),))),
        ("Write", {"content": "File created …"}, {"type": "create", "content": "a\nb\n"},
         Answer(label="created, 2 lines", diff=(Hunk(0, 1, ("+a", "+b")),), figures=Figures(added=2, removed=0))),
        ("Edit", {"content": "updated"},
         {"structuredPatch": [{"oldStart": 3, "newStart": 4, "lines": [" a", "-b", "+c", "+d"]}, 7, {"lines": 1}]},
         Answer(label="2 lines added, 1 removed",
                diff=(Hunk(3, 4, (" a", "-b", "+c", "+d")), Hunk(0, 0, ())), figures=Figures(added=2, removed=1))),
        ("Edit", {"content": "updated"}, {"structuredPatch": 5}, Answer(output="updated")),
        ("Task", {"content": "internal"}, {"isAsync": True}, Answer(label="runs in the background")),
        ("Task", {"content": "x"}, {"status": "completed", "content": [{"type": "text", "text": "four"}],
                                    "totalTokens": 1294, "totalToolUseCount": 3},
         Answer(label="completed, 1.3k tokens", output="four", figures=Figures(tool_calls=3, tokens=1294))),
        ("Odd", {"content": {"a": 1}}, None, Answer(output="{1 key}")),
        ("Odd", {}, None, Answer(label="no output")),
    ],
)  # fmt: skip
def test_an_answer_in_short(name: str, block: dict[str, Any], structured: object, answer: Answer) -> None:
    assert read_answer(name, block, structured) == answer


@given(st.sampled_from(["Bash", "Write", "Task", "Grep", "Odd"]), any_json, any_json, any_json)
def test_summaries_take_any_json(name: str, value: object, structured: object, cwd: object) -> None:
    shown = call_summary(name, {"command": value, "path": cwd, "pattern": "x", "file_path": value}, "/a")
    answer = read_answer(name, {"content": value, "is_error": structured}, structured)
    lines = ["".join(span.text for span in line) for line in RawText(answer.output).head(3)[0]]
    for part in (shown, call_summary(name, value), answer.label, *lines):
        assert not UNSAFE.search(part)
        assert "\n" not in part
    content_text(value)


def test_a_big_answer_costs_no_more_than_its_head() -> None:
    answer = read_answer("Bash", {"content": "line\n" * 2_000_000})
    lines, more = RawText(answer.output).head(3)
    assert (len(lines), more) == (3, 1_999_997)
    assert len(call_summary("Bash", {"command": "x" * 10_000_000})) <= 400


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "just now"), (9.9, "just now"), (10, "10 s ago"), (59, "59 s ago"), (60, "1 min ago"), (3_599, "59 min ago"),
     (3_600, "1 h ago"), (86_399, "23 h ago"), (86_400, "1 day ago"), (200_000, "2 days ago"), (-5, "just now"),
     (None, "just now")],
)  # fmt: skip
def test_how_long_ago(seconds: object, said: str) -> None:
    assert text.ago(seconds) == said
