"""A transcript in one of the forms of `export`: the events as JSON lines, or a Markdown or HTML document. Pure."""

from collections.abc import Iterable, Iterator
from itertools import chain

from hyperhive_cli.core.events import BusEvent
from hyperhive_cli.render.document import rows_to_html, rows_to_markdown
from hyperhive_cli.transcript.translate import Translator

FORMS = ("jsonl", "md", "html")


def export_pieces(form: str, title: str, pages: Iterable[Iterable[BusEvent]]) -> Iterator[bytes]:
    """Yield the document piece by piece, reading one page of events after the other."""
    events = chain.from_iterable(pages)
    if form == "jsonl":
        return (event.to_json() + b"\n" for event in events)
    write = rows_to_markdown if form == "md" else rows_to_html
    rows = chain.from_iterable(map(Translator().rows, events))
    return (piece.encode() for piece in write(title, rows))


def export_title(agent: str, turn: str | int | None) -> str:
    """Return the title of a document of this turn, None for the whole history."""
    return agent if turn in {None, "last"} else f"{agent}, turn {turn}"
