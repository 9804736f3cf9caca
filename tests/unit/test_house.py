"""The house: which room may import which, the one home of each dangerous thing, and how large a file may grow.

A room is a folder. The imports are read from the source, those inside functions too. A module imports only from rooms
on lower floors, or from its own room; imports never form a cycle. `docs/architecture.md` draws the rooms.
"""

import ast
import sys
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

import pytest

import hyperhive_cli

PACKAGE = "hyperhive_cli"
ROOT = Path(hyperhive_cli.__file__).parent

FLOORS = {
    "core": 0,
    "claude": 1,
    "store": 1,
    "control": 1,
    "demo": 1,
    "feed": 2,
    "transcript": 2,
    "render": 3,
    "agent": 3,
    "hive": 4,
    "harness": 5,
    "doctor": 5,
    "web": 6,
    "cli": 7,
}
DOORS = {"__init__": 0, "__main__": 8}  # the only modules outside a room

# What may be imported, or called by this name, only there: a module, or a room with a dot at its end.
HOMES = {
    "backports": "store.chunk",
    "click": "cli.",
    "compression": "store.chunk",
    "cronsim": "core.schedules",
    "markdown_it": "render.",
    "matplotlib": "render.plot",
    "orjson": "core.events claude.stream",
    "psycopg": "hive. doctor.hive",
    "segno": "cli.panel_access",
    "cryptography": "web.push_message",
    "rich": "render.",
    "anyio": "web.",
    "starlette": "web.",
    "uvicorn": "web.connections web.server",
    "asyncio": "web.connections",
    "trio": """
        claude.exchange claude.pipe_reader claude.process claude.runner control.server
        feed.archiver feed.bus feed.history
        agent.compactor agent.control agent.credentials agent.loop agent.maintenance agent.parts
        agent.prewarm agent.refresh agent.retrying_writer agent.schedule_keeper agent.turn agent.wait_keeper
        hive.connection hive.member hive.relay hive.reporter hive.schedule_keeper hive.shipper
        harness.daily_report harness.display harness.hook harness.host harness.login harness.login_session harness.run
        harness.slots harness.stopping harness.web_panel
        doctor.agent cli.demo cli.doctor cli.host cli.login_here cli.run
    """,
    "sqlite3": "store.",
    "signal": "claude.guard claude.process demo.replay harness.signals",
    "subprocess": "claude.guard",
    "sys.stdout.buffer": "cli.backup cli.streams demo.replay",  # else a terminal is sent what it must not obey
    "socket": "claude.process control.client control.peer control.server hive.database web.async_client web.server",
    "fcntl": "store.folder store.holder agent.refresh claude.guard claude.process web.access",
    "threading": """
        render.display_file store.wal harness.live_console harness.terminal_loop
        cli.agents_table cli.attach cli.console cli.streams
    """,
    "termios": "render.console.terminal",
    "_typeshed": "render.display_file cli.streams",  # for the type checker alone
    "importlib": "cli.panel_access cli.plain_call cli.program cli.web web.server",
    **dict.fromkeys(("multiprocessing", "concurrent", "runpy", "pty", "trio.run_process"), ""),
    **dict.fromkeys(("_ctypes", "_signal", "posix", "os.kill", "os.fork", "os.execv", "os.execvp"), "claude.guard"),
    **dict.fromkeys(("os.killpg", "os.system", "os.popen", "os.posix_spawn"), ""),
    "os.execve": "cli.run",  # `restart`
    "trio.lowlevel.open_process": "claude.process",
    "trio.run": "cli.run cli.demo cli.doctor cli.host cli.login_here",
}
TOUCHES_THE_WORLD = {
    "os", "io", "time", "random", "tempfile", "shutil", "select", "selectors", "http", "urllib", "logging",
}  # fmt: skip
PURE = """
    core. claude. transcript. feed.filters feed.follower
    agent.backoff agent.compaction_policy agent.draining agent.scheduler agent.session agent.turn_plan
    agent.turn_result agent.wakeups
    hive.lease
    store.chunk
    render.agent_list
    render.console.cells render.console.draft render.console.editor render.console.keys render.console.painter
    render.console.region render.console.state render.console.typing
"""
NOT_PURE = "core.files core.zone claude.exchange claude.files claude.guard claude.process claude.program claude.runner"
PROGRAMS = {"claude.guard", "demo.replay"}  # run as scripts: the standard library alone
WITHOUT_RICH = (  # for fast commands
    "core. transcript. render.agent_list render.agent_tables render.console.painter render.console.region "
    "render.console.typing render.document render.figures render.hits "
    "render.inbox_table render.piped render.piped_transcript render.schedule_table render.status_rows "
    "render.table render.turn_words render.work_report"
)

