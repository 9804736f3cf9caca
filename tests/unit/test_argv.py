"""claude's command line and environment."""

import pytest

from hyperhive_cli.claude.argv import (
    Launch,
    check_passed,
    child_environment,
    lacks_hook_events,
    turn_argv,
    withheld_clouds,
)

ALWAYS = ["--print", "--verbose", "--output-format", "stream-json"]
HOOKS = "--include-hook-events"
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
        (Launch(CLAUDE, extra=("--add-dir", "/x")), None, False, []),
        (
            Launch(CLAUDE, no_wakeups=True, extra=("--disallowedTools", "Bash")),
            None,
            False,
            ["--disallowedTools=ScheduleWakeup"],
        ),
        (Launch(CLAUDE, settings="{}", extra=("--x",)), None, False, ["--settings={}"]),
        (
            Launch(CLAUDE, permission_mode="acceptEdits", skip_permissions=True, partial=True, extra=("--x", "y")),
            "5d4b",
            False,
            [
                *("--resume=5d4b", "--permission-mode=acceptEdits", "--dangerously-skip-permissions"),
                "--include-partial-messages",
            ],
        ),
    ],
    ids=[
        "first",
        "resume",
        "continue",
        "resume wins",
        "mode",
        "skip",
        "partial",
        "extra",
        "no wake-ups",
        "settings",
        "all",
    ],
)
def test_the_command_line_of_a_turn(launch: Launch, session: str | None, newest: bool, rest: list[str]) -> None:
    argv = turn_argv(launch, model="haiku", session_id=session, newest=newest)
    assert argv == ["claude", *ALWAYS, "--model=haiku", *rest, HOOKS, *launch.extra]


def test_an_old_claude_is_not_asked_for_the_words_of_hooks() -> None:
    argv = turn_argv(Launch(CLAUDE, hook_events=False), model="haiku", session_id=None)
    assert argv == ["claude", *ALWAYS, "--model=haiku"]
    assert lacks_hook_events("error: unknown option '--include-hook-events'\n")
    assert not lacks_hook_events("error: unknown option '--nope'\n")


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
    assert argv == ["claude", *ALWAYS, f"--model={value}", f"--resume={value}", f"--permission-mode={value}", HOOKS]


ALLOWED = """
    PATH HOME USER LOGNAME SHELL LANG LANGUAGE LC_ALL LC_TIME TZ TERM COLORTERM NO_COLOR TMPDIR XDG_CONFIG_HOME
    SSH_AUTH_SOCK SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS HTTPS_PROXY https_proxy no_proxy ALL_PROXY
    ANTHROPIC_API_KEY ANTHROPIC_BASE_URL CLAUDE_CONFIG_DIR CLAUDE_CODE_USE_BEDROCK CLAUDE_CODE_OAUTH_TOKEN
    CLAUDE_CODE_SESSIONEND_HOOKS_TIMEOUT_MS CLAUDE_CODE_SUBPROCESS_ENV_SCRUB CLAUDE_CODE_EFFORT_LEVEL
    MCP_TIMEOUT BASH_DEFAULT_TIMEOUT_MS BASH_MAX_TIMEOUT_MS BASH_MAX_OUTPUT_LENGTH DISABLE_TELEMETRY
    ENABLE_TOOL_SEARCH MAX_THINKING_TOKENS IS_SANDBOX API_TIMEOUT_MS OTEL_METRICS_EXPORTER
    GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL GIT_SSH_COMMAND
"""
LEFT_OUT = """
    LD_PRELOAD LD_LIBRARY_PATH DYLD_INSERT_LIBRARIES PYTHONPATH PYTHONSTARTUP NODE_OPTIONS NODE_PATH BUN_OPTIONS
    BASH_ENV ENV BASH_FUNC_x%% PROMPT_COMMAND IFS DISPLAY WAYLAND_DISPLAY PWD OLDPWD SHLVL _ GH_TOKEN GITHUB_TOKEN
    AWS_SECRET_ACCESS_KEY AWS_PROFILE GOOGLE_APPLICATION_CREDENTIALS AZURE_CLIENT_SECRET VERTEX_REGION_CLAUDE_4
    DATABASE_URL GIT_DIR GIT_WORK_TREE GIT_CONFIG_COUNT AI_AGENT TMUX INVOCATION_ID MY_PATH path PATHS
"""
# What 2.1.197 and 2.1.330 give to what they start.
NESTED = """
    CLAUDECODE CLAUDE_PID CLAUDE_EFFORT CLAUDE_PROJECT_DIR CLAUDE_ENV_FILE CLAUDE_CODE_ENTRYPOINT CLAUDE_CODE_EXECPATH
    CLAUDE_CODE_SESSION_ID CLAUDE_CODE_SESSION_ATTENDED CLAUDE_CODE_SSE_PORT CLAUDE_CODE_CHILD_SESSION
    CLAUDE_CODE_CHILD_NOTES_DIR CLAUDE_CODE_MESSAGING_SOCKET CLAUDE_CODE_MESSAGING_TOKEN CLAUDE_BG_SOURCE
    CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR
"""
OURS = "HYPERHIVE_AGENT HYPERHIVE_ HYPERHIVE_STATE_DIR"
CLOUDS = {
    "CLAUDE_CODE_USE_BEDROCK": "AWS_SECRET_ACCESS_KEY AWS_PROFILE AWS_REGION AWS_BEARER_TOKEN_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX": "GOOGLE_APPLICATION_CREDENTIALS GCLOUD_PROJECT CLOUD_ML_REGION VERTEX_REGION_CLAUDE_4",
    "CLAUDE_CODE_USE_FOUNDRY": "AZURE_CLIENT_SECRET AZURE_TENANT_ID",
}


