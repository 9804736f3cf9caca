"""claude's command line and environment."""

import pytest

from hyperhive_cli.claude.argv import Launch, check_extra, child_environment, turn_argv

ALWAYS = ["--print", "--verbose", "--output-format", "stream-json"]
CLAUDE = ("claude",)


@pytest.mark.parametrize(
    ("launch", "session", "newest", "rest"),
    [
        (Launch(CLAUDE), None, False, []),
        (Launch(CLAUDE), "5d4b", False, ["--resume=5d4b"]),
        (Launch(CLAUDE), None, True, ["--continue"]),
        (Launch(CLAUDE), "5d4b", True, ["--resume=5d4b"]),
        (Launch(CLAUDE, permission_mode="plan"), None, False, ["--permission-mode=plan"]),
        (Launch(CLAUDE, skip_permissions=True), None, False, ["--dangerously-skip-permissions"]),
        (Launch(CLAUDE, partial=True), None, False, ["--include-partial-messages"]),
        (Launch(CLAUDE, extra=("--add-dir", "/x")), None, False, ["--add-dir", "/x"]),
        (
            Launch(CLAUDE, permission_mode="acceptEdits", skip_permissions=True, partial=True, extra=("--x", "y")),
            "5d4b",
            False,
            [
                *("--resume=5d4b", "--permission-mode=acceptEdits", "--dangerously-skip-permissions"),
                *("--include-partial-messages", "--x", "y"),
            ],
        ),
    ],
    ids=["first", "resume", "continue", "resume wins", "mode", "skip", "partial", "extra", "all"],
)
def test_the_command_line_of_a_turn(launch: Launch, session: str | None, newest: bool, rest: list[str]) -> None:
    argv = turn_argv(launch, model="haiku", session_id=session, newest=newest)
    assert argv == ["claude", *ALWAYS, "--model=haiku", *rest]


def test_the_program_may_have_first_arguments_of_its_own() -> None:
    assert turn_argv(Launch(("python", "-I", "fake.py")), model="m", session_id=None)[:4] == [
        "python",
        "-I",
        "fake.py",
        "--print",
    ]


@pytest.mark.parametrize("value", ["--dangerously-skip-permissions", "-p", "a b", "=", "x=y"])
def test_a_free_value_never_becomes_a_flag_of_its_own(value: str) -> None:
    argv = turn_argv(Launch(CLAUDE, permission_mode=value), model=value, session_id=value)
    assert argv == ["claude", *ALWAYS, f"--model={value}", f"--resume={value}", f"--permission-mode={value}"]


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        *(
            (name, True)
            for name in ("PATH", "HOME", "ANTHROPIC_API_KEY", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_USE_BEDROCK")
        ),
        *((name, False) for name in ("HYPERHIVE_AGENT", "HYPERHIVE_", "CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT")),
        *((name, False) for name in ("CLAUDE_CODE_SESSION_ID", "CLAUDE_CODE_SSE_PORT")),
        ("MY_HYPERHIVE_AGENT", True),
    ],
)
def test_claude_gets_our_environment_without_what_is_ours_or_an_outer_claudes(name: str, passes: bool) -> None:
    assert child_environment({name: "x"}) == ({name: "x"} if passes else {})


@pytest.mark.parametrize(
    "flag",
    [
        *("-p", "--print", "--output-format", "--input-format", "--verbose", "-c", "--continue", "-r", "--resume"),
        *("--session-id", "--fork-session", "--model", "-h", "--help", "-v", "--version"),
    ],
)
def test_what_only_the_harness_may_set_is_named(flag: str) -> None:
    assert check_extra(["--add-dir", "/x", flag]) == flag
    assert check_extra([f"{flag}=value"]) == flag


@pytest.mark.parametrize("argument", ["-rID", "-pc", "-c=x"])
def test_a_short_flag_is_refused_with_its_value_glued_to_it(argument: str) -> None:
    assert check_extra([argument]) is not None


@pytest.mark.parametrize(
    "extra",
    [[], ["--add-dir", "/x"], ["--mcp-config=x.json"], ["--models"], ["model"], ["--append-system-prompt", "--"]],
)
def test_all_other_arguments_pass(extra: list[str]) -> None:
    assert check_extra(extra) is None
