"""The house: who may import whom, the one home of each dangerous thing, and how large a file may grow.

The imports are read from the source, those inside functions too. A module imports only from lower floors, or
from its own folder on the same floor or below; no imports run in a circle.
"""

import ast
import sys
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import hyperhive_cli

PACKAGE = "hyperhive_cli"
ROOT = Path(hyperhive_cli.__file__).parent

FLOORS = {
    0: "__init__ account budget errors moments outcomes retention usage events settings status terminal",
    1: """
        configuration sieve
        agent.__init__ agent.draining agent.mark agent.pause agent.retry agent.scheduler agent.state
        claude.__init__ claude.allowance claude.argv claude.arrivals claude.compatibility claude.denials claude.evidence
        claude.limits claude.mcp claude.missing_servers claude.models claude.options claude.outcome claude.own_settings
        claude.planned claude.prompt claude.redact claude.retries claude.said claude.served claude.settings_flag
        claude.stream claude.stretch claude.watch
        control.__init__ control.place control.wire
        demo.__init__ demo.replay
        hive.__init__ hive.address hive.hosting hive.report hive.schema hive.tenure
        render.__init__ render.endings render.figures render.limits render.panel render.standing render.table
        render.text
        store.__init__ store.checks store.keys store.queue store.mounts store.schema store.surroundings
        web.__init__ web.api web.bind web.gate web.openapi web.sse
    """,
    1.5: "files",  # opened with by the folders of the next floor
    2: """
        diagnosis output ring signals zone
        agent.config agent.settings_copy
        claude.files claude.guard claude.kept_jobs claude.leftovers claude.process claude.program
        control.address control.client control.peer
        hive.room
        store.backup store.binding store.db store.ended store.events store.facts store.folder store.forgetting
        store.holder store.inbox store.log store.model store.place store.planned store.removal store.report store.rescue
        store.spent store.stats store.turns store.uid
    """,
    3: """
        bus
        claude.runner claude.talk
        control.feed control.server
        hive.checkup hive.feed hive.fleet hive.foyer hive.line hive.mail hive.tenancy
        render.activity render.answer render.blocks render.console render.document render.draft render.facts
        render.feed render.memory render.output render.plot render.prose render.stream render.system render.tool
        web.channel web.connections web.harness web.history web.local web.logins web.reader web.stream
    """,
    4: """
        agent.care agent.checkup agent.compactor agent.control agent.credentials agent.direct_login agent.hook
        agent.kept_limit agent.ledger agent.login agent.login_session agent.loop agent.panel agent.prewarm agent.purse
        agent.refresh agent.screen agent.session agent.slots agent.turn
        agent.turn_feed agent.wakeups
        hive.kin hive.member hive.relay hive.shipper
        web.hive
    """,
    5: "agent.harness agent.host web.app web.server",
    6: """
        cli.__init__ cli.agents cli.amount cli.backup cli.budget cli.completers cli.completion cli.config
        cli.configured cli.demo cli.doctor cli.export cli.fleet_tail cli.hive cli.host cli.inbox cli.invocation
        cli.limits cli.login cli.main cli.model cli.own_turn cli.progress cli.rights cli.run cli.send cli.session
        cli.show cli.sinks cli.stats cli.status cli.streams cli.tail cli.watching cli.web
    """,
    7: "__main__",
}
FLOOR_OF = {module: floor for floor, modules in FLOORS.items() for module in modules.split()}

# What may be imported, or called by this name, only there: a module, or a folder with a dot at its end.
HOMES = {
    "click": "cli.",
    "markdown_it": "render.",
    "matplotlib": "render.plot",
    "orjson": "events claude.stream",
    "psycopg": "hive.",
    "rich": "render.",
    "anyio": "web.",
    "starlette": "web.",
    "uvicorn": "web.connections web.server",
    "asyncio": "web.connections",
    "trio": """
        bus claude.process claude.runner claude.talk control.server agent.care agent.checkup agent.compactor
        agent.credentials agent.direct_login agent.harness agent.hook agent.host agent.ledger agent.login
        agent.login_session agent.loop agent.panel agent.prewarm agent.refresh agent.screen agent.slots agent.turn
        cli.demo cli.doctor cli.host cli.login cli.run hive.line hive.member hive.relay hive.shipper
    """,
    "sqlite3": "store.",
    "signal": "claude.guard claude.process agent.harness agent.host demo.replay cli.sinks signals",
    "subprocess": "claude.guard",
    "sys.stdout.buffer": "cli.backup cli.streams demo.replay",  # else a terminal is sent what it must not obey
    "socket": "claude.process control.client control.peer control.server hive.room web.harness web.server",
    "fcntl": "store.folder store.holder agent.refresh claude.guard",
    "threading": "output store.log cli.streams",
    "_typeshed": "output cli.streams",  # for the checker alone
    "importlib": "cli.main cli.web",
    **dict.fromkeys(("multiprocessing", "concurrent", "runpy", "pty", "trio.run_process"), ""),
    **dict.fromkeys(("_ctypes", "_signal", "os.kill", "os.fork", "os.execvp"), "claude.guard"),
    **dict.fromkeys(("os.killpg", "os.system", "os.popen", "os.posix_spawn", "os.execv", "os.execve"), ""),
    "trio.lowlevel.open_process": "claude.process",
    "trio.run": "cli.run cli.demo cli.doctor cli.host cli.login",
}
PURE_UP_TO = 1
NOT_PURE = {"os", "io", "time", "random", "tempfile", "shutil", "select", "selectors", "http", "urllib", "logging"}
PROGRAMS = {"claude.guard", "demo.replay"}  # run as themselves: the standard library alone, and what they like of it
WITHOUT_RICH = {
    "render.document",
    "render.endings",
    "render.figures",
    "render.limits",
    "render.standing",
    "render.panel",
    "render.table",
    "render.text",
}  # for the commands that must start fast

