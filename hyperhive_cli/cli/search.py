"""`hyperhive search`."""

import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.declared import argument, command, option, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, now_ms, paint, print_json, print_lines, say_if_new
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.cli.tables import is_piped, no_header_option, print_piped
from hyperhive_cli.cli.width import columns
from hyperhive_cli.core.errors import StoreError, UsageError
from hyperhive_cli.core.events import KINDS
from hyperhive_cli.core.settings import AgentPaths, default_agents_home
from hyperhive_cli.core.text import moment

if TYPE_CHECKING:
    import click

    from hyperhive_cli.store.history import HistoryReader
    from hyperhive_cli.store.search import Hit, Search
    from hyperhive_cli.store.words import Query

LIMIT_S = 2.0
COUNT = 20
TOOLS = (
    "Bash",
    "Edit",
    "Glob",
    "Grep",
    "Read",
    "Task",
    "WebFetch",
    "WebSearch",
    "Write",
)  # that are offered to a shell


def _duration() -> "click.ParamType[float]":
    from hyperhive_cli.cli.amount import Duration  # noqa: PLC0415 - click

    return Duration(min=0)


@command()
@argument("words", nargs=-1, metavar="[WORDS]...")
@option("--grep", metavar="TEXT", help="Events with TEXT anywhere, also within words (case-insensitive).")
@option("--regex", metavar="RE", help="Events with a line that this regular expression matches.")
@option("--since", metavar="TIME", help="Not older than this: 7d or 2h30m (ago), 'yesterday 18:00', 2026-11-23.")
@option("--until", metavar="TIME", help="Not newer than this.")
@option("--before", least=0, metavar="SEQ", help="Only events before this number, to go on with a search.")
@option("--turn", least=0, metavar="ID", shell_complete=completers.turn_ids, help="Only events of this turn.")
@option(
    "--kind", "kinds", multiple=True, choices=KINDS, metavar="KIND",
    help=f"Only these kinds: {', '.join(KINDS)}.",
)  # fmt: skip
@option("--tools", is_flag=True, help="Only tool calls and their answers.")
@option(
    "--tool",
    metavar="NAME",
    shell_complete=completers.words(*TOOLS),
    help="Only calls of this tool, and their answers.",
)
@option("--failed", is_flag=True, help="Only failures: of tools, of turns, of the harness.")
@option("-n", "count", least=1, default=COUNT, show_default=True, metavar="N", help="Show the newest N.")
@option("--all-agents", is_flag=True, help="Search all agents of this machine.")
@option(
    "--timeout", make_type=_duration, default=LIMIT_S, metavar="DURATION",
    help="Stop searching after this time (default: 2s; 0: never).",
)  # fmt: skip
@option("--json", "as_json", is_flag=True, help="Print one JSON object for each place (hyperhive help events).")
@no_header_option
@pass_invocation
def search(
    invocation: Invocation,
    words: Sequence[str],
    *,
    grep: str | None,
    regex: str | None,
    since: str | None,
    until: str | None,
    count: int,
    all_agents: bool,
    timeout: float,
    as_json: bool,
    no_header: bool,
    **given: Any,  # noqa: ANN401 - the fields of a Wanted
) -> None:
    """Search the agent's history: messages, prose, thoughts, tool calls, outputs and notes.

    All WORDS must occur in the same text, as whole words, in any order and case. A star stands for the end of a word:
    conn*. Quotes within the shell's make a phrase: '"connection refused"'. The newest come first.

    \b
    Examples: hyperhive search connection refused
              hyperhive search '"no space left"' --since 7d --tool Bash
              hyperhive search --failed --since 'yesterday 18:00'
              hyperhive search --regex 'E[0-9]{4}' --all-agents --json
    """  # noqa: D301 - click's own mark
    from hyperhive_cli.store.search import Search, Wanted, newest_hits  # noqa: PLC0415 - SQLite, the parser of events

    if all_agents and (given["turn"] is not None or given["before"] is not None):
        raise UsageError("--turn and --before are of one agent, not of all", "--since and --until")
    query = _query(" ".join(words), grep, regex)
    wanted = Wanted(query=query, since_ms=_moment_ms(since), until_ms=_moment_ms(until), **given)
    client = None if all_agents else invocation.local()
    found = _all_agents() if client is None else [client.paths]
    ends_at = time.monotonic() + (timeout or math.inf)
    with ExitStack() as stack:
        histories = ((paths.agent, _open(stack, paths)) for paths in found)
        searches = [
            Search(agent, history, wanted, lambda: time.monotonic() > ends_at)
            for agent, history in histories
            if history is not None
        ]
        printer = _Printer(query, as_json=as_json, with_agent=all_agents, with_header=not no_header)
        printer.print(newest_hits(searches, count))
        if (remark := _remark(printer, searches, count)) is not None:
            echo(remark, err=True)
    if client is not None and not printer.count:
        say_if_new(client)


