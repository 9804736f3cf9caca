"""What an outcome means is said in outcomes.py alone: the source is walked for a second table of outcomes.

A second table is two or more outcomes in one collection, in the comparisons of one function, or in one file of the
page. A test for one outcome is in order, if it names the member of `OutcomeKind` and does not spell its word.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import hyperhive_cli
from hyperhive_cli.core.outcomes import OutcomeKind
from tests.harness import SOURCE

ROOT = Path(hyperhive_cli.__file__).parent
TABLES = {
    "core/outcomes.py",
    "claude/outcome.py",  # signs of claude's → outcomes
    "core/status.py",  # words of its own, some of which are outcomes as well
    "web/static/js/now.js",  # what the panel says of each status: some words are outcomes as well
    "claude/sentences.py",  # the words of claude's own lines, a hook's outcome among them
}
WORDS = {kind.value for kind in OutcomeKind}
# Words that are a status, a state of a message, a field or an error's code as well.
SHARED = {"ok", "failed", "rate_limited", "cancelled", "budget", "refused"}
COMPARISONS = ast.Eq | ast.NotEq | ast.Is | ast.IsNot | ast.In | ast.NotIn


def words_in(*nodes: ast.AST) -> set[str]:
    """Return the outcomes that a piece of code names: spelled ones, and members of OutcomeKind in capitals."""
    found: set[str] = set()
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        match node:
            case ast.Constant(value=str() as text) if WORDS.issuperset(text.split()):
                found |= set(text.split())
            case ast.Attribute(value=ast.Name(id="OutcomeKind"), attr=name):
                found.add(name)
    return found


def is_table(words: set[str]) -> bool:
    return len({word.lower() for word in words}) > 1 and not words <= SHARED


def python_tables(source: str) -> Iterator[str]:
    """Say what in a module is a second table."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        found = words_in(*parts_of_a_table(node))
        if is_table(found):
            yield f"line {getattr(node, 'lineno', 1)}: {' '.join(sorted(found))}"
        if isinstance(node, ast.Constant) and re.search(_SQL, str(node.value)):
            yield f"line {node.lineno}: SQL spells an outcome"
    for subject, pattern in subjects(tree):
        if "outcome" in ast.unparse(subject) and (spelled := words_in(pattern) & WORDS):
            yield f"line {subject.lineno}: an outcome is compared with the word {' '.join(spelled)}"


_SQL = r"(?i)\boutcome\s*(=|<>|!=|(NOT )?IN)\s*\(?\s*'"


def parts_of_a_table(node: ast.AST) -> Iterator[ast.AST]:
    """Return what would be the rows of a table: a collection's items, a class's values, what a scope compares."""
    match node:
        case ast.Set() | ast.List() | ast.Tuple() | ast.Dict() | ast.Constant():
            yield node
        case ast.ClassDef(body=body):
            yield from (one for one in body if isinstance(one, ast.Assign))
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() | ast.Module():
            yield from compared(node)


def compared(scope: ast.AST) -> Iterator[ast.AST]:
    """Return what is compared in a scope, not in those within it: sides of comparisons, and patterns of `match`."""
    left = list(ast.iter_child_nodes(scope))
    while left:
        node = left.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Compare) and any(isinstance(one, COMPARISONS) for one in node.ops):
            yield from (node.left, *node.comparators)
        elif isinstance(node, ast.match_case):
            yield node.pattern
        left += ast.iter_child_nodes(node)


