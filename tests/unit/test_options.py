"""claude's own options behind `--`: how they are read, and which are refused."""

import pytest

from hyperhive_cli.claude.options import Option, has_option, read_options, refused_option, values_of

# Each with an example of how it stands on a command line.
REFUSED = """
    -p --print --output-format=json --input-format=text --verbose --sdk-url=wss://x --session-mirror
    --replay-user-messages -c --continue -r -rID --resume --resume=ID --session-id=U --fork-session --from-pr
    --from-pr=1 --teleport --resume-session-at=U --resume-drops-turn=U --reply-on-resume --session-began-as-copy=1
    --no-session-persistence --model=opus -h --help -v --version --init-only --rewind-files=U --bg --background
    --cloud --cloud=x --remote --environment=e --pool=p --attach-serve=s --desktop --remote-control --rc=me --tmux
    --tmux=classic -w -wname --worktree --worktree=name --await-claim --await-initialize --initialize-fields=settings
    --managed-settings-in-initialize --permission-prompt-tool=stdio -pc -cp -c=x
"""


@pytest.mark.parametrize("word", REFUSED.split())
@pytest.mark.parametrize(
    "before",
    [[], ["--add-dir", "/x"], ["--allowedTools", "Read", "Edit"], ["--allowedTools=Read"], ["--strict-mcp-config"]],
    ids=lambda words: " ".join(words) or "first",
)
def test_what_breaks_the_harness_is_refused_with_a_reason_and_a_hint(word: str, before: list[str]) -> None:
    found = refused_option([*before, word, "--max-turns", "3"])
    assert found is not None
    named, refusal = found
    assert named.split()[0] == (word.partition("=")[0] if word.startswith("--") else word[:2])
    assert refusal.reason
    assert refusal.hint


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--add-dir /x",
        "--mcp-config=x.json",
        "--models",  # not an abbreviation of another
        "--prin",
        "--permission-mode plan --dangerously-skip-permissions",
        "--permission-prompt-tool mcp__ask__me",
        "--append-system-prompt --print",  # the value, whatever it looks like
        "--append-system-prompt --",
        "--append-system-prompt -c",
        "--settings=--model",
        "-n -p",
        "-dapi,hooks",
        "--debug --ide",
        "--debug hooks --chrome",
        "--allowedTools Read Edit stdio",
        "--permission-prompts none --disallowedTools stdio",
        "--allowedTools -c",  # the first one, too
        "--new-option with its values --max-turns 3",  # of a release to come
        "--allowedTools Read --",
    ],
)
def test_everything_else_passes(words: str) -> None:
    assert refused_option(words.split()) is None


@pytest.mark.parametrize(
    ("words", "word"),
    [
        ("doctor", "doctor"),
        ("-", "-"),
        ("--strict-mcp-config fix it", "fix"),
        ("--max-turns 3 fix it", "fix"),
        ("--max-turns=3 fix", "fix"),
        ("--mcp-config=a.json b.json", "b.json"),  # glued, it takes one alone
        ("--debug api fix", "fix"),
        ("-nname fix", "fix"),
        ("--allowedTools Read -- fix", "fix"),
        ("--allowedTools Read -- --max-turns", "--max-turns"),
    ],
)
def test_a_word_that_claude_would_take_as_the_prompt_is_refused(words: str, word: str) -> None:
    found = refused_option(words.split())
    assert found is not None
    assert found[0] == word
    assert "prompt" in found[1].reason


def test_options_are_read_as_claude_reads_them() -> None:
    words = ["--mcp-config", "a", "b", "--mcp-config=c", "d", "--settings", "--x", "-rID", "--debug", "--ide", "--bare"]
    assert list(read_options(words)) == [
        Option("--mcp-config", ("a", "b")),
        Option("--mcp-config", ("c",)),
        Option("", ("d",)),
        Option("--settings", ("--x",)),
        Option("-r", ("ID",)),
        Option("--debug"),
        Option("--ide"),
        Option("--bare"),
    ]
    assert values_of(words, "--mcp-config") == ["a", "b", "c"]
    assert has_option(words, "--bare")
    assert not has_option(words, "--x")


@pytest.mark.parametrize("words", [["--settings"], ["--mcp-config"], ["--debug"], ["--"]])
def test_a_value_that_is_missing_is_claudes_to_complain_of(words: list[str]) -> None:
    assert refused_option(words) is None