def everything() -> dict[str, str]:
    names = " ".join([ALLOWED, LEFT_OUT, NESTED, OURS, *CLOUDS.values()]).split()
    return {name: "" if name.startswith("CLAUDE_CODE_USE_") else f"the value of {name}" for name in names}


def test_claude_gets_what_it_needs_and_nothing_else() -> None:
    assert sorted(child_environment(everything())) == sorted(ALLOWED.split())


def test_a_value_is_passed_as_it_is() -> None:
    environ = {"PATH": "/a:/b\n", "LANG": "", "ANTHROPIC_API_KEY": "\udcff"}
    assert child_environment(environ) == environ


@pytest.mark.parametrize("switch", CLOUDS)
def test_a_clouds_credentials_are_for_who_has_chosen_that_cloud(switch: str) -> None:
    for value in ("1", "true", "yes"):
        found = child_environment({**everything(), switch: value})
        assert found.keys() - ALLOWED.split() - CLOUDS.keys() == set(CLOUDS[switch].split())
    for value in ("", "0", "false", "No", "off"):
        found = child_environment({**everything(), switch: value})
        assert found.keys() - ALLOWED.split() - CLOUDS.keys() == set()


@pytest.mark.parametrize(
    ("passed", "more"),
    [
        (["GH_TOKEN"], "GH_TOKEN"),
        (["GH_TOKEN", "TMUX"], "GH_TOKEN TMUX"),
        (["NOT_SET"], ""),
        (["AWS_*"], "AWS_SECRET_ACCESS_KEY AWS_PROFILE AWS_REGION AWS_BEARER_TOKEN_BEDROCK"),
        (["G*TOKEN"], "GH_TOKEN GITHUB_TOKEN"),
        (["LD_PRELOAD", "BASH_FUNC_x%%"], "LD_PRELOAD BASH_FUNC_x%%"),
        (["GH.TOKEN", "[A-Z]*", "TMU"], ""),
        ([*NESTED.split(), *OURS.split(), "CLAUDE*", "HYPERHIVE_*"], ""),
    ],
    ids=str,
)
def test_more_is_passed_where_the_operator_says_so(passed: list[str], more: str) -> None:
    assert child_environment(everything(), passed).keys() - ALLOWED.split() == set(more.split())


def test_even_all_of_it_is_without_what_is_ours_and_an_outer_claudes() -> None:
    never = {*NESTED.split(), *OURS.split()}
    assert child_environment(everything(), ["*"]).keys() == everything().keys() - never


def test_claudes_own_settings_switch_a_cloud_on_or_off() -> None:
    shell = {**everything(), "CLAUDE_CODE_USE_VERTEX": "1"}
    found = child_environment(shell, own={**shell, "CLAUDE_CODE_USE_BEDROCK": "1", "CLAUDE_CODE_USE_VERTEX": "0"})
    assert {"AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS"} & found.keys() == {"AWS_PROFILE"}


@pytest.mark.parametrize(
    ("environ", "given", "names"),
    [
        ({"AWS_ACCESS_KEY_ID": "x", "AWS_REGION": "y"}, {}, ["AWS_*"]),
        ({"AWS_ACCESS_KEY_ID": "x"}, {"AWS_ACCESS_KEY_ID": "x"}, []),
        ({"AWS_REGION": "y", "GOOGLE_CLOUD_PROJECT": "z"}, {}, []),
        ({"AZURE_CLIENT_SECRET": "x", "GOOGLE_APPLICATION_CREDENTIALS": "x"}, {}, ["GOOGLE_*", "AZURE_*"]),
        ({"AWS_BEARER_TOKEN_BEDROCK": "x"}, {}, ["AWS_*"]),
    ],
)
def test_a_clouds_credentials_that_claude_is_not_given_are_named(
    environ: dict[str, str], given: dict[str, str], names: list[str]
) -> None:
    assert withheld_clouds(environ, given) == names


@pytest.mark.parametrize("name", ["A=b", "", " A", "A B", "A\n", "A\0"])
def test_what_is_no_variables_name_is_named(name: str) -> None:
    assert check_passed(["GOOD", "AWS_*", "x%%", name]) == name
    assert check_passed(["GOOD", "AWS_*", "x%%", "*"]) is None
