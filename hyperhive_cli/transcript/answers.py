"""What a tool answered: its text, and a label that says it in short. Pure.

Answers are any JSON that a tool or a server of tools made; an odd shape gives a duller label, never an error.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from hyperhive_cli.claude.sentences import text_in
from hyperhive_cli.claude.server_tools import is_server_result, server_result
from hyperhive_cli.core.text import brief, count, number, one_line, plural, text_of, tokens
from hyperhive_cli.transcript.diff import Hunk, created_hunk, line_counts, patch_hunks
from hyperhive_cli.transcript.raw_text import RawText
from hyperhive_cli.transcript.rows import NO_FIGURES, Figures, Image
from hyperhive_cli.transcript.shapes import mapping

_WRAPPED_CHARS = 4096
_HITS = ("numMatches", "numLines", "numFiles")  # of a search, the most exact first
_EXIT_CODE = re.compile(r"Exit code (\d{1,9})(?:\n|$)")
# The binary wraps some answers for the model; a person needs the text alone.
_WRAPPERS = re.compile(r"</?(?:tool_use_error|persisted-output|local-command-std(?:out|err))>")
_IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


class Answer(NamedTuple):
    """An answer as an `AnswerRow` has it; `output` is uncleaned."""

    failed: bool = False
    label: str = ""
    output: str = ""
    diff: tuple[Hunk, ...] = ()
    images: tuple[Image, ...] = ()
    figures: Figures = NO_FIGURES


def read_answer(name: str, block: Mapping[str, Any], structured: object = None) -> Answer:
    """Read a `tool_result` block of the tool `name`; `structured` is the line's `tool_use_result`."""
    if is_server_result(block):
        served = server_result(block)
        return Answer(served.failed, one_line(served.label, 60), served.text)
    content = block.get("content")
    text = content_text(content)
    if block.get("is_error") is True:
        return _failure(text)
    images, figures = tuple(images_in(content)), _figures(name, mapping(structured))
    if name == "Read" and (label := _read_label(structured)):
        return Answer(label=label, output=text, images=images, figures=figures)
    read = _READERS.get(name)
    found = read(structured) if read and isinstance(structured, Mapping) else None
    if found is not None:
        return found
    return Answer(label="" if RawText(text) else "no output", output=text, images=images, figures=figures)


def _failure(text: str) -> Answer:
    code = _EXIT_CODE.match(text)
    if code is None:
        return Answer(failed=True, label="error", output=text)
    figures = Figures(exit_status=int(code[1]))
    return Answer(failed=True, label=f"exit {code[1]}", output=text[code.end() :], figures=figures)


def _figures(name: str, structured: Mapping[str, Any]) -> Figures:
    """Return the figures of an answer that is not an error, from the tools whose answers have any."""
    match name:
        case "Bash" if structured.get("interrupted") is False and not structured.get("backgroundTaskId"):
            return Figures(exit_status=0)
        case "Read":
            return Figures(lines=count(mapping(structured.get("file")).get("numLines")) or None)
        case "Grep" | "Glob":
            hits = next((structured[key] for key in _HITS if number(structured.get(key)) is not None), None)
            return NO_FIGURES if hits is None else Figures(hits=count(hits))
        case _:
            return NO_FIGURES


def _read_label(structured: object) -> str:
    """Say how much of a file was read; "" if the result does not."""
    file = mapping(mapping(structured).get("file"))
    lines, total = count(file.get("numLines")), count(file.get("totalLines"))
    return f"{lines:,} of {plural(total, 'line')}" if 0 < lines < total else plural(lines, "line") if lines else ""


def _edit(structured: Mapping[str, Any]) -> Answer | None:
    if hunks := tuple(patch_hunks(structured.get("structuredPatch"))):
        added, removed = line_counts(hunks)
        label = f"{plural(added, 'line')} added, {removed:,} removed"
        return Answer(label=label, diff=hunks, figures=Figures(added=added, removed=removed))
    content = structured.get("content")
    if structured.get("type") != "create" or not isinstance(content, str):
        return None
    hunk = created_hunk(content)
    label = f"created, {plural(len(hunk.lines), 'line')}"
    return Answer(label=label, diff=(hunk,) if hunk.lines else (), figures=Figures(added=len(hunk.lines), removed=0))


def _subagent(structured: Mapping[str, Any]) -> Answer | None:
    if structured.get("isAsync") is True or structured.get("status") == "async_launched":
        return Answer(label="runs in the background")
    if structured.get("status") != "completed":
        return None
    spent = number(structured.get("totalTokens"))
    label = "completed" if spent is None else f"completed, {tokens(spent)} tokens"
    calls = count(structured.get("totalToolUseCount")) or None
    figures = Figures(tool_calls=calls, tokens=None if spent is None else count(spent))
    return Answer(label=label, output=content_text(structured.get("content")), figures=figures)


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Answer | None]] = {
    "Write": _edit,
    "Edit": _edit,
    "MultiEdit": _edit,
    "Task": _subagent,
    "Agent": _subagent,
}


def content_text(content: object) -> str:
    """Return the text of a message's or an answer's content: a string, or a list of blocks. Uncleaned."""
    if isinstance(content, str):
        return _unwrapped(content)
    if isinstance(content, list):
        return _unwrapped("\n".join(_block_text(block) for block in content))
    return text_of(content)


def _block_text(block: object) -> str:
    if not isinstance(block, Mapping):
        return text_of(block)
    text = block.get("text")
    if block.get("type") == "text" and isinstance(text, str):
        return text
    return text_in(block) or f"[{brief(block.get('type', 'block'))}]"


def _unwrapped(text: str) -> str:
    # Wrappers stand at the very start, and a long text is not searched through for their ends.
    if not text.startswith("<"):
        return text
    return _WRAPPERS.sub("", text[:_WRAPPED_CHARS]) + text[_WRAPPED_CHARS:]


def images_in(content: object) -> Iterator[Image]:
    """Return the images of a message's or an answer's content that a browser can show."""
    for block in content if isinstance(content, list) else ():
        source = mapping(mapping(block).get("source"))
        kind, data = source.get("media_type"), source.get("data")
        if isinstance(kind, str) and kind in _IMAGE_TYPES and isinstance(data, str) and _BASE64.fullmatch(data):
            yield Image(kind, data)


_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
