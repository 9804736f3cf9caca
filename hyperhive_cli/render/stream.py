"""One line of claude's stdout → the blocks that show it: a table of small cases, keyed by its type."""

from collections.abc import Callable, Iterator, Mapping

from rich.console import RenderableType
from rich.text import Text

from hyperhive_cli.claude.sentences import is_hook_feedback, line_to_sentence, text_in
from hyperhive_cli.claude.server_tools import is_server_result
from hyperhive_cli.claude.stream import DIAGNOSTIC
from hyperhive_cli.core.text import brief, head_lines, one_line, plural, text_of
from hyperhive_cli.render.answer import answer_to_block
from hyperhive_cli.render.blocks import NAME_CELLS, Block, Cropped, Gutter, marked, noted, remark, stacked
from hyperhive_cli.render.memory import Memory, mapping, string
from hyperhive_cli.render.system import SYSTEM_CASES, Case, Line, rate_limit
from hyperhive_cli.transcript.tools import answer_summary, call_summary, content_text

_THOUGHT_CHARS = 220
_ERROR_LINES = 12


def stream_to_blocks(line: Line, memory: Memory, ts: int) -> list[Block]:
    """Give the blocks of one line; one of an unknown type is its name and its texts. `ts` is its time in ms."""
    kind, subtype = line.get("type"), line.get("subtype")
    case = SYSTEM_CASES.get(string(subtype)) if kind == "system" else TYPE_CASES.get(string(kind))
    blocks = list(_said(line, memory) if case is None else case(line, memory, ts))
    if blocks and blocks[-1].group != "tool":
        memory.last_call = None
    parent = string(line.get("parent_tool_use_id"))
    if parent and blocks:
        return _under_call(blocks, parent, memory)
    if blocks:
        memory.last_agent = memory.last_call
    return blocks


def _said(line: Line, memory: Memory) -> Iterator[Block]:
    """Show what a line says that has no case here, once a turn."""
    found = line_to_sentence(line)
    if found is not None and memory.note_text(found.text):
        yield noted(found.text, found.tone, found.mark)


def _under_call(blocks: list[Block], parent: str, memory: Memory) -> list[Block]:
    """Put a subagent's blocks behind a bar, with its task's name where the reader could lose track."""
    bar = Text("  │ ", "quiet")
    shown = [block.inside(bar) for block in blocks]
    if memory.last_agent != parent:
        memory.last_agent = parent
        title = memory.subjects.get(parent) or "subagent"
        heading = Gutter(bar, Cropped(Text(f"{title}:", "quiet")))
        shown[0] = Block(shown[0].group, stacked([heading, shown[0].body]))
    return shown


def _assistant(line: Line, memory: Memory, _ts: int) -> Iterator[Block]:
    failed = line.get("error") is not None
    message = mapping(line.get("message"))
    content, is_its_own = message.get("content"), message.get("model") == "<synthetic>"
    for block in _content_blocks(content):
        case = _ASSISTANT_BLOCKS.get(string(block.get("type")))
        if failed and block.get("type") == "text":
            yield from _error_text(text_of(block.get("text")), memory)
        elif is_its_own and text_of(block.get("text")).strip() in memory.shown:
            continue  # the binary repeats what a line before has said
        elif is_server_result(block):
            yield from _tool_result(block, None, memory)
        elif case is None:
            yield noted(_unknown_block(block))
        else:
            yield from case(block, memory)


def _unknown_block(block: Line) -> str:
    name, words = f"assistant/{brief(block.get('type', 'block'), 40)}", text_in(block)
    return f"{name}: {words}" if words else name


def _content_blocks(content: object) -> Iterator[Line]:
    if isinstance(content, list):
        yield from (block if isinstance(block, Mapping) else {"type": "text", "text": block} for block in content)
    elif content is not None:
        yield {"type": "text", "text": content}


def _prose(text: str) -> RenderableType:
    from hyperhive_cli.render.prose import prose  # noqa: PLC0415 - Markdown costs 60 ms, which the first text pays

    return prose(text)


def _text(block: Line, memory: Memory) -> Iterator[Block]:
    text = text_of(block.get("text"))
    if text.strip():
        memory.note_text(text)
        yield Block("text", Gutter(Text("  "), _prose(text)))


def _thinking(block: Line, _memory: Memory) -> Iterator[Block]:
    thought = one_line(text_of(block.get("thinking")), _THOUGHT_CHARS)
    if thought:
        yield Block("thought", marked("~", Text(thought, "thought"), "quiet"))


def _hidden_thinking(_block: Line, _memory: Memory) -> Iterator[Block]:
    yield Block("thought", marked("~", Text("thinking, not shown", "thought"), "quiet"))


def _tool_use(block: Line, memory: Memory) -> Iterator[Block]:
    name = one_line(text_of(block.get("name")), 60) or "unknown"
    subject = call_summary(name, block.get("input"), memory.cwd)
    memory.note_call(string(block.get("id")), name, subject)
    shown = Text.assemble((f"{name:<{NAME_CELLS}}", "call.name"), " ", subject)
    yield Block("tool", marked("▸", Cropped(shown), "call"))


_ASSISTANT_BLOCKS: Mapping[str, Callable[[Line, Memory], Iterator[Block]]] = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _hidden_thinking,
    "tool_use": _tool_use,
    "server_tool_use": _tool_use,
    "mcp_tool_use": _tool_use,
}


def _user(line: Line, memory: Memory, _ts: int) -> Iterator[Block]:
    for block in _content_blocks(mapping(line.get("message")).get("content")):
        if string(block.get("type")).endswith("tool_result"):
            yield from _tool_result(block, line.get("tool_use_result"), memory)
        elif is_hook_feedback(words := content_text([block])):
            yield noted(words, "warn", "!")
        else:
            yield from _quoted(words)


def _quoted(text: str) -> Iterator[Block]:
    """Show what the binary says in the user's name (a summary, a command's output) as one dim line."""
    lines, more = head_lines(text, 1)
    total = len(lines) + more
    if lines:
        yield remark((f"({plural(total, 'line')}) " if total > 1 else "") + one_line(lines[0], 200), mark=">")


def _tool_result(block: Line, sibling: object, memory: Memory) -> Iterator[Block]:
    call = string(block.get("tool_use_id"))
    name = memory.calls.get(call, "")
    denied = memory.denied.pop(call, None)
    if denied is not None and text_of(block.get("content")).strip() == denied:
        return
    yield answer_to_block(call, name, answer_summary(name, block, sibling), memory)


def _error_text(text: str, memory: Memory) -> Iterator[Block]:
    if memory.note_text(text):
        lines, more = head_lines(text, _ERROR_LINES, width=4000)
        rest = [f"+{plural(more, 'line')}"] if more else []
        yield Block("text", marked("✗", stacked(Text(line, "bad") for line in [*lines, *rest]), "bad"))


def _result(line: Line, memory: Memory, _ts: int) -> Iterator[Block]:
    text = text_of(line.get("result"))
    errors = line.get("errors")
    if not text.strip() and isinstance(errors, list):
        texts = (text_of(error) for error in errors)
        text = "\n".join(text for text in texts if not text.startswith(DIAGNOSTIC))
    if line.get("is_error") is True:
        yield from _error_text(text, memory)
    elif memory.note_text(text):
        yield Block("text", Gutter(Text("  "), _prose(text)))


TYPE_CASES: Mapping[str, Case] = {
    "assistant": _assistant,
    "user": _user,
    "result": _result,
    "rate_limit_event": rate_limit,
}
