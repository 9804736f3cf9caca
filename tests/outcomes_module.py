"""Writes the page's table of outcomes from the one of the package: `python -m tests.outcomes_module`."""

import json

from hyperhive_cli.outcomes import meanings_to_dict
from tests.harness import SOURCE

MODULE = SOURCE / "hyperhive_cli" / "web" / "static" / "js" / "outcomes.js"
HEAD = """/**
 * The outcomes of a turn: tone, sign, and whether a person is needed, by the outcome's word. Written from
 * hyperhive_cli/outcomes.py by `python -m tests.outcomes_module`; change the table there.
 */

/** @typedef {{tone: "ok" | "warning" | "failure" | "neutral", sign: string, needs_person: boolean}} Outcome */

/** @type {Map<string, Outcome>} */
"""


def module() -> str:
    """Return the text of the module."""
    rows = [f"  {json.dumps([word, facts], ensure_ascii=False)},\n" for word, facts in meanings_to_dict().items()]
    return f"{HEAD}export const OUTCOMES = new Map([\n{''.join(rows)}]);\n"


if __name__ == "__main__":
    MODULE.write_text(module(), encoding="utf-8")
