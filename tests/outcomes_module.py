"""Writes the page's table of outcomes from the one of the package: `python -m tests.outcomes_module`."""

import json
from typing import Any

from hyperhive_cli.core.outcomes import meanings_to_dict
from hyperhive_cli.core.status import statuses_to_dict
from tests.harness import SOURCE

MODULE = SOURCE / "hyperhive_cli" / "web" / "static" / "js" / "outcomes.js"
HEAD = """/**
 * The outcomes of a turn: tone, sign, and whether a person is needed, by the outcome's word. Written from
 * hyperhive_cli/core/outcomes.py by `python -m tests.outcomes_module`; change the table there.
 */

/** @typedef {{tone: "ok" | "warning" | "failure" | "neutral", sign: string, needs_person: boolean}} Outcome */

/** @type {Map<string, Outcome>} */
"""
STATUS_HEAD = """
/** The statuses of an agent, from hyperhive_cli/core/status.py. */

/** @typedef {{words: string, tone: "ok" | "warning" | "failure" | "neutral", advice: string,
 *   told_otherwise: boolean}} Status */

/** @type {Map<string, Status>} */
"""


def module() -> str:
    """Return the text of the module."""
    outcomes, statuses = (_rows(table) for table in (meanings_to_dict(), statuses_to_dict()))
    tables = (f"{HEAD}export const OUTCOMES", outcomes), (f"{STATUS_HEAD}export const STATUSES", statuses)
    return "".join(f"{head} = new Map([\n{rows}]);\n" for head, rows in tables)


def _rows(table: dict[str, Any]) -> str:
    return "".join(f"  {json.dumps([word, facts], ensure_ascii=False)},\n" for word, facts in table.items())


if __name__ == "__main__":
    MODULE.write_text(module(), encoding="utf-8")