MOST_LINES_OF_A_FILE = 500
MOST_LINES_OF_A_FUNCTION = 80
MOST_LINES_OF_A_CLASS = 200
MOST_METHODS = 20
LARGE_CLASSES = {
    "hive.local_inbox.LocalInbox": "a method a step of a message between the hive and its turn",
    "hive.member.Member": "one lease and one lock for all that an agent exchanges with its hive",
}


@dataclass
class Source:
    """A module of the package, its name below it, and what it imports and uses, by full names."""

    name: str
    text: str
    own: set[str] = field(default_factory=set)  # modules of the package
    libraries: set[str] = field(default_factory=set)  # their top names
    uses: set[str] = field(default_factory=set)  # all that it imports or reaches with dots: `os.kill`

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def folder(self) -> str:
        return self.name.rpartition(".")[0]


def read_package(root: Path) -> dict[str, Source]:
    """Read all modules of the package in this folder; `a/__init__.py` is called `a.__init__`."""
    paths = {".".join(path.relative_to(root).with_suffix("").parts): path for path in root.rglob("*.py")}
    sources = {name: Source(name, path.read_text(encoding="utf-8")) for name, path in paths.items()}
    for source in sources.values():
        imported = set(imports_of(source))
        source.own = {module_of(name, sources) for name in imported if name.split(".")[0] == PACKAGE}
        source.libraries = {name.split(".")[0] for name in imported} - {PACKAGE}
        source.uses = imported | {
            ast.unparse(node) for node in ast.walk(source.tree) if isinstance(node, ast.Attribute)
        }
    return sources


