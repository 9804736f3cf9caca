"""The report of an agent's work in words: sections of lines, which a terminal, Markdown and HTML show alike. Pure.

`found` has the fields of `report --json`. A section without a line is left out, so a quiet night is a short report.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hyperhive_cli.core import text
from hyperhive_cli.core.outcomes import MessageState, is_ok
from hyperhive_cli.core.status import status_meaning
from hyperhive_cli.core.usage import TokenUsage
from hyperhive_cli.core.work_report import Span, tokens_of
from hyperhive_cli.transcript.endings import sign_of
from hyperhive_cli.transcript.quota_words import open_quota, quota_words
from hyperhive_cli.transcript.state_words import state_line, state_of, status_sentence

Found = Mapping[str, Any]
UNUSUAL = 2  # times the usual dollars or tokens, from which on they are marked
_CHARS = 400


class Line(NamedTuple):
    """A line of a section. `words` and `quotes`, the lines below it, may be others' words; `advice` is ours.

    `style`: fine, warn, bad, quiet or "", of the sign and, without one, of the words.
    """

    words: str
    style: str = ""
    sign: str = ""
    quotes: tuple[str, ...] = ()
    advice: str = ""


class Section(NamedTuple):
    """A part of the report; `more` lines were left out at its end."""

    title: str
    lines: Sequence[Line]
    more: int = 0


def report_title(found: Found) -> str:
    """Return what the report is about: `bee, Mon 30 Nov 18:00 to Tue 01 Dec 08:00`."""
    since, until = (text.local_time(found[name] / 1000) for name in Span._fields)
    if since is None or until is None:
        return f"{found['agent']}, {text.NO_TIME}"
    day = "" if since.date() == until.date() else f"{until:%a %d %b} "
    return f"{found['agent']}, {since:%a %d %b %H:%M} to {day}{until:%H:%M}"


def report_summary(found: Found) -> str:
    """Return the report in a line: `12 turns, 2 crashed · 1 dead · $4.20, usually $1.10 · 3 commits`."""
    turns, usage = found["turns"], found["usage"]
    parts = [
        ", ".join([text.plural(turns["total"], "turn") if turns["total"] else "no turns", *_outcomes(turns, ok=False)]),
        _stuck_words(found["stuck"]),
        f"{len(found['late'])} late" if found["late"] else "",
        _with_usual(text.dollars(usage["cost_usd"]), text.dollars(usage["usual"]["cost_usd"])),
        text.plural(len(found["commits"]), "commit") if found["commits"] else "",
        f"{text.plural(len(found['files']), 'file')} changed" if found["files"] else "",
    ]
    return " · ".join(filter(None, parts))


def report_sections(found: Found, *, most: int | None = None) -> list[Section]:
    """Return the sections that have anything to say, each cut to its first `most` lines (None: all of them)."""
    sections = ((title, list(lines(found))) for title, lines in _SECTIONS.items())
    return [
        Section(title, lines[:most], max(0, len(lines) - (most or len(lines)))) for title, lines in sections if lines
    ]


# --- what a person should see to ---


def _needs_you(found: Found) -> Iterator[Line]:
    now = found["now"]
    for problem in now["problems"]:
        yield Line(text.one_line(problem, _CHARS), "bad", "✗", advice="`hyperhive doctor`")
    if (meaning := status_meaning(now["status"])).needs_person:
        sentence = status_sentence(now, found["made"] / 1000)
        yield Line(
            sentence, "bad", "✗", advice=f"`{meaning.advice}`" if meaning.advice.startswith("hyper") else meaning.advice
        )
    for one in found["stuck"]:
        sign, style = ("✗", "bad") if one["state"] == MessageState.DEAD else ("?", "warn")
        words = f"{_message(one['id'])} is {one['state']} since {_at(one['since'], found)}"
        yield Line(_because(words, one["reason"]), style, sign, _quotes(one["task"]), one["advice"])
    for remark, turns in _denials(found["denied"]).items():
        which = f"turn {turns[0]}" if len(turns) == 1 else f"{len(turns)} turns, the last of them {turns[-1]}"
        yield Line(f"{which}: {text.one_line(remark, _CHARS)}", "warn", "!")


def _denials(denied: Iterable[Found]) -> dict[str, list[int]]:
    """Return the turns in which calls were denied, by what is said of that."""
    found: dict[str, list[int]] = {}
    for one in denied:
        calls = "1 tool call was denied" if one["count"] == 1 else f"{one['count']:,} tool calls were denied"
        for remark in one["remarks"] or [calls]:
            found.setdefault(remark, []).append(one["turn_id"])
    return found


def _did_not_happen(found: Found) -> Iterator[Line]:
    for one in found["late"]:
        due, quotes = _at(one["due"], found), _quotes(one["task"])
        if one["started"] is None:
            yield Line(f"{_message(one['id'])} was due {due} and still waits", "warn", "!", quotes)
        else:
            late = text.duration((one["started"] - one["due"]) / 1000)
            words = f"{_message(one['id'])} was due {due} and started {_at(one['started'], found)}, {late} late"
            yield Line(words, "warn", "!", quotes)
    for one in found["schedules"]:
        if one["overdue"] is not None:
            yield Line(f"schedule {one['name']} was due {_at(one['overdue'], found)} and has sent nothing", "warn", "!")
        if one["skipped"] is not None:
            words = f"schedule {one['name']} left out a slot, the last {_at(one['skipped'], found)}"
            yield Line(f"{words} ({one['skipped_ever']:,} so far)", "warn", "!")


# --- what was done ---


def _messages(found: Found) -> Iterator[Line]:
    for one in found["messages"]:
        sign, style = sign_of(one["outcome"])
        sender, task = text.one_line(one["sender"] or "", 64), text.one_line(one["task"] or "", _CHARS)
        asked = f"{sender}: {task}" if sender else task or "its text is no longer kept"
        turns = f"{len(one['turns'])} turns" if len(one["turns"]) > 1 else ""
        figures = ", ".join(
            filter(None, (turns, text.duration(one["duration_ms"] / 1000), text.dollars(one["cost_usd"])))
        )
        ended = one["outcome"].replace("_", " ")
        again = ", will be tried again" if one["state"] == MessageState.READY else ""
        result = one["result"] if is_ok(one["outcome"]) else _because(f"{ended}{again}", one["result"])
        yield Line(f"#{one['id']} {asked} ({figures})", style, sign, _quotes(result))


def _turns(found: Found) -> Iterator[Line]:
    """Yield the outcomes, and the failures that are not what their message came to."""
    if not found["turns"]["total"]:
        return
    yield Line(", ".join(_outcomes(found["turns"], ok=True)))
    told = {one["turns"][-1] for one in found["messages"]}
    for one in found["failures"]:
        if one["turn_id"] in told:
            continue
        sign, style = sign_of(one["outcome"])
        whose = f", {_message(one['message_id'])}" if one["message_id"] is not None else ""
        words = f"turn {one['turn_id']}{whose}, {_at(one['ended'], found)}: {one['outcome'].replace('_', ' ')}"
        yield Line(_because(words, one["note"]), style, sign)


def _money(found: Found) -> Iterator[Line]:
    usage = found["usage"]
    usual = usage["usual"]
    if not usage["turns"]:
        return
    spent, tokens = usage["cost_usd"], tokens_of(usage)
    whole = TokenUsage(*(usage[name] for name in TokenUsage._fields))
    in_out = f"{text.tokens(whole.context_tokens())} tokens in, {text.tokens(whole.output_tokens)} out"
    for words, figure, normal, shown in (
        (text.dollars(spent) or "$0", spent, usual["cost_usd"], text.dollars(usual["cost_usd"])),
        (in_out, tokens, usual["tokens"], f"{text.tokens(usual['tokens'])} together"),
    ):
        style = "warn" if normal and figure > UNUSUAL * normal else ""
        yield Line(_with_usual(words, shown if normal else ""), style)
    if usual["tokens"] is not None:
        days = text.plural(usual["spans"], "earlier day")
        yield Line(f"usual is the median of the same hours of {days} with work", "quiet")
    if usage["unpriced"]:
        yield Line(f"{text.plural(usage['unpriced'], 'turn')} ended without a figure in dollars", "quiet")
    for one in found["costly"]:
        times = round(one["cost_usd"] / one["usual_usd"])
        words = f"turn {one['turn_id']} cost {text.dollars(one['cost_usd'])}, {times:,} times the usual"
        yield Line(f"{words} {text.dollars(one['usual_usd'])}", "warn", "!")


def _commits(found: Found) -> Iterator[Line]:
    for one in found["commits"]:
        yield Line(f"{one['hash']} {one['subject']} ({one['branch']}, turn {one['turn_id']})")


def _files(found: Found) -> Iterator[Line]:
    for one in found["files"]:
        lines = (
            f", {text.plural(one['added'], 'line')} added, {one['removed']:,} removed"
            if one["added"] or one["removed"]
            else ""
        )
        yield Line(f"{one['path']}: {text.plural(one['edits'], 'edit')}{lines}")


# --- how the agent fared ---


def _harness(found: Found) -> Iterator[Line]:
    for one in found["harness"]:
        started, stopped = _at(one["started"], found), one["stopped"]
        if one["was_killed"]:
            yield Line(f"the harness started {started}; the one before had been killed", "warn", "!")
        elif stopped is None:
            yield Line(f"the harness started {started}")
        else:
            off = text.duration((one["started"] - stopped) / 1000)
            yield Line(f"the harness started {started}, {off} after it had stopped")
    for one in found["sessions"]:
        yield Line(f"turn {one['turn_id']} started a new session, {_at(one['started'], found)}")
    for one in found["compactions"]:
        after = "" if one["after"] is None else f" to {text.tokens(one['after'])}"
        words = f"turn {one['turn_id']} compacted the context from {text.tokens(one['before'])}{after} tokens"
        yield Line(f"{words}, {_at(one['ended'], found)}")
    for one in found["mcp"]:
        words = f"MCP server {text.one_line(one['trouble'], _CHARS)}, in {text.plural(one['turns'], 'turn')}"
        yield Line(f"{words}, the last of them {one['last']}", "warn", "!")
    if gone := len(found["unseen"]):
        words = f"{text.plural(gone, 'turn')} {'is' if gone == 1 else 'are'} no longer whole in the history"
        yield Line(f"{words}: more files, commits or MCP servers may be missing here", "quiet")


def _now(found: Found) -> Iterator[Line]:
    now, at = found["now"], found["made"] / 1000
    state, meaning = state_of(now, at), status_meaning(now["status"])
    advice = f"`{meaning.advice}`" if now["unread"] and meaning.advice and not meaning.needs_person else ""
    yield Line(state_line(state, at), state.style, state.sign.strip("-"), advice=advice)
    if windows := open_quota(now["quota"], at):
        yield Line(f"the account's plan: {quota_words(windows, at)}")
    for one in found["waiting"]:
        starts = f" {text.ahead(one['not_before'] / 1000, at)}" if one["not_before"] > found["made"] else ""
        sender, task = text.one_line(one["sender"], 64), text.one_line(one["task"] or "", _CHARS)
        why = f" ({text.one_line(one['reason'], _CHARS)})" if one["reason"] else ""
        yield Line(f"{_message(one['id'])} waits{starts}, {sender}: {task}{why}")
    for one in found["schedules"]:
        if one["paused"] or one["next"] is not None:
            when = "is paused" if one["paused"] else f"next {text.ahead(one['next'] / 1000, at)}"
            yield Line(f"schedule {one['name']}{' ' if one['paused'] else ': '}{when}")


_SECTIONS: Mapping[str, Callable[[Found], Iterable[Line]]] = {
    "Needs you": _needs_you,
    "Did not happen in time": _did_not_happen,
    "What the messages came to": _messages,
    "Turns": _turns,
    "Money and tokens": _money,
    "Commits": _commits,
    "Files changed": _files,
    "Harness and session": _harness,
    "Now": _now,
}


# --- words ---


def _outcomes(turns: Found, *, ok: bool) -> list[str]:
    """Return how many turns had each outcome; those that were ok only if that is wanted."""
    return [f"{count:,} {word.replace('_', ' ')}" for word, count in turns["outcomes"].items() if ok or not is_ok(word)]


def _message(number: int) -> str:
    return f"message {number}"


def _because(words: str, reason: str | None) -> str:
    return f"{words}: {text.one_line(reason, _CHARS)}" if reason else words


def _quotes(words: str | None) -> tuple[str, ...]:
    return (text.one_line(words, _CHARS),) if words else ()


def _with_usual(words: str, usual: str) -> str:
    return f"{words}, usually {usual}" if words and usual else words


def _at(ms: int, found: Found) -> str:
    return text.moment(ms / 1000, found["made"] / 1000)


def _stuck_words(stuck: Sequence[Found]) -> str:
    states = [one["state"] for one in stuck]
    return ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
