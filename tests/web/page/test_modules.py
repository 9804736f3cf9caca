"""The page's own modules without a browser: node runs their tests."""

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

import hyperhive_cli
from hyperhive_cli.core import text
from hyperhive_cli.core.budget import raised_limit
from tests.conftest import LIMIT_S
from tests.web.page.node import NODE, ask_node, needs_node

HERE = Path(__file__).resolve().parent
STATIC = Path(hyperhive_cli.__file__).parent / "web" / "static"
MOST_LINES = 300
TEXTS_OF_OURS = {".css", ".html", ".js", ".svg", ".webmanifest"}

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 7, 59, 60, 3599, 3600, 86_399, 86_400, 999, 1000, 1023, 1024, 99_949, 99_950, 999_499,
    999_500, 1_000_000, 123_456_789, 10**14, 10**16, 0.00001, 0.00005, 0.0007, 0.0999, 0.1, 1.24, 9.94, 9.95, 1234.6,
    "", "text", "two\nlines", [], [1], {}, {"a": 1, "b": 2},
]  # fmt: skip
LIMITS = [0.0001, 0.01, 0.07, 0.5, 1, 2.5, 6.6, 9.99, 10, 19, 66.7, 100, 150, 1234.56]
TEXTS = [
    "", " ", "\n\n", "one", "one\ntwo\nthree\nfour", "one\ntwo\nthree\nfour\nfive\n\n", "\n\n\n a \t b \n",
    "x" * 21, "x" * 20, "\ud800 lone",
    "tab\there\r\nand", "\x1b[31mred\x07 \x00\x7f\x9b", "\u202eevil\u2066 \u2028 \u200f", "naïve 日本語 🐝",
]  # fmt: skip


@needs_node
@pytest.mark.parametrize("name", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_the_modules_pass_their_own_tests(name: str) -> None:
    done = subprocess.run(
        [str(NODE), "--test", str(HERE / name)], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert re.search(r"pass [1-9]", done.stdout)


@needs_node
def test_figures_and_texts_are_shown_as_in_the_terminal() -> None:
    found = ask_node("same_words.mjs", {"values": VALUES, "texts": TEXTS, "limits": LIMITS})
    ours: dict[str, Any] = {
        "number": text.number, "count": text.count, "tokens": text.tokens, "duration": text.duration,
        "clock": text.clock, "textOf": text.text_of,
    }  # fmt: skip
    for name, shown in found["figures"].items():
        wanted = {repr(one): ours[name](one) for one in VALUES}
        if name == "textOf":  # each language writes small numbers in its own way
            wanted |= {"1e-05": "0.00001", "5e-05": "0.00005"}
        assert dict(zip(map(repr, VALUES), shown, strict=True)) == wanted, name
    assert found["clean"] == [text.clean(one) for one in TEXTS]
    assert found["raised"] == [raised_limit(limit) for limit in LIMITS]
    assert found["oneLine"] == [text.one_line(one, 20) for one in TEXTS]


both_vendor_folders = pytest.mark.parametrize("folder", [STATIC / "vendor", HERE / "vendor"], ids=["page", "tests"])


def vendored_packages(folder: Path) -> list[dict[str, Any]]:
    packages: list[dict[str, Any]] = json.loads((folder / "vendored.json").read_text(encoding="utf-8"))
    return packages


@both_vendor_folders
def test_vendored_files_are_listed_and_unchanged(folder: Path) -> None:
    packages = vendored_packages(folder)
    files = {name: facts["sha256"] for package in packages for name, facts in package["files"].items()}
    there = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    del there["vendored.json"]
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in there.items()} == files
    for package in packages:
        assert package["version"]
        assert package["licence"]
        assert any(name.startswith("LICENSE") for name in package["files"]), package["package"]


@both_vendor_folders
def test_each_vendored_script_names_the_version_that_is_listed(folder: Path) -> None:
    for package in vendored_packages(folder):
        scripts = [name for name in package["files"] if name.endswith(".js")]
        assert scripts, package["package"]
        for name in scripts:
            banner = (folder / name).read_text(encoding="utf-8")[:500]
            versions = set(re.findall(r"(?<![\d.])\d+\.\d+\.\d+(?![\d.])", banner))
            assert versions == {package["version"]}, name


def own_files() -> list[Path]:
    return [path for path in STATIC.rglob("*") if path.suffix in TEXTS_OF_OURS and "vendor" not in path.parts]


def test_our_own_files_are_small_and_load_nothing_from_elsewhere() -> None:
    for path in own_files():
        source = path.read_text(encoding="utf-8")
        limit = 500 if path.suffix == ".css" else MOST_LINES
        assert len(source.splitlines()) <= limit, path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", source), (
            path
        )
        loaded = re.findall(r"""(?:src|href)="([^"#]+)"|from "([^"]+)"|import\("([^"]+)"\)|url\(([^)]+)\)""", source)
        for place in (one for group in loaded for one in group if one and not one.startswith("${")):
            assert place.startswith(("/static/", "./", "../vendor/")) or place in {"/", "/manifest.webmanifest"}, place
            if place.startswith("/static/"):
                assert (STATIC / place.removeprefix("/static/")).is_file(), place


def test_the_page_has_no_script_and_no_style_of_its_own() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert "style=" not in page
    assert not re.search(r"\son[a-z]+=", page)
    assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL) == ["", ""]
    assert "<style" not in page
