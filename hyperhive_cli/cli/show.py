"""`hyperhive show`."""

from typing import Any

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.declared import argument, command, option, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, now_ms, print_json, print_lines, warn_of_history
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.core import text
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.render.turn_words import moment
from hyperhive_cli.store.turns import FoundTurn, find_turn, turn_pages, turn_to_dict
from hyperhive_cli.transcript.endings import end_remarks


@command()
@argument("turn", metavar="TURN|last", shell_complete=completers.turns)
@option("--json", "as_json", is_flag=True, help="Print its statistics as JSON (its events: tail --turn TURN --json).")
@pass_invocation
def show(invocation: Invocation, turn: str, *, as_json: bool) -> None:
    """Replay a finished turn from the history; if that was deleted, show the statistics that are left.

    \b
    Examples: hyperhive show last
              hyperhive show 17 --json
    """  # noqa: D301 - click's own mark
    paths = invocation.paths()
    warn_of_history(paths)
    found = find_turn(paths, turn)
    if as_json:
        print_json(turn_to_dict(found))
    elif found.event_count:
        _show_events(paths, found)
    elif found.row is not None:
        echo("this turn is no longer in the history; its statistics are left:", err=True)
        print_lines(_row_to_lines(found.row))


def _show_events(paths: AgentPaths, found: FoundTurn) -> None:
    from hyperhive_cli.cli.displays import open_display  # noqa: PLC0415 - rich costs 100 ms

    if found.span is not None and not found.span.is_whole:
        echo("the start of this turn is no longer in the history", err=True)
    is_first = True
    with open_display({}, live=False) as sink:
        for page in turn_pages(paths, found):
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
