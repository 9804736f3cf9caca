"""claude's `--settings`: which one counts, and what the harness adds to it."""

import json
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive_cli.claude.settings_flag import OURS, is_inline, merged_settings, split_settings

FOLDER = PurePosixPath("/etc/claude")


@pytest.mark.parametrize(
    ("words", "value", "others"),
    [
        ([], None, []),
        (["--max-turns", "3"], None, ["--max-turns", "3"]),
        (["--settings", "a.json"], "a.json", []),
        (["--settings=a.json", "--x"], "a.json", ["--x"]),
        (["--settings", "a.json", "--x", "y", "--settings={}"], "{}", ["--x", "y"]),
        (["--settings={}", "--settings", "b.json"], "b.json", []),
        (["--settings="], "", []),
        (["--settings", "--x"], "--x", []),  # as claude's own parser reads it
        (["--setting-sources", "user"], None, ["--setting-sources", "user"]),
        (["--settings-x=1"], None, ["--settings-x=1"]),
    ],
)
def test_the_last_one_counts_as_in_claude_itself(words: list[str], value: str | None, others: list[str]) -> None:
    assert split_settings(words) == (value, tuple(others))


def test_one_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="--settings needs a value"):
        split_settings(["--x", "--settings"])


@pytest.mark.parametrize(
    ("value", "inline"),
    [("{}", True), (' {"a":1}\n', True), ("", True), (" ", True), ("a.json", False), ("[1]", False), ("{a", False)],
)
def test_what_is_in_braces_is_no_file(value: str, inline: bool) -> None:
    assert is_inline(value) is inline


def test_ours_stand_over_those_of_the_operator_which_are_kept() -> None:
    given_ = {"env": {"A": "ü"}, "crossSessionInbound": "accept", "hooks": {"Stop": []}}
    assert json.loads(merged_settings(json.dumps(given_))) == {**given_, "crossSessionInbound": "refuse"}


@pytest.mark.parametrize(
    "content", ["", "  \n", b"", "{}", b"{}", b"\xef\xbb\xbf{}", "\ufeff{}", "{}".encode("utf-16")]
)
def test_where_there_are_none_ours_are_all(content: str | bytes) -> None:
    assert merged_settings(content) == '{"crossSessionInbound":"refuse"}'


@pytest.mark.parametrize(
    "content",
    ["{", "[1]", "null", "5", "// a comment\n{}", '{"a": NaN}', '{"a": 1,}', b"\xff\xfe\xff", "[" * 100_000],
)
def test_what_is_no_json_object_is_refused(content: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        merged_settings(content)


@pytest.mark.parametrize(
    ("rule", "anchored"),
    [
        ("Read(/secret/**)", "Read(//etc/claude/secret/**)"),
        ("Edit(/x)", "Edit(//etc/claude/x)"),
        ("Read(//etc/shadow)", "Read(//etc/shadow)"),
        ("Read(~/x)", "Read(~/x)"),
        ("Read(./x)", "Read(./x)"),
        ("Read(x/**)", "Read(x/**)"),
        ("Bash(/usr/bin/x:*)", "Bash(/usr/bin/x:*)"),
        ("Skill(/x)", "Skill(/x)"),
        ("WebFetch(domain:x)", "WebFetch(domain:x)"),
        ("Read", "Read"),
    ],
)
@pytest.mark.parametrize("name", ["allow", "ask", "deny"])
def test_a_rule_that_is_relative_to_the_file_means_the_same_in_a_copy(name: str, rule: str, anchored: str) -> None:
    merged = json.loads(merged_settings(json.dumps({"permissions": {name: [rule]}}), FOLDER))
    assert merged["permissions"][name] == [anchored]
    assert json.loads(merged_settings(json.dumps({"permissions": {name: [rule]}})))["permissions"][name] == [rule]


def test_the_paths_of_the_sandbox_mean_the_same_in_a_copy() -> None:
    sandbox = {
        "filesystem": {"denyRead": ["keys", "/etc/x", "~/y", "//z"], "allowWrite": ["./out"], "strict": True},
        "credentials": {"files": [{"path": "token", "mode": "deny"}, {"path": "/abs"}, 5]},
    }
    merged = json.loads(merged_settings(json.dumps({"sandbox": sandbox}), FOLDER))["sandbox"]
    assert merged["filesystem"]["denyRead"] == ["/etc/claude/keys", "/etc/x", "~/y", "//z"]
    assert merged["filesystem"]["allowWrite"] == ["/etc/claude/out"]
    assert merged["filesystem"]["strict"] is True
    assert [entry["path"] for entry in merged["credentials"]["files"][:2]] == ["/etc/claude/token", "/abs"]


def test_a_folder_that_would_be_a_pattern_is_refused_where_a_rule_needs_it() -> None:
    folder = PurePosixPath("/etc/[x]")
    with pytest.raises(ValueError, match="would be a pattern"):
        merged_settings('{"permissions": {"deny": ["Read(/x)"]}}', folder)
    assert json.loads(merged_settings('{"permissions": {"deny": ["Read(//x)"]}}', folder))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["permissions", "sandbox", "env", "crossSessionInbound"]), JSON))
def test_whatever_shape_they_have_the_others_are_kept(settings: dict[str, Any]) -> None:
    merged = json.loads(merged_settings(json.dumps(settings), FOLDER))
    assert merged.items() >= OURS.items()
    assert merged.get("env") == settings.get("env")
    assert merged.keys() == settings.keys() | OURS.keys()
