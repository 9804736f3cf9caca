"""A transcript as a document that stands by itself: events to entries, entries to Markdown or HTML. Pure, no rich.

Whatever others have written (the model, tools, senders) is text: escaped in HTML, and in Markdown fenced, but for
the model's own words, which are Markdown.
"""

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hyperhive_cli.claude.limits import line_to_limits
from hyperhive_cli.claude.sentences import SHOWN_ELSEWHERE, line_name, line_to_sentence, text_in
from hyperhive_cli.claude.server_tools import is_server_result, server_result
from hyperhive_cli.core import text
from hyperhive_cli.core.events import BusEvent, LiveEvent, ModelChanged, Note, StatusChanged, Stream, TurnEnd, TurnStart
from hyperhive_cli.core.outcomes import Tone
from hyperhive_cli.render.memory import mapping, string
from hyperhive_cli.transcript.endings import end_remarks, end_sign, end_tone, end_word
from hyperhive_cli.transcript.limit_words import limit_words

OPEN_LINES = 12  # of a tool's answer that are not folded away in HTML


@dataclass(frozen=True, slots=True)
class Entry:
    """A part of the document; `kind` is turn, text, thinking, call, answer, note or end. `sign`: that of an end."""

    kind: str
    title: str = ""
    body: str = ""
    failed: bool = False
    sign: str = ""


def events_to_entries(records: Iterable[BusEvent]) -> Iterator[Entry]:
    """Translate events, in the order of their numbers. What carries nothing to read is left out."""
    shown: set[str] = set()  # in this turn
    for record in records:
        if isinstance(record.event, TurnStart):
            shown = set()
        may_repeat = isinstance(record.event, Stream) and _may_repeat(record.event.line)
        for entry in _entries(record.event, record.ts):
            if may_repeat and entry.body in shown:
                continue
            if entry.kind in {"text", "note"}:
                shown.add(entry.body)
            yield entry


def _may_repeat(line: Mapping[str, Any]) -> bool:
    """Return True for a line that may only repeat: a result repeats the last text, the binary a notice of its own."""
    name = line_name(line)
    is_its_own = mapping(line.get("message")).get("model") == "<synthetic>"
    return is_its_own or name == "result" or name not in SHOWN_ELSEWHERE


def _entries(event: LiveEvent, ts: int) -> Iterator[Entry]:
    match event:
        case TurnStart():
            yield Entry("turn", f"{_turn_name(event)} · {_moment(ts)}", text.text_of(event.body))
        case Stream():
            yield from _line(event.line, ts)
        case Note():
            yield Entry("note", text.text_of(event.source), text.text_of(event.text), event.level == "error")
        case StatusChanged():
            yield Entry("note", "status", text.text_of(event.status))
        case ModelChanged():
            yield Entry("note", "model", text.text_of(event.model))
        case TurnEnd():
            failed = end_tone(event) is Tone.FAILURE
            yield Entry("end", _end(event), text.text_of(event.note), failed, end_sign(event))


def _turn_name(event: TurnStart) -> str:
    who = text.one_line(text.text_of(event.sender), 64)
    attempt = f", attempt {text.count(event.attempt)}" if text.count(event.attempt) > 1 else ""
    return f"Turn {text.brief(event.turn_id)}: {who}{attempt}"


def _moment(ts: int) -> str:
    at = text.local_time(ts / 1000)
    return "?" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _end(event: TurnEnd) -> str:
    took = text.number(event.duration_ms)
    parts = [
        end_word(event),
        *end_remarks(event.denied, event.message_state),
        "" if took is None else text.duration(took / 1000),
        text.plural(text.count(event.tool_calls), "tool") if text.count(event.tool_calls) else "",
        text.dollars(event.cost_usd),
    ]
    return " · ".join(part for part in parts if part)


def _line(line: Mapping[str, Any], ts: int) -> Iterator[Entry]:
    kind, subtype = string(line.get("type")), string(line.get("subtype"))
    where = "subagent, " if line.get("parent_tool_use_id") else ""
    if kind in {"assistant", "user"}:
        content = mapping(line.get("message")).get("content")
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        for block in blocks:
            yield from _block(mapping(block), where, is_claudes=kind == "assistant")
    elif kind == "result":
        errors = line.get("errors")
        reason = "\n".join(map(text.text_of, errors)) if isinstance(errors, list) else ""
        words = text.text_of(line.get("result")) or reason
        if words:
            yield Entry("text", body=words.strip(), failed=line.get("is_error") is True)
    elif kind == "system" and subtype in {"compact_boundary", "api_retry"}:
        yield Entry("note", "claude", f"{subtype.replace('_', ' ')} {text.text_of(line.get('error'))}".strip())
    elif (report := line_to_limits(line)) is not None:
        if report.limit.status != "allowed":
            words = limit_words(report.limit.to_dict(), ts / 1000, on_credits=report.on_credits)
            yield Entry("note", "claude", words, report.refused)
    elif (found := line_to_sentence(line)) is not None:
        yield Entry("note", "claude", text.clean(found.text), found.tone == "bad")