def imports_of(source: Source) -> Iterator[str]:
    """Name all that a module imports, in full: `from os import kill` gives `os.kill`."""
    package = [PACKAGE, *source.name.split(".")[:-1]]
    for node in ast.walk(source.tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = [*(package[: len(package) - level + 1] if level else []), *([module] if module else [])]
                yield from (".".join([*base, alias.name]) for alias in names)
            case ast.Call(func=ast.Name(id="__import__")):
                yield "importlib"


def module_of(imported: str, sources: Container[str]) -> str:
    """Return the module that an import of the package means, which may have named something in it."""
    words = imported.split(".")[1:]
    for end in range(len(words), -1, -1):
        for name in (".".join(words[:end]), ".".join([*words[:end], "__init__"])):
            if name in sources:
                return name
    return imported


def breaches(root: Path) -> list[str]:
    """Say what breaks the rules of the house, one sentence each."""
    sources = read_package(root)
    found = []
    for source in sources.values():
        found += [*wrong_edges(source), *strangers(source), *sizes(source)]
    return sorted([*found, *circles(sources)])


def room_of(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def floor_of(module: str) -> int | None:
    return DOORS.get(module) if "." not in module else FLOORS.get(room_of(module))


def wrong_edges(source: Source) -> Iterator[str]:
    floor = floor_of(source.name)
    if floor is None:
        yield f"{source.name} is in no room: move it into one of {', '.join(FLOORS)}"
        return
    for imported in sorted(source.own - {source.name}):
        theirs = floor_of(imported)
        if theirs is not None and theirs > floor:
            yield f"{source.name} (floor {floor}) imports {imported} (floor {theirs}): an upward edge"
        elif theirs == floor and room_of(imported) != room_of(source.name):
            yield f"{source.name} imports {imported}, another room on the same floor {floor}"


def strangers(source: Source) -> Iterator[str]:
    """Find libraries that are used outside their home."""
    for name, homes in HOMES.items():
        if any(f"{used}.".startswith(f"{name}.") for used in source.uses) and not lives_in(source.name, homes):
            yield f"{source.name} uses {name}, whose home is: {' '.join(homes.split()) or 'nowhere'}"
    for name in source.libraries - sys.stdlib_module_names - HOMES.keys():
        yield f"{source.name} imports {name}, a library that has no home: enter it in HOMES"
    if source.name in PROGRAMS and (source.own or source.libraries - sys.stdlib_module_names):
        yield f"{source.name} is a program of its own: it imports the standard library alone"
    if lives_in(source.name, PURE) and not lives_in(source.name, NOT_PURE):
        yield from (f"{source.name} imports {name}: it must be pure" for name in source.libraries & TOUCHES_THE_WORLD)
    if lives_in(source.name, WITHOUT_RICH) and "rich" in source.libraries:
        yield f"{source.name} imports rich, and the commands that must start fast import {source.name}"


def lives_in(module: str, homes: str) -> bool:
    return any(module.startswith(home) if home.endswith(".") else module == home for home in homes.split())


def circles(sources: dict[str, Source]) -> Iterator[str]:
    """Find imports that run in a circle: what is left when all modules that import nothing left are taken away."""
    left = {name: source.own & sources.keys() - {name} for name, source in sources.items()}
    while free := {name for name, imported in left.items() if not imported}:
        left = {name: imported - free for name, imported in left.items() if name not in free}
    while free := left.keys() - {imported for all_of_one in left.values() for imported in all_of_one}:
        left = {name: imported for name, imported in left.items() if name not in free}
    if left:
        yield f"a circle of imports: {', '.join(sorted(left))}"


def sizes(source: Source) -> Iterator[str]:
    lines = len(source.text.splitlines())
    if lines > MOST_LINES_OF_A_FILE:
        yield f"{source.name} has {lines} lines, at most {MOST_LINES_OF_A_FILE} are allowed"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            long = (node.end_lineno or node.lineno) - node.lineno + 1
            if long > MOST_LINES_OF_A_FUNCTION:
                yield f"{source.name}.{node.name} has {long} lines, at most {MOST_LINES_OF_A_FUNCTION} are allowed"
        elif isinstance(node, ast.ClassDef) and f"{source.name}.{node.name}" not in LARGE_CLASSES and is_large(node):
            yield f"{source.name}.{node.name} is a large class: split it, or write the reason in LARGE_CLASSES"


def is_large(node: ast.ClassDef) -> bool:
    methods = sum(isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) for part in node.body)
    return (node.end_lineno or node.lineno) - node.lineno >= MOST_LINES_OF_A_CLASS or methods > MOST_METHODS


def test_the_house_is_in_order() -> None:
    assert breaches(ROOT) == []


def test_the_tables_name_existing_modules_only() -> None:
    present = read_package(ROOT).keys()
    named = {name for entry in (*HOMES.values(), PURE, NOT_PURE, WITHOUT_RICH) for name in entry.split()}
    assert {name for name in named if not any(module.startswith(name) for module in present)} == set()
    assert {room_of(module) for module in present if "." in module} == FLOORS.keys()


def test_each_large_class_is_large() -> None:
    trees = {source.name: source.tree for source in read_package(ROOT).values()}
    classes = {f"{name}.{node.name}": node for name, tree in trees.items() for node in tree.body if is_class(node)}
    assert [name for name in LARGE_CLASSES if not is_large(classes[name])] == []


def is_class(node: ast.stmt) -> TypeGuard[ast.ClassDef]:
    return isinstance(node, ast.ClassDef)


def test_each_home_is_lived_in() -> None:
    """An unused entry would let a dangerous thing in unseen."""
    sources = read_package(ROOT).values()
    for name, homes in HOMES.items():
        users = [source.name for source in sources if any(f"{used}.".startswith(f"{name}.") for used in source.uses)]
        idle = [home for home in homes.split() if not any(lives_in(user, home) for user in users)]
        assert idle == [], name


def made_up(folder: Path, **modules: str) -> list[str]:
    """Write a small tree, `claude__stream` being claude/stream.py, and return what breaks the rules in it."""
    for name, text in modules.items():
        path = folder.joinpath(*name.split("__", 1) if not name.startswith("__") else [name]).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return breaches(folder)


@pytest.mark.parametrize(
    "text",
    [
        "import hyperhive_cli.feed.bus",
        "import hyperhive_cli.feed.bus as other",
        "from hyperhive_cli.feed import bus",
        "from hyperhive_cli.feed.bus import Bus",
        "from ..feed.bus import Bus",
        "from ..feed import bus",
        "def f() -> None:\n    from hyperhive_cli.feed.bus import Bus",
        "if TYPE_CHECKING:\n    from hyperhive_cli.feed.bus import Bus",
        "try:\n    pass\nexcept ImportError:\n    import hyperhive_cli.feed.bus",
    ],
)
def test_an_upward_edge_is_found_however_it_is_written(text: str, tmp_path: Path) -> None:
    assert made_up(tmp_path, feed__bus="", claude__stream=text) == [
        "claude.stream (floor 1) imports feed.bus (floor 2): an upward edge"
    ]


def test_a_room_is_imported_with_its_init(tmp_path: Path) -> None:
    found = made_up(tmp_path, core__errors="from hyperhive_cli.store import NAMES", store____init__="NAMES = ()")
    assert found == ["core.errors (floor 0) imports store.__init__ (floor 1): an upward edge"]


def test_an_edge_within_a_floor_stays_in_its_room(tmp_path: Path) -> None:
    text = "from hyperhive_cli.claude import argv\nfrom hyperhive_cli.store import db"
    found = made_up(tmp_path, claude__stream=text, claude__argv="", store__db="")
    assert found == ["claude.stream imports store.db, another room on the same floor 1"]


def test_a_downward_edge_is_in_order(tmp_path: Path) -> None:
    assert made_up(tmp_path, feed__bus="from hyperhive_cli.claude.stream import x", claude__stream="") == []


@pytest.mark.parametrize(
    "modules",
    [
        {
            "core__errors": "import hyperhive_cli.core.usage",
            "core__usage": "from hyperhive_cli.core.errors import UsageError",
        },
        {
            "core__errors": "import hyperhive_cli.core.usage",
            "core__usage": "import hyperhive_cli.core.events",
            "core__events": "def f():\n    import hyperhive_cli.core.errors",
            "core__settings": "import hyperhive_cli.core.errors",
            "core__outcomes": "",
        },
    ],
)
def test_a_circle_is_found_and_only_its_modules_are_named(modules: dict[str, str], tmp_path: Path) -> None:
    inside = sorted(name.replace("__", ".") for name in modules.keys() - {"core__settings", "core__outcomes"})
    assert made_up(tmp_path, **modules) == [f"a circle of imports: {', '.join(inside)}"]


@pytest.mark.parametrize(
    ("module", "text", "name"),
    [
        ("feed__bus", "import sqlite3", "sqlite3"),
        ("cli__status", "from rich.text import Text", "rich"),
        ("agent__loop", "import click", "click"),
        ("claude__stream", "import trio", "trio"),
        ("store__db", "def f():\n    import trio.lowlevel", "trio"),
        ("cli__run", "from signal import SIGINT", "signal"),
        ("cli__run", "import subprocess as sp", "subprocess"),
        ("agent__backoff", "import trio", "trio"),
        ("harness__run", "import os\nos.kill(1, 9)", "os.kill"),
        ("harness__run", "from os import killpg", "os.killpg"),
        ("harness__run", "import trio\ntrio.run_process([])", "trio.run_process"),
        ("claude__runner", "import trio\ntrio.lowlevel.open_process([])", "trio.lowlevel.open_process"),
        ("claude__process", "import threading", "threading"),
        ("feed__bus", "__import__('sqlite3')", "importlib"),
        ("render__table", "import rich", None),
    ],
)
def test_a_library_outside_its_home_is_found(module: str, text: str, name: str | None, tmp_path: Path) -> None:
    found = made_up(tmp_path, **{module: text})
    dotted = module.replace("__", ".")
    if name is None:
        assert found == ["render.table imports rich, and the commands that must start fast import render.table"]
    else:
        assert found == [f"{dotted} uses {name}, whose home is: {' '.join(HOMES[name].split()) or 'nowhere'}"]


def test_a_library_without_a_home_is_found(tmp_path: Path) -> None:
    found = made_up(tmp_path, cli__run="import requests")
    assert found == ["cli.run imports requests, a library that has no home: enter it in HOMES"]


@pytest.mark.parametrize("name", sorted(TOUCHES_THE_WORLD))
def test_a_pure_module_imports_nothing_that_touches_the_world(name: str, tmp_path: Path) -> None:
    found = made_up(tmp_path, claude__watch=f"import {name}", core__errors=f"from {name} import x", core__files="")
    assert found == [f"{module} imports {name}: it must be pure" for module in ("claude.watch", "core.errors")]


def test_a_program_of_its_own_imports_the_standard_library_alone(tmp_path: Path) -> None:
    text = "import time, orjson\nfrom hyperhive_cli.core.errors import HyperhiveError"
    assert made_up(tmp_path, demo__replay=text, core__errors="") == [
        "demo.replay is a program of its own: it imports the standard library alone",
        "demo.replay uses orjson, whose home is: core.events claude.stream",
    ]


def test_a_module_outside_the_rooms_is_told_what_to_do(tmp_path: Path) -> None:
    first, second = made_up(tmp_path, novel="", attic__novel="")
    assert first.startswith("attic.novel is in no room: move it into one of core, claude")
    assert second.startswith("novel is in no room")


def test_a_file_or_a_function_that_is_too_long_is_found(tmp_path: Path) -> None:
    assert made_up(tmp_path, core__errors="#\n" * 501, core__usage="def f() -> None:\n" + "    x = 1\n" * 80) == [
        "core.errors has 501 lines, at most 500 are allowed",
        "core.usage.f has 81 lines, at most 80 are allowed",
    ]


def test_a_file_and_a_function_may_be_as_long_as_allowed(tmp_path: Path) -> None:
    assert (
        made_up(tmp_path, core__errors="#\n" * 500, core__usage="async def f() -> None:\n" + "    x = 1\n" * 79) == []
    )


@pytest.mark.parametrize("body", ["    x = 1\n" * 200, "".join(f"    def f{n}(self): ...\n" for n in range(21))])
def test_a_large_class_needs_a_reason(body: str, tmp_path: Path) -> None:
    (found,) = made_up(tmp_path, core__usage=f"class Wide:\n{body}")
    assert found.startswith("core.usage.Wide is a large class")


@pytest.mark.parametrize("body", ["    x = 1\n" * 199, "".join(f"    def f{n}(self): ...\n" for n in range(20))])
def test_a_class_may_be_as_large_as_allowed(body: str, tmp_path: Path) -> None:
    assert made_up(tmp_path, core__usage=f"class Wide:\n{body}") == []
