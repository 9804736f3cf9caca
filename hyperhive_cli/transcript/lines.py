"""A line of claude's stdout → its rows: a table of small cases, keyed by the line's type and a block's. Pure."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath

from hyperhive_cli.claude.sentences import DIAGNOSTIC, is_hook_feedback, line_to_sentence, text_in
from hyperhive_cli.claude.server_tools import is_server_result
from hyperhive_cli.core.text import brief, one_line, plural, text_of
from hyperhive_cli.transcript.answers import content_text, images_in, read_answer
from hyperhive_cli.transcript.calls import call_summary
from hyperhive_cli.transcript.context import Context, OpenCall
from hyperhive_cli.transcript.raw_text import RawText
from hyperhive_cli.transcript.rows import (
    AnswerRow,
    CallRow,
    ErrorRow,
    Image,
    NoteRow,
    Origin,
    QuoteRow,
    Row,
    TextRow,
    ThoughtRow,
)
from hyperhive_cli.transcript.shapes import blocks_in, mapping, string
from hyperhive_cli.transcript.system_lines import SYSTEM_CASES, Case, Line, limit_rows
from hyperhive_cli.transcript.todos import todos_summary

TALK = frozenset({"assistant", "user"})  # types of the lines whose times say how long the model thought
_QUOTED_CHARS = 200


def line_to_rows(line: Line, context: Context, origin: Origin) -> Iterator[Row]:
    """Return the rows of a line. A line of an unknown type is shown by its name and its texts."""
    kind, subtype = line.get("type"), line.get("subtype")
    case = SYSTEM_CASES.get(string(subtype)) if kind == "system" else TYPE_CASES.get(string(kind))
    return (case or _sentence)(line, context, origin)


def _sentence(line: Line, context: Context, origin: Origin) -> Iterator[Row]:
    found = line_to_sentence(line)
    if found is not None and context.add_text(found.text):
        yield NoteRow(origin=origin, topic="claude", mark=found.mark, tone=found.tone, text=RawText(found.text))


def _assistant(line: Line, context: Context, origin: Origin) -> Iterator[Row]:
    message = mapping(line.get("message"))
    has_failed, is_its_own = line.get("error") is not None, message.get("model") == "<synthetic>"
    for block in blocks_in(message.get("content")):
        kind = string(block.get("type"))
        if has_failed and kind == "text":
            yield from _error(text_of(block.get("text")), context, origin)
        elif is_its_own and text_of(block.get("text")).strip() in context.shown:
            continue  # the binary repeats what an earlier line said
        elif is_server_result(block):
            yield from _answer(block, None, context, origin)
        else:
            yield from _ASSISTANT_BLOCKS.get(kind, _unknown_block)(block, context, origin)


def _unknown_block(block: Line, _context: Context, origin: Origin) -> Iterator[Row]:
    name, words = f"assistant/{brief(block.get('type', 'block'), 40)}", text_in(block)
    yield NoteRow(origin=origin, topic="claude", text=RawText(f"{name}: {words}" if words else name))


def _text(block: Line, context: Context, origin: Origin) -> Iterator[Row]:
    text = text_of(block.get("text"))
    if text.strip():
        context.add_text(text)
        yield TextRow(origin=origin, text=text)


def _thinking(block: Line, context: Context, origin: Origin) -> Iterator[Row]:
    thought = text_of(block.get("thinking")).strip()
    if thought:
        yield ThoughtRow(origin=origin, text=thought, took_ms=context.span_ms(origin))


def _hidden_thinking(_block: Line, context: Context, origin: Origin) -> Iterator[Row]:
    yield ThoughtRow(origin=origin, text=None, took_ms=context.span_ms(origin))


def _call(block: Line, context: Context, origin: Origin) -> Iterator[Row]:
    call, given = string(block.get("id")), block.get("input")
    name = one_line(text_of(block.get("name")), 60) or "unknown"
    todos = context.todos.take_call(call, name, given)
    subject = call_summary(name, given, context.cwd) if todos is None else todos_summary(todos)
    number = context.add_call(call, name, subject, origin)
    yield CallRow(origin=origin, call=call, number=number, name=name, subject=subject, given=given, todos=todos)


_ASSISTANT_BLOCKS: Mapping[str, Callable[[Line, Context, Origin], Iterator[Row]]] = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _hidden_thinking,
    "tool_use": _call,
    "server_tool_use": _call,
    "mcp_tool_use": _call,
}


def _user(line: Line, context: Context, origin: Origin) -> Iterator[Row]:
    for block in blocks_in(mapping(line.get("message")).get("content")):
        if string(block.get("type")).endswith("tool_result"):
            yield from _answer(block, line.get("tool_use_result"), context, origin)
        elif is_hook_feedback(words := content_text([block])):
            yield NoteRow(origin=origin, topic="claude", mark="!", tone="warn", text=RawText(words))
        else:
            yield from _quote(words, block, origin)


def _quote(words: str, block: Line, origin: Origin) -> Iterator[Row]:
    whole = RawText(words)
    lines, more = whole.head(1)
    if not lines:
        return
    total = len(lines) + more
    first = one_line("".join(span.text for span in lines[0]), _QUOTED_CHARS)
    text = RawText(f"({plural(total, 'line')}) {first}" if total > 1 else first)
    yield QuoteRow(origin=origin, topic="quote", mark=">", text=text, whole=whole, images=tuple(images_in([block])))


def _answer(block: Line, structured: object, context: Context, origin: Origin) -> Iterator[Row]:
    call = string(block.get("tool_use_id"))
    denied = context.denied.pop(call, None)
    if denied is not None and text_of(block.get("content")).strip() == denied:
        return
    asked = context.calls.get(call)
    number, name = (0, "") if asked is None else (asked.number, asked.name)
    answer = read_answer(name, block, structured)
    context.todos.take_answer(call, structured)
    yield AnswerRow(
        origin=origin,
        call=call,
        number=number,
        name=name,
        failed=answer.failed,
        label=answer.label,
        output=RawText(answer.output),
        diff=answer.diff,
        images=_named(answer.images, asked),
        figures=answer.figures,
        took_ms=None if asked is None else max(0, origin.ts - asked.ts),
    )


def _named(images: tuple[Image, ...], asked: OpenCall | None) -> tuple[Image, ...]:
    """Name the images that were read from a file."""
    if asked is None or asked.name != "Read":
        return images
    return tuple(image._replace(name=PurePosixPath(asked.subject).name) for image in images)


def _error(text: str, context: Context, origin: Origin) -> Iterator[Row]:
    if context.add_text(text):
        yield ErrorRow(origin=origin, text=text.strip("\n"))


def _result(line: Line, context: Context, origin: Origin) -> Iterator[Row]:
    text, errors = text_of(line.get("result")), line.get("errors")
    if not text.strip() and isinstance(errors, list):
        texts = (text_of(error) for error in errors)
        text = "\n".join(text for text in texts if not text.startswith(DIAGNOSTIC))
    if line.get("is_error") is True:
        yield from _error(text, context, origin)
    elif context.add_text(text):
        yield TextRow(origin=origin, text=text)


TYPE_CASES: Mapping[str, Case] = {
    "assistant": _assistant,
    "user": _user,
    "result": _result,
    "rate_limit_event": limit_rows,
}
