"""A tool's answer as it stands under its call."""

from rich.console import RenderableType
from rich.text import Text

from hyperhive_cli.core.text import one_line, plural
from hyperhive_cli.render.blocks import NAME_CELLS, Block, Cropped, Gutter, stacked
from hyperhive_cli.render.memory import Memory
from hyperhive_cli.transcript.tools import Answer


def answer_to_block(call: str, name: str, answer: Answer, memory: Memory) -> Block:
    """Put an answer under its call; where other lines stand between, its tool's name says whose it is."""
    named = memory.last_call == call and call != ""
    label = "" if named else one_line(name or "result", NAME_CELLS)
    memory.last_call = call or None
    return Block("tool", Gutter(Text(f"  {label:<{NAME_CELLS}} ", "quiet"), _answer_body(answer)))


def _answer_body(answer: Answer) -> RenderableType:
    lines = [Text(line, "quiet") for line in answer.lines]
    if answer.label and answer.failed:
        lines.insert(0, Text(f"✗ {answer.label}", "bad"))
    elif answer.label:
        lines.insert(0, Text(answer.label, "quiet"))
    if answer.more:
        lines.append(Text(f"+{plural(answer.more, 'line')}", "quiet"))
    return stacked(Cropped(line) for line in lines)
