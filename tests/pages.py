"""The README and the pages of the manual, as the tests that run them read them."""

import re
from pathlib import Path

from tests.harness import SOURCE

README = SOURCE / "README.md"
DOCS = SOURCE / "hyperhive_cli" / "docs"


def page(topic: str) -> str:
    """Return a page's Markdown."""
    return (DOCS / f"{topic}.md").read_text(encoding="utf-8")


def blocks(markdown: str, language: str = "sh") -> list[str]:
    """Return the blocks of commands, or those in another language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", markdown, flags=re.DOTALL | re.MULTILINE)


def sections(markdown: str) -> dict[str, str]:
    """Return the commands below each heading as one script, for those that have any; above the first: its title."""
    found = {}
    for section in re.split(r"^## ", markdown, flags=re.MULTILINE):
        if commands := blocks(section):
            found[section.partition("\n")[0]] = "".join(commands)
    return found


def all_pages() -> list[Path]:
    """Return the README and every page."""
    return [README, *sorted(DOCS.glob("*.md"))]