def _block(block: Mapping[str, Any], where: str, *, is_claudes: bool) -> Iterator[Entry]:
    match block.get("type"):
        case "text" if words := text.text_of(block.get("text")).strip():
            yield Entry("text", where.rstrip(", "), words) if is_claudes else Entry("note", f"{where}to claude", words)
        case "text":
            return
        case "thinking":
            yield Entry("thinking", f"{where}thinking", text.text_of(block.get("thinking")).strip())
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            yield Entry("call", where + text.one_line(text.text_of(block.get("name")), 80), _pretty(block.get("input")))
        case "tool_result":
            failed = block.get("is_error") is True
            yield Entry("answer", where + ("error" if failed else "answer"), _answer(block.get("content")), failed)
        case _ if is_server_result(block):
            served = server_result(block)
            title = where + text.one_line(served.label or "answer", 80)
            yield Entry("answer", title, text.clean(served.text), served.failed)
        case kind if words := text_in(block):
            yield Entry("note", f"{where}{text.brief(kind)}", text.clean(words))


def _pretty(value: object) -> str:
    return text.clean(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _answer(content: object) -> str:
    if not isinstance(content, list):
        return text.text_of(content)
    parts = [mapping(part) for part in content]
    return "\n".join(text.text_of(part.get("text")) or f"[{text.brief(part.get('type'))}]" for part in parts)


# --- Markdown ---

_RUN_OF_TICKS = re.compile(r"`{3,}")
_MARKS = re.compile(r"([\\`*_\[\]<>#|])")


def entries_to_markdown(title: str, entries: Iterable[Entry]) -> Iterator[str]:
    """Give the document piece by piece."""
    yield f"# {_plain(title)}\n"
    for entry in entries:
        yield f"\n{_markdown(entry)}\n"


def _plain(words: str) -> str:
    return _MARKS.sub(r"\\\1", text.one_line(words, 400))


def _fenced(body: str) -> str:
    ticks = "`" * (1 + max((len(run) for run in _RUN_OF_TICKS.findall(body)), default=2))
    return f"{ticks}text\n{body}\n{ticks}"


def _markdown(entry: Entry) -> str:
    head = _plain(entry.title)
    if entry.kind == "turn":
        return f"## {head}\n\n{_fenced(entry.body)}"
    if entry.kind == "text":
        return f"*{head}*\n\n{entry.body}" if head else entry.body
    if entry.kind == "end":
        return f"{entry.sign} {head}" + (f"\n\n{_fenced(entry.body)}" if entry.body else "")
    return f"**{head}**\n\n{_fenced(entry.body)}"


# --- HTML ---

_STYLE = """
body{max-width:56rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 system-ui,sans-serif;color:#222;background:#fff}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;padding:.6rem;border-radius:4px;font-size:14px}
section{border-left:3px solid #ccc;padding-left:.8rem;margin:.8rem 0}
h2{border-top:1px solid #ccc;padding-top:1rem;font-size:1.1rem}
.text{white-space:pre-wrap;overflow-wrap:anywhere;border-color:#36c}.failed{border-color:#c33}
.call{border-color:#b80}.thinking,.note{color:#666}.title{font-size:14px;font-weight:600}
@media (prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#262626}}
"""
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head><body>
<h1>{title}</h1>
"""


def entries_to_html(title: str, entries: Iterable[Entry]) -> Iterator[str]:
    """Give the document piece by piece: no scripts, nothing from the network."""
    yield _HEAD.format(title=html.escape(text.one_line(title, 400)), style=_STYLE)
    for entry in entries:
        yield f"{_html(entry)}\n"
    yield "</body></html>\n"


def _html(entry: Entry) -> str:
    head, body = html.escape(entry.title), html.escape(entry.body)
    title = f'<div class="title">{head}</div>' if head else ""
    if entry.kind == "turn":
        return f"<h2>{head}</h2><pre>{body}</pre>"
    mark = f"{entry.kind} failed" if entry.failed else entry.kind
    if entry.kind == "text":
        return f'<section class="{mark}">{title}{body}</section>'
    if entry.kind in {"answer", "thinking"} and entry.body.count("\n") >= OPEN_LINES:
        lines = text.plural(entry.body.count("\n") + 1, "line")
        return (
            f'<section class="{mark}"><details><summary>{head}, {lines}</summary><pre>{body}</pre></details></section>'
        )
    return f'<section class="{mark}">{title}{f"<pre>{body}</pre>" if body else ""}</section>'
