"""The pages of the manual: their commands are run, their links lead somewhere, and they name all there is to name."""

import ast
import re
import tomllib
from pathlib import Path

import click
import pytest

from hyperhive_cli.cli.config_file import NOWHERE, USER_ALONE, WORKSPACE_MAY
from hyperhive_cli.cli.help import DOCS, TOPICS
from hyperhive_cli.cli.program import hyperhive
from hyperhive_cli.core.events import KINDS
from hyperhive_cli.core.outcomes import OutcomeKind
from hyperhive_cli.harness.host_file import read_plan
from tests.cli.test_guides import run_script
from tests.conftest import FakeClaude
from tests.harness import SOURCE, TEXT, Hive
from tests.pages import all_pages, blocks, page
from tests.unit.test_house import FLOORS

GENERATED = {"commands"}
GUIDES = {"first-hour", "troubleshooting", "hive-setup"}  # test_guides.py, tests/hive/test_network.py
WITH_COMMANDS = [topic for topic in TOPICS if topic not in GUIDES and blocks(page(topic))]
MOST_LINES = 200
CORPUS = "\n".join(page(topic) for topic in TOPICS if topic not in GENERATED)


def test_each_page_is_a_topic() -> None:
    assert sorted(TOPICS) == sorted(path.stem for path in DOCS.iterdir())


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_is_short_and_says_below_its_title_what_it_is_about(topic: str) -> None:
    title, empty, about, *_ = page(topic).splitlines()
    assert (title[:2], empty) == ("# ", "")
    assert re.fullmatch(r"[A-Z].{20,60}\.", about), "as `hyperhive help` lists it"
    assert topic in GENERATED or len(page(topic).splitlines()) <= MOST_LINES


@pytest.mark.parametrize("topic", WITH_COMMANDS)
def test_the_commands_of_a_page_work(topic: str, hive: Hive, fake_claude: FakeClaude) -> None:
    """Called one after the other, for an agent that has three turns behind it and whose harness is stopped."""
    fake_claude.script(TEXT)
    assert hive.drain("--message", "hello", "--message", "one", "--message", "two").status == 0
    run_script(hive, "".join(blocks(page(topic))))


@pytest.mark.parametrize("path", all_pages(), ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        name, _, heading = target.replace("\n", " ").partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), target
        assert linked.suffix != ".md" or linked == SOURCE / "README.md" or linked.stem in TOPICS
        if heading:
            heads = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}, target


@pytest.mark.parametrize("topic", TOPICS)
def test_every_configuration_of_a_page_is_toml_with_known_options(topic: str) -> None:
    known = WORKSPACE_MAY | USER_ALONE
    for block in blocks(page(topic), "toml"):
        tables = tomllib.loads(block)
        assert set(tables.get("run", {})) | set(tables.get("defaults", {})) <= known


def test_the_file_of_a_host_on_the_page_can_be_read() -> None:
    (text,) = blocks(page("running"), "toml")
    plan = read_plan(text, Path("hive.toml"))
    assert ([agent.name for agent in plan.agents], plan.max_turns) == (["team-1", "nightly"], 4)


def test_the_page_on_configuration_says_where_each_option_may_be_set() -> None:
    _, workspace, user, nowhere = re.split(
        r"so that file may only|These must come|^`workspace` can", page("configuration"), flags=re.MULTILINE
    )
    assert set(re.findall(r"`([a-z-]+)`", workspace)) == WORKSPACE_MAY
    named = set(re.findall(r"`([a-z-]+)`", user))
    assert named - {"web-"} == {option for option in USER_ALONE if not option.startswith("web-")}
    assert {"workspace"} == NOWHERE
    assert nowhere


def options_of(command: click.Command) -> list[str]:
    own = [parameter for parameter in command.params if parameter.expose_value]  # without those that all have
    return [option for parameter in own for option in parameter.opts if option.startswith("--")]


