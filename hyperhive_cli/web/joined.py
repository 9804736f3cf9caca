"""Joins the page's own modules to one script, and its style sheets to one: a slow link pays for each file. Pure.

The text stays as it was written, module after module in the order of their imports, each in a function of its own: what
a module does not export stays its own. Only the comments that document it are left out, a quarter of what is sent. Of
the language of modules only what the page uses is understood; anything else is an error that names the module.
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

_IMPORT = re.compile(r'^import (?:(?P<names>[^;"\']+?) from )?"(?P<path>[^"]+)";[ \t]*\n?', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?P<how>async function|function\*?|class|const|let|var|default|[{*]))", re.MULTILINE)
_NAMED = re.compile(r"(?:async function|function\*?|class|const) +(?P<name>[A-Za-z_$][\w$]*)")
_NAMES = re.compile(r"\{(?P<names>[\w$,\s]*)\}")
_DOCUMENTATION = re.compile(r"^[ \t]*/\*\*(?:(?!\*/).)*\*/[ \t]*\n", re.MULTILINE | re.DOTALL)
_STYLES = re.compile(r'(?:[ \t]*<link rel="stylesheet" href="/static/(?P<path>[^"]+)">\n)')


class JoinError(Exception):
    """A module, or the page, uses what is not understood here."""


def join_script(start: str, read: Callable[[str], str]) -> str:
    """Join a module and those of its folder that it imports, directly or not.

    `read` returns the text of a file by its path. Libraries, of other folders, are imported with `import()`, so that
    they hold up nothing. Raises JoinError.
    """
    texts = dict[str, str]()  # in the order of the imports: each after those that it imports

    def visit(path: str, parents: tuple[str, ...]) -> None:
        if path in parents:
            raise JoinError(f"{' imports '.join([*parents[parents.index(path) :], path])}: a circle of imports")
        if path in texts:
            return
        text = _DOCUMENTATION.sub("", read(path))
        joined = _module(path, text)
        for found in _IMPORT.finditer(text):
            visit(_target(path, found["path"]), (*parents, path))
        texts[path] = joined

    visit(start, ())
    return "\n".join(f"// --- {posixpath.basename(path)} ---\n{text}" for path, text in texts.items())


def _target(path: str, imported: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), imported))


def _module(path: str, text: str) -> str:
    """Return a module as a call of a function that returns what it exports."""

    def replaced(found: re.Match[str]) -> str:
        target = _target(path, found["path"])
        names = found["names"] and _NAMES.fullmatch(found["names"])
        if not names or posixpath.dirname(target) != posixpath.dirname(path):
            raise JoinError(
                f"{path}: only `import {{ a, b }} from`, of the same folder, is understood: {found[0].strip()}"
            )
        return f"const {found['names'].replace(' as ', ': ')} = {_variable(target)};\n"

    exported = list(_exported(path, text))
    own = _EXPORT.sub("", _IMPORT.sub(replaced, text)).rstrip("\n")
    return f"const {_variable(path)} = (() => {{\n{own}\nreturn {{ {', '.join(exported)} }};\n}})();\n"


def _exported(path: str, text: str) -> Iterator[str]:
    for found in _EXPORT.finditer(text):
        named = _NAMED.match(text, found.end())
        if named is None:
            line = text[found.start() :].partition("\n")[0]
            raise JoinError(f"{path}: only functions, classes and constants can be exported, each where it is: {line}")
        yield named["name"]


def _variable(path: str) -> str:
    return "$" + re.sub(r"\W", "_", posixpath.basename(path).removesuffix(".js"))


def join_styles(page: str, path: str, texts: Mapping[str, str]) -> tuple[str, str]:
    """Return the page with one link, to `path`, in place of those to its style sheets, and the text of these."""
    found = list(_STYLES.finditer(page))
    if not found or any(one.end() != other.start() for one, other in pairwise(found)):
        raise JoinError("the page's links to its style sheets must follow one another")
    link = f'    <link rel="stylesheet" href="/static/{path}">\n'
    joined = "\n".join(f"/* --- {posixpath.basename(one['path'])} --- */\n{texts[one['path']]}" for one in found)
    return page[: found[0].start()] + link + page[found[-1].end() :], joined