MOST_LINES_OF_A_FILE = 500
MOST_LINES_OF_A_FUNCTION = 80


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
    """Give the module that an import of the package means, which may have named something in it."""
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


def wrong_edges(source: Source) -> Iterator[str]:
    floor = FLOOR_OF.get(source.name)
    if floor is None:
        yield f"{source.name} has no floor: enter it in FLOORS, above all that it imports"
        return
    for imported in sorted(source.own - {source.name}):
        theirs = FLOOR_OF.get(imported)
        if theirs is None:
            yield f"{source.name} imports {imported}, which is not in FLOORS"
        elif theirs > floor:
            yield f"{source.name} (floor {floor}) imports {imported} (floor {theirs}): an upward edge"
        elif theirs == floor and imported.rpartition(".")[0] != source.folder:
            yield f"{source.name} imports {imported} on the same floor {floor}, in another folder"


def strangers(source: Source) -> Iterator[str]:
    """Find libraries that are used outside their home."""
    for name, homes in HOMES.items():
        if any(f"{used}.".startswith(f"{name}.") for used in source.uses) and not lives_in(source.name, homes):
            yield f"{source.name} uses {name}, whose home is: {' '.join(homes.split()) or 'nowhere'}"
    for name in source.libraries - sys.stdlib_module_names - HOMES.keys():
        yield f"{source.name} imports {name}, a library that has no home: enter it in HOMES"
    if source.name in PROGRAMS and (source.own or source.libraries - sys.stdlib_module_names):
        yield f"{source.name} is a program of its own: it imports the standard library alone"
    if FLOOR_OF.get(source.name, 9) <= PURE_UP_TO and source.name not in PROGRAMS:
        yield from (f"{source.name} imports {name}: floors 0 and 1 are pure" for name in source.libraries & NOT_PURE)
    if source.name in WITHOUT_RICH and "rich" in source.libraries:
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


def test_the_house_is_in_order() -> None:
    assert breaches(ROOT) == []


def test_the_tables_name_no_module_that_is_gone() -> None:
    there = read_package(ROOT).keys()
    homes = {home for entry in HOMES.values() for home in entry.split()}
    assert FLOOR_OF.keys() - there == set()
    assert {home for home in homes if not any(name.startswith(home) for name in there)} == set()


def test_each_module_has_one_floor() -> None:
    modules = [module for modules in FLOORS.values() for module in modules.split()]
    assert len(modules) == len(FLOOR_OF)


def test_each_home_is_lived_in() -> None:
    """An entry that nobody needs would let a dangerous thing in unseen."""
    sources = read_package(ROOT).values()
    for name, homes in HOMES.items():
        users = [source.name for source in sources if any(f"{used}.".startswith(f"{name}.") for used in source.uses)]
        idle = [home for home in homes.split() if not any(lives_in(user, home) for user in users)]
        assert idle == [], name


def made_up(folder: Path, **modules: str) -> list[str]:
    """Write a small tree, `claude__stream` being claude/stream.py, and give what breaks the rules in it."""
    for name, text in modules.items():
        path = folder.joinpath(*name.split("__", 1) if not name.startswith("__") else [name]).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return breaches(folder)


@pytest.mark.parametrize(
    "text",
    [
        "import hyperhive_cli.bus",
        "import hyperhive_cli.bus as other",
        "from hyperhive_cli import bus",
        "from hyperhive_cli.bus import Bus",
        "from ..bus import Bus",
        "from .. import bus",
        "def f() -> None:\n    from hyperhive_cli.bus import Bus",
        "if TYPE_CHECKING:\n    from hyperhive_cli.bus import Bus",
        "try:\n    pass\nexcept ImportError:\n    import hyperhive_cli.bus",
    ],
)
def test_an_upward_edge_is_found_however_it_is_written(text: str, tmp_path: Path) -> None:
    assert made_up(tmp_path, bus="", claude__stream=text) == [
        "claude.stream (floor 1) imports bus (floor 3): an upward edge"
    ]


def test_an_upward_edge_is_found_within_a_folder_too(tmp_path: Path) -> None:
    found = made_up(tmp_path, agent__state="from hyperhive_cli.agent.loop import AgentLoop", agent__loop="")
    assert found == ["agent.state (floor 1) imports agent.loop (floor 4): an upward edge"]