@pytest.mark.parametrize("name", ["run", "send", "tail", "stats", "show", "export", "agents", "web"])
def test_each_option_of_the_main_commands_is_explained(name: str) -> None:
    command = hyperhive.get_command(click.Context(hyperhive), name)
    assert command is not None
    unsaid = {"--workspace", "--claude"}  # their help says all there is to say
    assert [option for option in options_of(command) if option not in CORPUS and option not in unsaid] == []


def test_each_kind_of_event_and_each_outcome_is_explained() -> None:
    assert [kind for kind in KINDS if f"- `{kind}`" not in page("events")] == []
    assert [kind for kind in OutcomeKind if f"`{kind}`: " not in page("outcomes")] == []


def test_each_field_of_status_is_explained(hive: Hive) -> None:
    fields = hive.call("status", "--json").json_lines()[0]
    assert [name for name in fields if f"`{name}`" not in page("events")] == []


def test_the_files_of_the_state_folder_are_named(newcomer: Hive) -> None:
    assert newcomer.drain("--message", "hello").status == 0
    named = set(re.findall(r"`((?:hyperhive-|harness\.)[a-z.]+)`", page("files")))
    made = {entry.name for entry in Path(newcomer.state_dir).iterdir()}
    assert named - made == {"hyperhive-model"}  # written when a model is chosen
    assert len(named) == 4


def test_the_tests_that_the_page_on_security_names_exist() -> None:
    named = re.findall(r"`(tests/[^`]+)`", page("security"))
    assert len(named) > 20
    assert [name for name in named if not (SOURCE / name).exists()] == []


def test_the_changes_begin_with_this_release() -> None:
    version = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]["version"]
    first = next(line for line in page("changes").splitlines() if line.startswith("## "))
    assert version in first


def defined_in(path: Path) -> set[str]:
    """Return the names of a module's classes and functions, and of its tables."""
    tree, kinds = ast.parse(path.read_text(encoding="utf-8")), ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    tables = {
        node.target.id for node in tree.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)} | tables


def test_the_architecture_names_files_classes_and_functions_that_exist() -> None:
    package = DOCS.parent
    text = " ".join(re.sub(r"```.*?```", "", page("architecture"), flags=re.DOTALL).split())
    named = re.findall(r"`([^`]+)`", text)
    paths = [name for name in named if re.fullmatch(r"[\w./]+/[\w./]*|\w+\.py", name)]
    assert [name for name in paths if not (package / name).exists() and not (SOURCE / name).exists()] == []
    known = set().union(*map(defined_in, package.rglob("*.py")))
    words = [name for name in named if re.fullmatch(r"[A-Z]\w*[a-z]\w*|\w+\(\)", name)]
    assert [word for word in words if word.removesuffix("()") not in known] == []
    homes = re.findall(r"`(\w+)(?:\(\))?` in `(\w+/\w+\.py)`", text)
    assert [(word, file) for word, file in homes if word not in defined_in(package / file)] == []
    assert (len(paths) > 30, len(words) > 10, len(homes) > 10) == (True, True, True)


def test_the_architecture_draws_each_room_on_its_floor() -> None:
    drawn, floor = {}, -1
    for line in blocks(page("architecture"), "text")[0].splitlines():
        found = re.match(r"(?:floor (\d)| {7})  (\w+)/ +\S", line)
        assert found is not None, line
        assert len(line) <= 76, "a terminal of 80 cells shows it unbroken"
        floor = int(found[1]) if found[1] else floor
        drawn[found[2]] = floor
    assert drawn == FLOORS


@pytest.mark.parametrize("path", all_pages(), ids=lambda path: path.name)
def test_every_program_of_the_tests_that_is_named_exists(path: Path) -> None:
    for name in re.findall(r"python -m (tests\.\w+)", path.read_text(encoding="utf-8")):
        found = SOURCE.joinpath(*name.split("."))
        assert found.with_suffix(".py").exists() or (found / "__main__.py").exists(), name