def _all_agents() -> list[AgentPaths]:
    from hyperhive_cli.store.folder import find_agents  # noqa: PLC0415 - most searches are of one agent

    return find_agents(default_agents_home(os.environ))


def _query(words: str, grep: str | None, regex: str | None) -> "Query":
    from hyperhive_cli.store.words import ANYTHING, Query  # noqa: PLC0415 - as above

    if (bool(words) + (grep is not None) + (regex is not None)) > 1:
        raise UsageError("WORDS, --grep and --regex cannot be used together", "one of them")
    if grep is not None:
        return Query.from_part(grep)
    if regex is not None:
        return Query.from_pattern(regex)
    return Query.from_text(words) if words else ANYTHING


def _moment_ms(text: str | None) -> int | None:
    if text is None:
        return None
    from hyperhive_cli.core.times import text_to_past  # noqa: PLC0415 - most searches are not bounded
    from hyperhive_cli.core.zone import LocalZone  # noqa: PLC0415 - as above

    now = datetime.fromtimestamp(now_ms() / 1000, UTC)
    return round(text_to_past(text, now, LocalZone()).timestamp() * 1000)


def _open(stack: ExitStack, paths: AgentPaths) -> "HistoryReader | None":
    """Open a history; one that cannot be read is named on stderr."""
    from hyperhive_cli.store.history import open_history  # noqa: PLC0415 - as above

    history, trouble = None, None
    try:
        history = stack.enter_context(open_history(paths))
        trouble = history.trouble
    except StoreError as error:
        trouble = error.message
    if trouble is not None:
        echo(f"{trouble}; see hyperhive -a {paths.agent} doctor", err=True)
    return history


class _Printer:
    """Prints what is found as soon as it is: the newest may be there long before the last one."""

    def __init__(self, query: "Query", *, as_json: bool, with_agent: bool, with_header: bool) -> None:
        self.count = 0
        self.last: Hit | None = None
        self._query = query
        self._as_json = as_json
        self.with_agent = with_agent
        self._with_header = with_header

    def print(self, hits: Iterable["Hit"]) -> None:
        """Print hits: JSON, rows with tabs in a pipe, or for a person."""
        if self._as_json:
            for found in self._counted(hits):
                print_json(found)
        elif is_piped():
            from hyperhive_cli.render.hits import PIPED_HIT, hit_to_values  # noqa: PLC0415 - after the query is checked

            print_piped(PIPED_HIT, map(hit_to_values, self._counted(hits)), no_header=not self._with_header)
        else:
            from hyperhive_cli.render.hits import hit_to_spans  # noqa: PLC0415 - as above

            for found in self._counted(hits):
                spans = hit_to_spans(found, columns(), time.time(), with_agent=self.with_agent)
                print_lines(map(paint, spans))

    def _counted(self, hits: Iterable["Hit"]) -> Iterator[dict[str, Any]]:
        from hyperhive_cli.transcript.hits import hit_to_dict  # noqa: PLC0415 - as above

        for hit in hits:
            self.count, self.last = self.count + 1, hit
            yield hit_to_dict(hit, self._query)


def _remark(printed: _Printer, searches: Sequence["Search"], count: int) -> str | None:
    """Say that there may be more, and how to see it, or that there is nothing; None if all was found."""
    from hyperhive_cli.store.search import where_to_go_on  # noqa: PLC0415 - as above

    is_full = printed.count >= count
    place = where_to_go_on(searches, printed.last if is_full else None)
    if place is None:
        return None if printed.count else "nothing found"
    then = datetime.fromtimestamp(place.ts / 1000)  # noqa: DTZ006 - local, as times are given
    rest = f"--until {then.isoformat(timespec='milliseconds')}" if printed.with_agent else f"--before {place.seq}"
    if is_full:
        return f"the newest {printed.count}; for older ones add {rest}"
    when = moment(place.ts / 1000, time.time())
    return f"not everything was searched, only back to {when}: to go on add {rest}, or --timeout 0"
