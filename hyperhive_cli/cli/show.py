"""`hyperhive show`."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.declared import argument, command, option, pass_invocation
from hyperhive_cli.cli.invocation import (
    Invocation,
    now_ms,
    print_json,
    print_lines,
    printable,
    warn_of_history,
    warn_of_part,
)
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.core import text
from hyperhive_cli.core.errors import UnknownError, UsageError
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.render.turn_words import moment
from hyperhive_cli.store.turns import FoundTurn, find_turn, turn_pages, turn_to_dict
from hyperhive_cli.transcript.endings import end_remarks

if TYPE_CHECKING:
    from hyperhive_cli.transcript.rows import AnswerRow, CallRow, Row


@command()
@argument("turn", metavar="TURN[.TOOL]|last", shell_complete=completers.turns)
@option("--full", is_flag=True, help="Cut nothing: every input, output and thought whole.")
@option("--json", "as_json", is_flag=True, help="Print its statistics as JSON (its events: tail --turn TURN --json).")
@pass_invocation
def show(invocation: Invocation, turn: str, *, full: bool, as_json: bool) -> None:
    """Replay a finished turn from the history; if that was deleted, show the statistics that are left.

    TURN.TOOL is one tool call of a turn, such as 17.3: it is shown whole, as is a turn with --full. On a terminal that
    opens in $PAGER, else in less.

    \b
    Examples: hyperhive show last
              hyperhive show 17.3
              hyperhive show 17 --full
              hyperhive show 17 --json
    """  # noqa: D301 - click's own mark
    paths = invocation.paths()
    warn_of_history(paths)
    named, number = tool_of(turn)
    found = find_turn(paths, named)
    if number is not None:
        rows = call_rows(paths, found, turn, number)
        if as_json:
            print_json(_call_to_dict(rows))
        else:
            _show_whole(rows)
    elif as_json:
        print_json(turn_to_dict(found))
    elif full and found.event_count:
        _show_whole(turn_rows(paths, found))
    elif found.event_count:
        _show_events(paths, found)
    elif found.row is not None:
        echo("this turn is no longer in the history; its statistics are left:", err=True)
        print_lines(_row_to_lines(found.row))


def tool_of(named: str) -> tuple[str, int | None]:
    """Split `17.3` into a turn and the number of one of its tool calls; None without one."""
    turn, dot, number = named.partition(".")
    if not dot:
        return named, None
    if not (number.isascii() and number.isdigit() and int(number[:10]) > 0):
        raise UsageError(f"not a valid tool call: {named!r}", "hyperhive show TURN.TOOL, such as 17.3")
    return turn, int(number[:10])


def turn_rows(paths: AgentPaths, found: FoundTurn) -> Iterator["Row"]:
    """Return the rows of a turn, as far as they are in the history."""
    from hyperhive_cli.transcript.translate import Translator  # noqa: PLC0415 - for those that show rows themselves

    _warn_of_start(found)
    translator = Translator()
    return (row for page in turn_pages(paths, found, warn_of_part) for event in page for row in translator.rows(event))


def call_rows(paths: AgentPaths, found: FoundTurn, named: str, number: int) -> list["Row"]:
    """Return the rows of one tool call of a turn; raises UnknownError if there is none."""
    if not found.event_count:
        raise UnknownError("this turn is no longer in the history", f"hyperhive show {named.partition('.')[0]}")
    rows = [row for row in turn_rows(paths, found) if getattr(row, "number", None) == number]
    if not rows:
        raise UnknownError(f"there is no tool call {named}", f"hyperhive show {named.partition('.')[0]}")
    return rows


def _call_to_dict(rows: list["Row"]) -> dict[str, Any]:
    """Return the fields of `show TURN.TOOL --json`; those of the answer are null until there is one."""
    found = {row.kind: row for row in rows}
    call, answer = cast("CallRow", found["call"]), cast("AnswerRow | None", found.get("answer"))
    return {
        "turn": call.origin.turn,
        "number": call.number,
        "name": call.name,
        "input": call.given,
        "failed": answer and answer.failed,
        "label": answer and answer.label,
        "output": answer and answer.output.plain,
        "took_ms": answer and answer.took_ms,
    }


def _show_whole(rows: Iterable["Row"]) -> None:
    from hyperhive_cli.cli.pager import page  # noqa: PLC0415 - for long texts alone
    from hyperhive_cli.render.document import rows_to_text  # noqa: PLC0415 - as `turn_rows`

    page(f"{line}\n" for line in printable(rows_to_text(rows)))


def _warn_of_start(found: FoundTurn) -> None:
    if found.span is not None and not found.span.is_whole:
        echo("the start of this turn is no longer in the history", err=True)


def _show_events(paths: AgentPaths, found: FoundTurn) -> None:
    from hyperhive_cli.cli.displays import open_display  # noqa: PLC0415 - the parser of events costs 20 ms

    _warn_of_start(found)
    is_first = True
    with open_display({}, live=False, whole=True) as sink:
        for page in turn_pages(paths, found, warn_of_part):
            if is_first:
                echo(f"started {moment(page[0].ts / 1000, now_ms() / 1000)}", err=True)
                is_first = False
            sink.show(page)


def _row_to_lines(row: dict[str, Any]) -> list[str]:
    took = text.duration((row["duration_ms"] or 0) / 1000)
    tools = ", ".join(f"{text.one_line(name, 40)} {count}" for name, count in row["tools"].items())
    is_gone = row["body"] is None and row["message_id"] is not None
    counters = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    given, out, read, written = (text.tokens(row[name]) for name in counters)
    facts = {
        "turn": row["turn_id"],
        "from": row["sender"] or (None if is_gone else "hyperhive"),
        "message": f"{row['message_id']}, no longer kept" if is_gone else text.one_line(row["body"] or "/compact", 400),
        "outcome": ", ".join([row["outcome"] or "running", *end_remarks(row["denied"], row["message_state"])]),
        "because": row["note"],
        "started": moment(row["started"] / 1000, now_ms() / 1000),
        "took": took,
        "model": row["model"],
        "session": row["session_id"],
        "tokens": f"{given} in, {out} out, {read} cached, {written} written",
        "context": _compacted(row["compacted_from"], row["context_tokens"]),
        "cost": text.dollars(row["cost_usd"]),
        "tools": tools,
        "result": row["result_text"],
    }
    return [f"{name:<8} {text.clean(str(value))}" for name, value in facts.items() if value not in {None, ""}]


def _compacted(before: int | None, after: int | None) -> str | None:
    """Return what a compaction has achieved; older releases of claude do not report the size after it."""
    if not before:
        return None
    return f"{before:,} tokens, compacted{'' if after is None else f' to {after:,}'}"
