"""The page's files: joined, compressed, kept by browsers as long as their content is the same."""

import gzip
import re
import subprocess
from pathlib import Path

import pytest

from hyperhive_cli.web.app import STATIC
from hyperhive_cli.web.assets import FOREVER, Assets
from hyperhive_cli.web.joined import JoinError, join_script, join_styles
from tests.web.page.node import NODE, needs_node
from tests.web.site import Site

MODULES = {
    "js/main.js": """/** The start. */

import { double, Counter } from "./numbers.js";
import { say as told } from "./words.js";

const secret = "main";
told(`${secret}: ${double(21)} ${new Counter().next()}`);
""",
    "js/numbers.js": """import {
  say,
} from "./words.js";
const secret = "numbers";
export function double(number) { return 2 * number; }
export class Counter { next() { say(secret); return 1; } }
""",
    "js/words.js": """const secret = console;
const glob = "/** not a comment */";
const cast =
  /** @type {any} */ (glob);
/** More
 * of it. */
if (!cast) throw new Error();
export const say = (text) => secret.log(text);
export async function later() { return (await import("../vendor/paint.js")).default; }
""",
    "vendor/paint.js": "export default 'paint';\n",
}


def test_modules_are_joined_in_the_order_of_their_imports_each_under_its_name() -> None:
    script = join_script("js/main.js", MODULES.__getitem__)
    assert re.findall(r"^// --- (\S+) ---$", script, re.MULTILINE) == ["words.js", "numbers.js", "main.js"]
    assert "/** The start. */" not in script


@needs_node
def test_a_joined_script_does_what_its_modules_do(tmp_path: Path) -> None:
    for path, text in MODULES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    apart = subprocess.run([str(NODE), str(tmp_path / "js/main.js")], capture_output=True, text=True, check=True)
    (tmp_path / "js/main.js").write_text(join_script("js/main.js", MODULES.__getitem__))
    joined = subprocess.run([str(NODE), str(tmp_path / "js/main.js")], capture_output=True, text=True, check=True)
    assert joined.stdout == apart.stdout == "numbers\nmain: 42 1\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("export default 1;", "export default 1;"),
        ("export { a };", "only functions, classes and constants"),
        ("export let a = 1;", "export let a = 1;"),
        ("export const { a } = b;", "export const { a }"),
        ('import * as b from "./b.js";', "is understood"),
        ('import b from "./b.js";', "is understood"),
        ('import { b } from "../vendor/b.js";', "is understood"),
        ('import { c } from "./a.js";', "a circle of imports"),
    ],
)
def test_what_is_not_understood_is_an_error_that_names_the_module(text: str, said: str) -> None:
    with pytest.raises(JoinError, match=re.escape(said)) as caught:
        join_script("js/a.js", {"js/a.js": f"{text}\n", "js/b.js": ""}.__getitem__)
    assert "js/a.js" in str(caught.value)


def test_style_sheets_are_joined_where_their_links_follow_one_another() -> None:
    links = [f'    <link rel="stylesheet" href="/static/css/{name}.css">\n' for name in "ab"]
    texts = {"css/a.css": "a {}\n", "css/b.css": "b {}\n"}
    page, styles = join_styles(f"<head>\n{''.join(links)}</head>", "css/all.css", texts)
    assert page == '<head>\n    <link rel="stylesheet" href="/static/css/all.css">\n</head>'
    assert styles == "/* --- a.css --- */\na {}\n\n/* --- b.css --- */\nb {}\n"
    with pytest.raises(JoinError):
        join_styles(f"<head>\n{links[0]}<meta>\n{links[1]}</head>", "css/all.css", texts)


@needs_node
def test_every_script_of_the_page_can_be_joined() -> None:
    assets = Assets(STATIC)
    for path in assets.files:
        if path.startswith("js/"):
            found = assets.file(path, joined=True)
            assert found is not None
            subprocess.run([str(NODE), "--check", "--input-type=module"], input=found.body, check=True)


def test_the_hash_is_that_of_every_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = Assets(tmp_path).hash
    assert Assets(tmp_path).hash == first
    (tmp_path / "b").write_text("")
    second = Assets(tmp_path).hash
    (tmp_path / "a").write_text("2")
    assert len({first, second, Assets(tmp_path).hash}) == 3


def test_a_browser_asks_for_the_page_each_time_and_keeps_its_files_forever(site: Site) -> None:
    page = site.ask("GET", "/", {"Accept-Encoding": "gzip"})
    text = gzip.decompress(page.body).decode()
    assert page.header("cache-control") == "no-cache"
    again = site.ask("GET", "/agents/bee", {"If-None-Match": page.header("etag")})
    assert (again.status, again.body, again.header("etag")) == (304, b"", page.header("etag"))
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', text)
    assert len(addresses) < 12  # few files
    assert addresses[0].endswith("/js/main.js")  # it is the largest and the first to ask for more
    assert sum("stylesheet" in line for line in text.splitlines()) == 1
    sizes = []
    for address in addresses:
        found = site.ask("GET", address, {"Accept-Encoding": "gzip", "Authorization": None})
        assert (found.status, found.header("cache-control")) == (200, FOREVER), address
        sizes.append(len(found.body))
    assert sum(sizes) < 180_000
    old = re.sub(r"/static/[0-9a-f]{16}/", f"/static/{'0' * 16}/", addresses[0])
    assert (site.ask("GET", old).status, site.ask("GET", old).header("cache-control")) == (200, "no-store")
    assert site.ask("GET", f"{addresses[0]}.map").status == 404
