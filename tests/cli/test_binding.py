"""Which folder an agent is bound to: by its first message, by `run`, and after its workspace was moved."""

import json
import os
import pty
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import FakeClaude
from tests.harness import LIMIT_S, TEXT, Hive, piped_rows

OWN = '-a OTHER, or `agent = "OTHER"` in hyperhive.toml, for an agent of this folder'


@dataclass(frozen=True, slots=True)
class Machine:
    """A user's machine: agents are found by the folder in which a command runs, and lie below the home folder."""

    hive: Hive
    root: Path

    def folder(self, name: str) -> Path:
        found = self.root / name
        found.mkdir(parents=True, exist_ok=True)
        return found

    def call(self, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        variables = self.hive.variables(HOME=str(self.hive.state_dir))  # short enough for a socket
        command = [*self.hive.command()[:3], *words]
        done = subprocess.run(
            command, env=variables, cwd=folder, capture_output=True, text=True, check=False, timeout=LIMIT_S
        )
        assert "Traceback" not in done.stderr
        return done

    def drain(self, folder: Path, *words: str, agent: str | None = None) -> subprocess.CompletedProcess[str]:
        named = [] if agent is None else ["-a", agent]
        return self.call(folder, *named, "run", "--claude", str(self.hive.claude), "--drain", "--json", *words)


@pytest.fixture
def machine(hive: Hive, tmp_path: Path, fake_claude: FakeClaude) -> Machine:
    fake_claude.script(TEXT)
    return Machine(hive, tmp_path)


def test_a_message_from_a_folder_runs_in_no_other_of_the_same_name(machine: Machine, fake_claude: FakeClaude) -> None:
    one, two = machine.folder("one/app"), machine.folder("two/app")
    assert machine.call(one, "send", "for one").stdout == "1\n"
    refused = f"Error: agent 'app' is bound to {one}, not to this folder"
    for done in (machine.call(two, "send", "for two"), machine.drain(two), machine.call(two, "inbox")):
        assert (done.returncode, done.stderr.splitlines()[0]) == (1, refused)
        assert done.stderr.rstrip().endswith(OWN)
    assert fake_claude.calls() == []
    assert machine.drain(one).returncode == 0
    assert len(fake_claude.calls()) == 1


@pytest.mark.exhaustive
def test_the_ways_out_work(machine: Machine, fake_claude: FakeClaude) -> None:
    one, two, three = (machine.folder(f"{name}/app") for name in ("one", "two", "three"))
    machine.call(one, "send", "for one")
    assert machine.call(two, "-a", "other", "send", "--new", "for two").returncode == 0
    assert machine.drain(two, agent="other").returncode == 0
    (three / "hyperhive.toml").write_text('agent = "third"\n')
    assert machine.call(three, "send", "for three").returncode == 0
    assert machine.drain(three).returncode == 0
    assert machine.call(two, "-a", "app", "send", "for one, from elsewhere").stdout == "2\n"
    assert machine.drain(two, "--workspace", str(one)).returncode == 0
    assert len(fake_claude.calls()) == 4


def test_a_file_that_names_the_agent_binds_it_as_the_folder_does(machine: Machine) -> None:
    one, two = machine.folder("one"), machine.folder("two")
    for folder in (one, two):
        (folder / "hyperhive.toml").write_text('agent = "bee"\n')
    assert machine.call(one, "send", "hello").returncode == 0
    assert f"agent 'bee' is bound to {one}" in machine.call(two, "send", "hello").stderr


@pytest.mark.exhaustive
def test_an_agent_that_is_named_is_bound_by_its_first_run(machine: Machine) -> None:
    one, two = machine.folder("one"), machine.folder("two")
    assert machine.call(one, "-a", "bee", "send", "hello", "--new").returncode == 0
    assert machine.drain(two, agent="bee").returncode == 0
    assert f"agent 'bee' is bound to {two}" in machine.drain(one, agent="bee").stderr


def test_a_moved_workspace_is_bound_anew_in_a_new_session(machine: Machine, fake_claude: FakeClaude) -> None:
    old = machine.folder("old/app")
    machine.drain(old, "--message", "one")
    new = old.rename(machine.folder("new") / "app")
    for done in (machine.drain(new, "--message", "two"), machine.call(new, "send", "two")):
        message, hint = done.stderr.splitlines()
        assert message == f"Error: agent 'app' is bound to {old}, which no longer exists"
        assert hint == f"Try: hyperhive -a app run --workspace NEW, if the folder was moved; {OWN}"
    done = machine.drain(new, "--workspace", ".", "--message", "two")
    assert done.returncode == 0
    assert f"the workspace was moved from {old} to {new}: going on in a new session" in done.stdout
    first, second = fake_claude.calls()
    assert [any(word.startswith("--resume") for word in call["argv"]) for call in (first, second)] == [False, False]
    assert Path(second["cwd"]) == new
    assert machine.drain(new, "--message", "three").returncode == 0
    assert any(word.startswith("--resume") for word in fake_claude.calls()[-1]["argv"])


@pytest.mark.exhaustive
def test_a_workspace_that_is_still_there_is_not_left(machine: Machine, fake_claude: FakeClaude) -> None:
    old, new = machine.folder("old/app"), machine.folder("new/app")
    machine.drain(old, "--message", "one")
    done = machine.drain(new, "--workspace", str(new), "--message", "two")
    assert (done.returncode, len(fake_claude.calls())) == (1, 1)
    assert done.stderr.splitlines()[1] == f"Try: hyperhive run --workspace {old} for that agent; {OWN}"


# --- removing and renaming ---


def test_an_agent_is_removed_with_all_of_its_folder_and_nothing_else(machine: Machine) -> None:
    app = machine.folder("app")
    machine.drain(app, "--message", "one")
    machine.call(machine.folder("other"), "send", "stays")
    home = machine.hive.state_dir / ".local/state/hyperhive"
    outside = machine.folder("outside")
    (outside / "kept").write_text("kept")
    (home / "app" / "link").symlink_to(outside)
    (home / "app" / "deep" / "er").mkdir(parents=True)

    asked = machine.call(app, "agents", "remove", "app")
    assert (asked.returncode, "agents remove app --yes" in asked.stderr) == (2, True)
    assert (home / "app").is_dir()
    done = machine.call(app, "agents", "remove", "app", "--yes")
    assert (done.returncode, done.stdout, done.stderr) == (0, "agent app is removed\n", "")
    assert [entry.name for entry in home.iterdir()] == ["other"]
    assert (outside / "kept").read_text() == "kept"
    assert app.is_dir()
    gone = machine.call(app, "agents", "remove", "app", "--yes")
    assert (gone.returncode, f"there is no agent 'app' in {home}" in gone.stderr) == (1, True)


def test_what_is_no_agents_folder_is_not_removed(machine: Machine) -> None:
    home = machine.folder("home")
    (home / "documents").mkdir()
    (home / "linked").symlink_to(machine.folder("elsewhere"))
    for name, why in (("documents", "is not the state folder of an agent"), ("linked", "is a link or a file")):
        done = machine.call(home, "agents", "--home", str(home), "remove", name, "--yes")
        assert (done.returncode, why in done.stderr) == (1, True)
    assert machine.call(home, "agents", "--home", str(home), "remove", "../home", "--yes").returncode == 2
    assert sorted(entry.name for entry in home.iterdir()) == ["documents", "linked"]


def test_a_running_agent_is_neither_removed_nor_renamed(hive: Hive, state_dir: Path) -> None:
    running = Hive(hive.workspace, state_dir / "bee", hive.claude, hive.environment, hive.forkserver)
    with running.run() as program:
        for words in (["remove", "bee", "--yes"], ["rename", "bee", "wasp"]):
            done = hive.call("agents", "--home", str(state_dir), *words)
            assert done.refusal() == f"a harness is already running for agent 'bee' (pid {program.pid})"
        assert running.status()["running"] is True


def test_a_renamed_agent_keeps_what_it_had(machine: Machine, fake_claude: FakeClaude) -> None:
    app = machine.folder("app")
    machine.drain(app, "--message", "one")
    done = machine.call(app, "agents", "rename", "app", "bee")
    assert (done.returncode, done.stdout) == (0, "agent app is now called bee\n")
    assert "hyperhive -a bee" in done.stderr
    machine.call(app, "send", "of a new agent")
    taken = machine.call(app, "agents", "rename", "app", "bee")
    assert (taken.returncode, "an agent 'bee' already exists" in taken.stderr) == (1, True)
    assert machine.drain(app, "--message", "two", agent="bee").returncode == 0
    assert any(word.startswith("--resume") for word in fake_claude.calls()[-1]["argv"])


@pytest.mark.parametrize(("answer", "status", "left"), [("n", 130, True), ("", 130, True), ("y", 0, False)])
def test_removing_asks_on_a_terminal(machine: Machine, answer: str, status: int, left: bool) -> None:
    app = machine.folder("app")
    machine.call(app, "send", "one")
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    variables = machine.hive.variables(HOME=str(machine.hive.state_dir))
    done = subprocess.run(
        [*machine.hive.command()[:3], "agents", "remove", "app"], env=variables, cwd=app, stdin=theirs,
        capture_output=True, text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    folder = machine.hive.state_dir / ".local/state/hyperhive/app"
    assert f"delete agent app in {folder} (0 turns, 1 messages not yet run)? [y/N]" in done.stderr
    assert (done.returncode, folder.exists()) == (status, left)


# --- from a folder below ---


def test_the_agent_of_the_nearest_bound_folder_above_is_found(machine: Machine) -> None:
    app, below = machine.folder("app"), machine.folder("app/src/app")
    assert machine.call(below, "status").stderr.startswith("agent 'app' is new"), "nothing is bound above"
    machine.call(app, "send", "one")
    for folder in (below, below.parent):
        done = machine.call(folder, "send", "from below")
        assert done.returncode == 0, done.stderr
    assert len(machine.call(below, "inbox", "--json").stdout.splitlines()) == 3
    machine.call(below, "pause")
    assert machine.drain(below, "--message", "its own", agent="inner").returncode == 0
    (below / "hyperhive.toml").write_text('agent = "inner"\n')
    assert "\n" not in machine.call(below, "inbox", "--no-header").stdout
    assert machine.call(machine.folder("app/src/app/deep"), "status", "--json").stdout.startswith('{"agent":"inner"')
    assert machine.call(below.parent, "status", "--json").stdout.startswith('{"agent":"app"')
    assert machine.call(machine.folder("elsewhere/app"), "status").returncode == 1, "another folder of that name"


def test_a_name_that_no_agent_has_creates_none_by_accident(machine: Machine) -> None:
    app = machine.folder("app")
    machine.call(app, "send", "one")
    retry, more = ["inbox", "retry", "1"], ["budget", "raise", "--day-cost", "5"]
    for words in (["send", "x"], ["pause"], ["new-session"], ["model", "set", "opus"], ["resume"], retry, more):
        done = machine.call(app, "-a", "appp", *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.splitlines() == [
            "Error: there is no agent 'appp'",
            "Try: hyperhive -a app …; for a new agent: hyperhive -a appp run, or send --new",
        ]
    assert machine.call(app, "agents", "--no-header").stdout.count("\n") == 1
    assert machine.call(app, "-a", "appp", "send", "x", "--new").stdout == "1\n"
    assert machine.call(app, "-a", "appp", "pause").returncode == 0
    assert machine.drain(machine.folder("z"), "--message", "x", agent="z").returncode == 0, "run creates one"


def test_a_hint_means_the_agent_that_was_named(machine: Machine) -> None:
    app = machine.folder("app")
    machine.call(app, "-a", "bee", "send", "--new", "one")
    machine.call(app, "-a", "bee", "pause")
    for words in (["-a", "bee", "show", "9"], ["show", "9", "-a", "bee"]):
        done = machine.call(app, *words)
        assert done.stderr.splitlines()[1] == "Try: hyperhive -a bee tail --no-follow --kind turn_start"
    assert "stopped (hyperhive -a bee run)" in machine.call(app, "-a", "bee", "status").stdout
    sent = machine.call(app, "-a", "bee", "send", "two").stderr
    assert "waits for `hyperhive -a bee run`" in sent
    assert "waits for `hyperhive -a bee resume`" in sent
    machine.call(app, "send", "one")
    assert "stopped (hyperhive run)" in machine.call(app, "status").stdout
    assert machine.call(app, "-a", "be", "pause").stderr.splitlines()[1] == (
        "Try: hyperhive -a bee …; for a new agent: hyperhive -a be run, or send --new"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["pause"], ["resume"], ["new-session"], ["stop"], ["restart"], ["model", "set", "opus"], ["login"],
        ["backup", "x.tar.gz"], ["login", "--cancel"], ["logout"], ["compact"], ["cancel"],
        ["inbox", "cancel", "1"], ["budget", "raise", "--day-cost", "5"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_in_a_folder_of_no_agent_nothing_is_created_or_changed_by_accident(words: list[str], machine: Machine) -> None:
    folder = machine.folder("app")
    done = machine.call(folder, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"Error: no agent works in {folder}",
        "Try: hyperhive agents, then -a NAME; to start one here: hyperhive run",
    ]
    assert piped_rows(machine.call(folder, "agents").stdout) == []
    assert machine.call(folder, "send", "one").returncode == 0, "a first message starts one"
    assert machine.call(folder, "pause").returncode == 0


def test_a_backup_is_restored_into_a_new_agent(machine: Machine) -> None:
    app = machine.folder("app")
    machine.drain(app, "--message", "one")
    machine.call(app, "send", "two")
    machine.call(app, "backup", "../a.tar.gz")
    done = machine.call(app, "restore", "../a.tar.gz")
    assert (done.returncode, "already exists" in done.stderr) == (1, True)
    done = machine.call(app, "-a", "bee", "restore", "../a.tar.gz")
    assert (done.returncode, done.stdout[:55]) == (0, "agent bee is restored: 2 messages (1 waiting), 1 turn, ")
    assert f"it works in {app}; start it with: hyperhive -a bee run" in done.stderr
    assert machine.drain(app, agent="bee").returncode == 0
    found = json.loads(machine.call(app, "-a", "wasp", "restore", "../a.tar.gz", "--json").stdout)
    assert (found["agent"], found["workspace"], found["waiting"]) == ("wasp", str(app), 1)
    assert "cannot be read" in machine.call(app, "-a", "ant", "restore", "none").stderr
