"""Opening files in whose place something else may be, and that the package knows no second way of it."""

import ast
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import hyperhive_cli
from hyperhive_cli.core.files import NotAFileError, check_regular, open_file, read_file
from tests.harness import LIMIT_S
from tests.impostors import IMPOSTORS, make_link

ROOT = Path(hyperhive_cli.__file__).parent


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """End a test that hangs in the kernel: the handler raises, and the call that was interrupted is not made again."""

    def give_up(*_: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(int(LIMIT_S))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT])
@pytest.mark.parametrize("kind", IMPOSTORS)
def test_what_is_not_a_file_is_refused_by_its_kind_and_never_waited_for(kind: str, flags: int, tmp_path: Path) -> None:
    path = tmp_path / "x"
    IMPOSTORS[kind](path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for refuse in (lambda: open_file(path, flags), lambda: check_regular(path)):
        with pytest.raises(NotAFileError) as caught:
            refuse()
        assert (str(caught.value), caught.value.strerror) == (f"it is {kind}, not a file",) * 2
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_link_is_followed_for_a_file_that_the_user_keeps_and_to_a_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    make_link(path)
    assert read_file(path, 100, links=True) == b"elsewhere"
    check_regular(path, links=True)
    (tmp_path / "target").unlink()
    os.mkfifo(tmp_path / "target")
    with pytest.raises(NotAFileError, match="named pipe"):
        read_file(path, 100, links=True)


def test_a_missing_file_is_missing_and_a_new_one_is_private(tmp_path: Path) -> None:
    path = tmp_path / "x"
    check_regular(path)
    with pytest.raises(FileNotFoundError):
        open_file(path)
    before = os.umask(0)
    try:
        os.close(open_file(path, os.O_RDWR | os.O_CREAT))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_reading_is_bounded_also_where_a_file_looks_endless(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x" * 10)
    assert read_file(path, 10) == b"x" * 10
    os.truncate(path, 2**40)
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_file(path, 10)


# --- the package ---

OPENING = ("open", "read_text", "read_bytes", "write_text", "write_bytes", "touch")

# Who may open files otherwise, and which; none of these is in a state folder or a workspace, or can be replaced there.
OTHERWISE = {
    "core.files": "the one way itself",
    "claude.guard": "/proc, /dev/null",
    "claude.leftovers": "/proc",
    "claude.process": "/proc",
    "claude.program": "the program that is to be run",
    "cli.export": "the file that a person names for the output, which may well be a pipe",
    "cli.help": "the pages of the package",
    "cli.help_pages": "a file of the package",
    "cli.streams": "/dev/null, and descriptors that are open",
    "control.address": "the folder of a socket, of which nothing is read",
    "cli.own_turn": "/proc",
    "control.peer": "/proc",
    "web.assets": "the files of the page",
    "web.push": "an address of the network",
    "demo.replay": "the package's recordings",
    "store.backup": "an archive in a new folder, and a tar in a file that is open",
    "render.console.terminal": "the terminal, by its name",
    "store.db": "SQLite, behind a look at each of its files; a folder, to sync it",
    "store.holder": "/proc",
    "store.file_place": "/proc",
}


def openings(root: Path) -> dict[str, set[str]]:
    """Return for each module the calls by which it opens files, or hands SQLite a path."""
    found = {}
    for path in root.rglob("*.py"):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        calls = {call for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if (call := opening(node))}
        if calls:
            found[name] = calls
    return found


def opening(node: ast.AST) -> str | None:
    match node:
        case ast.Call(func=ast.Name(id="open" as name)):
            return name
        case ast.Call(func=ast.Attribute(attr=name)) if name in OPENING or ast.unparse(node.func) == "sqlite3.connect":
            return ast.unparse(node.func)
        case ast.ImportFrom(module="os" | "io" | "sqlite3", names=names) if {"open", "connect"} & {
            n.name for n in names
        }:
            return ast.unparse(node)
    return None


def test_there_is_no_second_way_to_open_a_file_of_the_state_folder() -> None:
    found = openings(ROOT)
    assert {name: calls for name, calls in found.items() if name not in OTHERWISE} == {}
    assert OTHERWISE.keys() - found.keys() == set(), "an unused entry would hide a new opening"
    assert [name for name, calls in found.items() if "sqlite3.connect" in calls] == ["store.db"]


@pytest.mark.parametrize(
    "text",
    [
        "open('x')",
        "import os\nos.open('x', 0)",
        "from os import open\nopen('x', 0)",
        "Path('x').read_text()",
        "def f(path):\n    return path.open()",
        "import sqlite3\nsqlite3.connect('x')",
    ],
)
def test_an_opening_is_found_however_it_is_written(text: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(text)
    assert openings(tmp_path).keys() == {"module"}
