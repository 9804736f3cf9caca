"""The configuration files on the command line: what holds, where it comes from, and what is refused."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import FakeClaude
from tests.harness import LIMIT_S, TEXT, Done, Event, Hive, for_a_person, of_kind, piped_rows


def write_own(hive: Hive, text: str) -> Path:
    path = Path(hive.environment["HOME"], ".config", "hyperhive", "config.toml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def write_workspace(hive: Hive, text: str) -> Path:
    path = hive.workspace / "hyperhive.toml"
    path.write_text(text, encoding="utf-8")
    return path


def shown(hive: Hive, *arguments: str, **variables: str) -> Event:
    (found,) = hive.call("config", "show", "--json", *arguments, variables=variables).json_lines()
    settings: Event = found["settings"]
    return settings


def test_the_first_that_says_something_counts(hive: Hive) -> None:
    own = write_own(hive, '[run]\nmodel = "user"\ndrain-wait = 5\nturn-timeout = 7\nquiet = true\n')
    theirs = write_workspace(hive, '[run]\nmodel = "workspace"\ndrain-wait = 6\n')
    found = shown(hive, HYPERHIVE_RUN_MODEL="environment")
    assert found["model"] == {"value": "environment", "source": "environment", "place": "HYPERHIVE_RUN_MODEL"}
    assert found["drain-wait"] == {"value": 6.0, "source": "workspace", "place": f"{theirs}:3"}
    assert found["turn-timeout"] == {"value": 7.0, "source": "user", "place": f"{own}:4"}
    assert found["quiet"] == {"value": True, "source": "user", "place": f"{own}:5"}
    assert found["stall-timeout"] == {"value": 1800.0, "source": "default", "place": None}
    assert shown(hive)["model"]["value"] == "workspace"


def test_an_agent_that_is_named_behind_the_command_comes_from_the_command_line(hive: Hive) -> None:
    for words in (["-a", "bee", "config", "show", "--json"], ["config", "show", "--json", "-a", "bee"]):
        (found,) = hive.call(*words, variables={"HYPERHIVE_AGENT": "wasp"}).json_lines()
        assert found["settings"]["agent"] == {"value": "bee", "source": "flag", "place": "--agent"}


def test_the_settings_reach_the_turn_and_a_flag_goes_first(hive: Hive, fake_claude: FakeClaude) -> None:
    fake_claude.script(TEXT)
    write_own(hive, f'[run]\nclaude = "{hive.claude}"\ndrain = true\njson = true\nmessage = ["hello", "again"]\n')
    write_workspace(hive, '[run]\nmodel = "opus"\n')
    done = hive.call("run")
    assert [start["body"] for start in of_kind(done.json_lines(), "turn_start")] == ["hello", "again"]
    assert {start["model"] for start in of_kind(done.json_lines(), "turn_start")} == {"opus"}
    flagged = hive.call("run", "--model", "sonnet", "--message", "other")
    assert [start["body"] for start in of_kind(flagged.json_lines(), "turn_start")] == ["other"]
    assert {start["model"] for start in of_kind(flagged.json_lines(), "turn_start")} == {"sonnet"}
    assert hive.call("run", "--quiet") == Done(0, "", "")  # against the file's json
    assert "cannot be used together" in hive.call("run", "--quiet", "--json").refusal(2)


def test_a_switch_of_a_file_is_turned_off_by_its_variable(hive: Hive) -> None:
    write_workspace(hive, "[run]\ndrain = true\n")
    found = shown(hive, HYPERHIVE_RUN_DRAIN="0")["drain"]
    assert found == {"value": False, "source": "environment", "place": "HYPERHIVE_RUN_DRAIN"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[run]\nclaude = "./evil"\n', "'claude' is not allowed in a workspace file"),
        (
            "[run]\ndangerously-skip-permissions = true\n",
            "'dangerously-skip-permissions' is not allowed in a workspace file",
        ),
        ('[run]\non-event = "./evil"\n', "'on-event' is not allowed in a workspace file"),
        ("[run]\nturn-timeout = -1\n", "hyperhive.toml:2: -1"),
        ("[run]\nturn-timeout = nan\n", "hyperhive.toml:2: nan is not a number"),
        ("[run]\nmodle = 'x'\n", "unknown setting: 'modle'"),
        ("[run\n", "not valid TOML"),
        ("#" * 70_000, "larger than"),
    ],
)
def test_a_wrong_file_stops_run_before_anything_else(text: str, said: str, hive: Hive, fake_claude: FakeClaude) -> None:
    path = write_workspace(hive, text)
    message = hive.drain("--message", "hello").refusal(2)
    assert said in message
    assert str(path) in message
    assert fake_claude.started() == []
    assert list(hive.state_dir.iterdir()) == []
    assert hive.call("run", "-h").status == 0


def test_an_error_suggests_what_was_meant(hive: Hive) -> None:
    write_own(hive, "[run]\ntrun-timeout = 5\n")
    assert hive.call("run").stderr.splitlines()[1] == "Try: turn-timeout"


def test_a_kind_that_is_none_is_named_with_its_place(hive: Hive) -> None:
    own = write_own(hive, '[run]\non-event-kind = ["attention", "turn_ned"]\n')
    assert hive.call("run").refusal(2).startswith(f"{own}:2: 'turn_ned' is not one of")


def test_a_file_that_others_may_write_is_not_trusted(hive: Hive) -> None:
    own = write_own(hive, "[run]\nquiet = true\n")
    own.chmod(0o666)
    assert hive.call("config", "show").refusal() == f"others may write the configuration {own}"


def test_what_is_no_file_holds_nothing_up(hive: Hive) -> None:
    os.mkfifo(hive.workspace / "hyperhive.toml")
    for words in (["run"], ["config", "show"]):
        assert hive.call(*words).refusal(2).endswith("hyperhive.toml cannot be used: it is a named pipe, not a file")
    assert hive.call("status").status == 0
    assert hive.call("-a", "bee", "status").status == 0


def test_no_secret_is_shown(hive: Hive) -> None:
    write_own(hive, "[run]\non-event = 'curl --oauth2-bearer s3cret https://hooks.example/T0/s3cret'\n")
    variables = {"MY_TOKEN": "s3cret-of-mine", "HYPERHIVE_RUN_MESSAGE": "use s3cret-of-mine"}
    for arguments in ((), ("--json",)):
        done = hive.call("config", "show", *arguments, variables=variables)
        assert (done.status, "s3cret-of-mine" in done.stdout) == (0, False)
        assert "https://hooks.example/…" in done.stdout
        assert "/s3cret" not in done.stdout


def test_the_table_names_every_option_once_and_the_files(hive: Hive) -> None:
    own = write_own(hive, "[run]\nquiet = true\n")
    rows = piped_rows(hive.call("config", "show").stdout)
    assert [(row["value"], row["source"], row["place"]) for row in rows if row["setting"] == "quiet"] == [
        ("yes", "user", f"{own}:2")
    ]
    lines = for_a_person(hive, "config", "show")
    names = [line.split()[0] for line in lines[: lines.index("")]]
    assert names == ["agent", *(name for name in shown(hive) if name != "agent")]
    assert any(line.split() == ["quiet", "yes", "user:", f"{own}:2"] for line in lines)
    assert lines[-2:] == [f"{hive.workspace}/hyperhive.toml (does not exist)", str(own)]


def test_the_workspace_names_its_agent_for_every_command(hive: Hive, fake_claude: FakeClaude, tmp_path: Path) -> None:
    """And never reaches an agent of another folder by that."""
    fake_claude.script(TEXT)
    write_workspace(hive, 'agent = "bee"\n')
    variables = hive.variables(HOME=str(hive.state_dir), HYPERHIVE_RUN_CLAUDE=str(hive.claude))
    twin = tmp_path / "twin"
    twin.mkdir()
    (twin / "hyperhive.toml").write_text('agent = "bee"\n')

    def call(*words: str, folder: Path = hive.workspace) -> subprocess.CompletedProcess[bytes]:
        command = [*hive.command()[:3], *words]
        return subprocess.run(command, env=variables, cwd=folder, capture_output=True, check=False, timeout=LIMIT_S)

    assert call("send", "hello").returncode == 0
    assert call("run", "--drain", "--quiet").returncode == 0
    assert [entry.name for entry in (hive.state_dir / ".local/state/hyperhive").iterdir()] == ["bee"]
    assert b'"agent":"bee"' in call("status", "--json").stdout
    assert b'"agent":"other"' in call("-a", "other", "status", "--json").stdout
    for words in (["run", "--drain"], ["send", "hi"], ["status"]):
        assert b"agent 'bee' is bound to" in call(*words, folder=twin).stderr
    (hive.workspace / "hyperhive.toml").write_text('agent = "../x"\n')
    assert b"is not a valid agent name" in call("status").stderr


def test_a_duration_is_written_as_people_write_it_wherever_it_comes_from(hive: Hive) -> None:
    write_workspace(hive, '[run]\nturn-timeout = "2h30m"\nstall-timeout = 90\n')
    write_own(hive, '[run]\nbackground-wait = "1d"\n')
    found = shown(hive, HYPERHIVE_RUN_DRAIN_WAIT="10m")
    names = ("turn-timeout", "stall-timeout", "background-wait", "drain-wait")
    assert [found[name]["value"] for name in names] == [9000, 90, 86_400, 600]
    said = hive.call("send", "x", "--wait", "--timeout", "soon").refusal(2)
    assert "not a valid duration: 'soon': 90 (seconds), 10m, 2h30m, or 1d" in said
    assert "is not more than 0" in hive.call("run", "--drain", "--turn-timeout", "0m").refusal(2)
    path = write_workspace(hive, '[run]\nturn-timeout = "an hour"\n')
    assert hive.call("run", "--drain").refusal(2).startswith(f"{path}:2: not a valid duration: 'an hour'")
    assert hive.call("send", "one", "--wait", "--timeout", "0.01s").stderr.splitlines()[-2].endswith("after 0.01 s")