def subjects(tree: ast.AST) -> Iterator[tuple[ast.expr, ast.AST]]:
    """Return each comparison both ways, and each `match` with its patterns."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(isinstance(one, COMPARISONS) for one in node.ops):
            for other in node.comparators:
                yield node.left, other
                yield other, node.left
        elif isinstance(node, ast.Match):
            yield from ((node.subject, case.pattern) for case in node.cases)


def script_tables(source: str) -> Iterator[str]:
    """Say what in JavaScript, HTML or a shell script is a second table."""
    code = re.sub(r"/\*.*?\*/|(^|\s)(//|#).*?$", "", source, flags=re.DOTALL | re.MULTILINE)
    spelled = re.findall(r"""["'`](\w+)["'`]|[{,]\s*(\w+)\s*:|^\s*(\w+)\)""", code, re.MULTILINE)
    found = {word for group in spelled for word in group} & WORDS
    if is_table(found):
        yield " ".join(sorted(found))
    if match := re.search(r"outcome\W{0,3}\s*(===?|!==?|=|!=)\s*[\"'](\w+)[\"']", code):
        yield f"an outcome is compared with {match[2]!r}"


def second_tables(path: Path) -> list[str]:
    source = path.read_text(encoding="utf-8")
    return list((python_tables if path.suffix == ".py" else script_tables)(source))


def sources() -> list[Path]:
    ours = [path for path in ROOT.rglob("*") if path.suffix in {".py", ".js", ".html"} and "vendor" not in path.parts]
    examples = [path for path in (SOURCE / "examples").iterdir() if path.suffix in {".py", ".sh"}]
    return [path for path in ours if path.relative_to(ROOT).as_posix() not in TABLES] + examples


def test_there_is_no_second_table_of_outcomes() -> None:
    paths = sources()
    assert {path.suffix for path in paths} == {".py", ".js", ".html", ".sh"}
    assert {str(path.relative_to(SOURCE)): found for path in paths if (found := second_tables(path))} == {}


@pytest.mark.parametrize(
    "text",
    [
        'PATIENT = frozenset({"needs_login", "rate_limited", "overloaded", "billing", "cancelled"})',
        'SIGNS = {"ok": "✓", **dict.fromkeys(("billing", "overloaded"), "·")}',
        'STYLES = [("crashed", "bad"), ("stalled", "bad")]',
        'QUIET = "stalled crashed".split()',
        "KNOWN = {OutcomeKind.CANCELLED.value, OutcomeKind.INTERRUPTED.value}",
        "def f(kind):\n    return kind is OutcomeKind.CRASHED or kind is OutcomeKind.STALLED",
        "def f(word):\n    if word == 'crashed':\n        return 1\n    return 2 if word == 'ok' else 3",
        "def f(word):\n    match word:\n        case 'crashed' | 'stalled':\n            return 1",
        "f = lambda kind: kind in (OutcomeKind.OK, OutcomeKind.BUDGET)",
        "class Mine:\n    CRASHED = 'crashed'\n    STALLED = 'stalled'",
        'ok = sum(turn["outcome"] == "ok" for turn in turns)',
        "is_fine = 'ok' == outcome",
        "is_fine = outcome in ('ok',)",
        "match turn.outcome:\n    case 'ok':\n        pass",
        "QUERY = \"SELECT 1 FROM turn_stats WHERE outcome = 'ok'\"",
        "QUERY = \"SELECT 1 FROM turn_stats WHERE outcome NOT IN ('ok')\"",
    ],
)
def test_a_second_table_in_python_is_found(text: str) -> None:
    assert list(python_tables(text))


@pytest.mark.parametrize(
    "text",
    [
        'export const PATIENT = new Set(["needs_login", "rate_limited", "overloaded", "billing"]);',
        "const SIGNS = { ok: '✓', crashed: '✗' };",
        'if (outcome === "ok") return ["✓", "fine"];',
        'turns.filter((turn) => turn.outcome === "ok")',
        'case "$outcome" in\n  crashed) echo bad;;\n  stalled) echo bad;;\nesac',
        'if [ "$outcome" = "ok" ]; then echo fine; fi',
    ],
)
def test_a_second_table_in_a_script_is_found(text: str) -> None:
    assert list(script_tables(text))


@pytest.mark.parametrize(
    "text",
    [
        "def f(outcome):\n    return outcome.kind is OutcomeKind.BUDGET",
        "def f(message):\n    return message.state in {'done', 'dead', 'cancelled'}",
        'STATUSES = {"rate_limited": "warn", "failed": "bad"}',
        "outcome = Outcome(OutcomeKind.OK) if fine else Outcome(OutcomeKind.CRASHED)",
    ],
)
def test_a_test_for_one_outcome_is_in_order(text: str) -> None:
    assert list(python_tables(text)) == []


def test_a_comment_is_no_table() -> None:
    assert list(script_tables("// 'crashed' and 'stalled'\n/* 'crashed', 'stalled' */ const a = 1;")) == []