def test_a_folder_is_imported_with_its_init(tmp_path: Path) -> None:
    found = made_up(tmp_path, errors="from hyperhive_cli.store import NAMES", store____init__="NAMES = ()")
    assert found == ["errors (floor 0) imports store.__init__ (floor 1): an upward edge"]


def test_an_edge_within_a_floor_is_for_neighbours(tmp_path: Path) -> None:
    text = "from hyperhive_cli.claude import argv\nfrom hyperhive_cli.agent import state"
    found = made_up(tmp_path, claude__stream=text, claude__argv="", agent__state="")
    assert found == ["claude.stream imports agent.state on the same floor 1, in another folder"]


def test_a_downward_edge_is_in_order(tmp_path: Path) -> None:
    assert made_up(tmp_path, bus="from hyperhive_cli.claude.stream import tool_names", claude__stream="") == []


@pytest.mark.parametrize(
    "modules",
    [
        {"errors": "import hyperhive_cli.usage", "usage": "from hyperhive_cli.errors import UsageError"},
        {
            "errors": "import hyperhive_cli.usage",
            "usage": "import hyperhive_cli.events",
            "events": "def f():\n    import hyperhive_cli.errors",
            "settings": "import hyperhive_cli.errors",
            "outcomes": "",
        },
    ],
)
def test_a_circle_is_found_and_only_its_modules_are_named(modules: dict[str, str], tmp_path: Path) -> None:
    inside = sorted(modules.keys() - {"settings", "outcomes"})
    assert made_up(tmp_path, **modules) == [f"a circle of imports: {', '.join(inside)}"]


@pytest.mark.parametrize(
    ("module", "text", "name"),
    [
        ("bus", "import sqlite3", "sqlite3"),
        ("cli__status", "from rich.text import Text", "rich"),
        ("agent__loop", "import click", "click"),
        ("claude__stream", "import trio", "trio"),
        ("store__db", "def f():\n    import trio.lowlevel", "trio"),
        ("cli__run", "from signal import SIGINT", "signal"),
        ("cli__run", "import subprocess as sp", "subprocess"),
        ("agent__retry", "import trio", "trio"),
        ("agent__harness", "import os\nos.kill(1, 9)", "os.kill"),
        ("agent__harness", "from os import killpg", "os.killpg"),
        ("agent__harness", "import trio\ntrio.run_process([])", "trio.run_process"),
        ("claude__runner", "import trio\ntrio.lowlevel.open_process([])", "trio.lowlevel.open_process"),
        ("claude__process", "import threading", "threading"),
        ("bus", "__import__('sqlite3')", "importlib"),
        ("render__text", "import rich", None),
    ],
)
def test_a_library_outside_its_home_is_found(module: str, text: str, name: str | None, tmp_path: Path) -> None:
    found = made_up(tmp_path, **{module: text})
    dotted = module.replace("__", ".")
    if name is None:
        assert found == ["render.text imports rich, and the commands that must start fast import render.text"]
    else:
        assert found == [f"{dotted} uses {name}, whose home is: {' '.join(HOMES[name].split()) or 'nowhere'}"]


def test_a_library_without_a_home_is_found(tmp_path: Path) -> None:
    found = made_up(tmp_path, cli__run="import requests")
    assert found == ["cli.run imports requests, a library that has no home: enter it in HOMES"]


@pytest.mark.parametrize("name", sorted(NOT_PURE))
def test_a_pure_floor_imports_nothing_that_touches_the_world(name: str, tmp_path: Path) -> None:
    found = made_up(tmp_path, claude__watch=f"import {name}", errors=f"from {name} import x")
    assert found == [f"{module} imports {name}: floors 0 and 1 are pure" for module in ("claude.watch", "errors")]


def test_a_program_of_its_own_imports_the_standard_library_alone(tmp_path: Path) -> None:
    text = "import time, orjson\nfrom hyperhive_cli.errors import HyperhiveError"
    assert made_up(tmp_path, demo__replay=text, errors="") == [
        "demo.replay is a program of its own: it imports the standard library alone",
        "demo.replay uses orjson, whose home is: events claude.stream",
    ]


def test_a_module_without_a_floor_is_told_what_to_do(tmp_path: Path) -> None:
    (sentence,) = made_up(tmp_path, agent__novel="")
    assert sentence.startswith("agent.novel has no floor: enter it in FLOORS")


def test_a_file_or_a_function_that_is_too_long_is_found(tmp_path: Path) -> None:
    assert made_up(tmp_path, errors="#\n" * 501, usage="def f() -> None:\n" + "    x = 1\n" * 80) == [
        "errors has 501 lines, at most 500 are allowed",
        "usage.f has 81 lines, at most 80 are allowed",
    ]


def test_a_file_and_a_function_may_be_as_long_as_allowed(tmp_path: Path) -> None:
    assert made_up(tmp_path, errors="#\n" * 500, usage="async def f() -> None:\n" + "    x = 1\n" * 79) == []
