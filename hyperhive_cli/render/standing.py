"""How an agent's status is shown, by the table of statuses. Pure: no I/O, no rich."""

from hyperhive_cli.render import text
from hyperhive_cli.render.endings import STYLES
from hyperhive_cli.status import status_meaning


def status_words(status: object) -> tuple[str, str]:
    """Return the words for a status, and their style; an unknown one is shown by its own word."""
    found = status_meaning(text.one_line(text.text_of(status), 30))
    return found.words, STYLES[found.tone]


def status_advice(status: object) -> str:
    """Return what a person can do about a status; empty where there is nothing to do."""
    return status_meaning(text.text_of(status)).advice
