"""The commands that are typed into a console: `/pause`, `/show 12.1`, … Each is the command of that name."""

import difflib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from hyperhive_cli.cli.budget import NO_LIMITS, raise_to
from hyperhive_cli.cli.inbox import change_each
from hyperhive_cli.cli.model import choose_model
from hyperhive_cli.cli.quota import WHY_NOT_KNOWN
from hyperhive_cli.cli.session import COMPACTING, compacted, end_wait, interrupt_turn
from hyperhive_cli.cli.show import call_rows, tool_of, turn_rows
from hyperhive_cli.cli.width import columns
from hyperhive_cli.control.client import open_call
from hyperhive_cli.core import text
from hyperhive_cli.core.errors import HyperhiveError, NotRunningError, UsageError
from hyperhive_cli.core.settings import AgentPaths
from hyperhive_cli.harness import steering
from hyperhive_cli.harness.client import AgentClient, LocalClient
from hyperhive_cli.render.blocks import Block
from hyperhive_cli.render.console.remarks import listing, remark
from hyperhive_cli.render.console.typing import DETACH
from hyperhive_cli.render.document import rows_to_text
from hyperhive_cli.render.inbox_table import messages_to_spans
from hyperhive_cli.render.quota_rows import quota_to_rows
from hyperhive_cli.render.status_rows import Row, budget_to_rows, status_to_rows
from hyperhive_cli.store.messages import View, check_message, new_uid
from hyperhive_cli.store.model import load_model
from hyperhive_cli.store.turns import find_turn
from hyperhive_cli.transcript.quota_words import NOT_KNOWN, open_quota

if TYPE_CHECKING:
    from hyperhive_cli.doctor.findings import Finding

LOGIN_POLL_S = 0.3
LISTED, LISTED_CHARS = 20, 400  # messages, and of each body
SENDER = "operator"

Said = Iterator[Block | str]  # a remark, or a long text for the pager


class Agent(NamedTuple):
    """The agent of a console: `local` asks its harness on this machine, `opened` reads and sends where its inbox is.

    `examine` is `hyperhive doctor`.
    `is_plain`: its console moves no cursor. `is_in_hive`: its files are not necessarily on this machine.
    """

    paths: AgentPaths
    local: LocalClient
    opened: Callable[[], AbstractContextManager[AgentClient]]
    examine: Callable[[], "Sequence[Finding]"] | None
    is_plain: bool = False
    is_in_hive: bool = False

    def require(self, op: str, **arguments: Any) -> Mapping[str, Any]:  # noqa: ANN401 - JSON values
        """Ask the harness; raises NotRunningError without one."""
        reply = self.steered().ask(op, **arguments)
        if reply is None:
            raise NotRunningError(self.paths.agent)
        return reply

    def steered(self) -> LocalClient:
        """Return the agent for what acts on its harness or its files; in a hive that is on the machine that runs it."""
        if self.is_in_hive and self.local.ask("status") is None:
            raise HyperhiveError(
                f"no harness of {self.paths.agent} runs on this machine", "the same on the machine that runs it"
            )
        return self.local


class SlashCommand(NamedTuple):
    """A command: its arguments, what it does, and the function that does it and says what came of it."""

    arguments: str
    about: str
    run: Callable[[Agent, str], Said]
    is_long: bool = False  # waits for a turn or a person


def send(agent: Agent, body: str, at: str | None = None) -> Said:
    """Put a message into the inbox, through the harness if one runs."""
    _, body = check_message(SENDER, body)
    key = new_uid()  # if the harness answers too late, the second way does not store it twice
    with agent.opened() as client:
        if isinstance(client, LocalClient) and (reply := client.ask("send", body=body, key=key, at=at)) is not None:
            sent_id, remarks = reply["id"], iter([reply["note"]] if reply["note"] else [])
        else:
            not_before, when = (0, None) if at is None else _start(at)
            now_ms = int(time.time() * 1000)
            sent, remarks = client.send(SENDER, body, now_ms=now_ms, key=key, raw=False, not_before=not_before)
            sent_id, remarks = sent.id, iter([*([when] if when else []), *remarks])
        waiting = client.status()["unread"] or 0
    behind = f" behind {text.plural(waiting - 1, 'other')}" if waiting > 1 and at is None else ""
    yield remark(f"#{sent_id} queued{behind}: {text.one_line(body, 200)}", "+")
    for words in remarks:
        yield remark(words)


def _start(at: str) -> tuple[int, str | None]:
    from hyperhive_cli.core.times import text_to_start  # noqa: PLC0415 - most messages run immediately
    from hyperhive_cli.core.zone import LocalZone, utc_now  # noqa: PLC0415 - as above

    return text_to_start(at, utc_now(), LocalZone())


def _at(agent: Agent, words: str) -> Said:
    at, _, body = words.partition(" ")
    if at == "tomorrow":
        more, _, body = body.partition(" ")
        at = f"{at} {more}"
    if not body.strip():
        raise UsageError("a time and a text are needed", "/at 14:30 TEXT")
    return send(agent, body.strip(), at)


def interrupt(agent: Agent, message: str = "") -> Said:
    """Interrupt the running turn, and say how to run its message again, if its number is known."""
    again = f"; /retry {message} runs its message again" if message else ""
    yield remark(f"{interrupt_turn(agent.local)}{again}")


def listed() -> list[tuple[str, str]]:
    """Return each `/command` with its arguments, and what it does."""
    commands = [(f"/{name} {command.arguments}".strip(), command.about) for name, command in COMMANDS.items()]
    return [*commands, (DETACH, "leave, in attach; the agent goes on")]


def _help(_: Agent, __: str) -> Said:
    yield listing([[(f"  {name:<20} ", "head"), (about, "")] for name, about in listed()])


KEYS = (  # the key, what it does, and whether a plain console knows it
    ("Enter", "send the line to the inbox; /… runs a command, //text sends /text", True),
    ("\\ Enter", "a new line", True),
    ("Ctrl-J, Alt-Enter", "a new line too", False),
    ("Tab", "complete a /command, else send", False),
    ("Esc", "interrupt the running turn; with text: clear it (↑ brings it back)", True),
    ("↑ ↓", "lines, then what was sent before", True),
    ("Ctrl-O", "the last output of a tool, whole", True),
    ("Ctrl-C", "clear the line; twice on an empty one: stop the agent, or leave it in attach", True),
    ("Ctrl-D", "leave, in attach", True),
    ("Ctrl-Z", "stop this program (fg continues it)", True),
    ("Ctrl-L", "draw again", False),
    ("Ctrl-U, Ctrl-W", "delete the line, or its last word", True),
    ("Ctrl-A E B F K Y", "as in the shell; Alt-B F, Ctrl-← →: by words", False),
)


def keys(agent: Agent, _: str) -> Said:
    """List the keys of the console."""
    found = [(key, what) for key, what, is_plain_too in KEYS if is_plain_too or not agent.is_plain]
    yield listing([[(f"  {key:<20} ", "head"), (what, "")] for key, what in found])


def _status(agent: Agent, _: str) -> Said:
    with agent.opened() as client:
        rows = status_to_rows(client.status(), time.time())
    yield _rows(rows)


def _rows(rows: Sequence[Row]) -> Block:
    width = max(len(name) for name, _ in rows)
    return listing([[(f"  {name:<{width}}  ", "quiet"), *spans] for name, spans in rows])


def _inbox(agent: Agent, _: str) -> Said:
    with agent.opened() as client:
        messages = client.messages(ended=False, view=View(LISTED_CHARS, LISTED + 1))
    if not messages:
        yield remark("no messages are waiting")
        return
    yield listing(messages_to_spans(messages[:LISTED], time.time(), columns(), plain=agent.is_plain))
    if len(messages) > LISTED:
        yield remark("more: hyperhive inbox")


def _change(verb: str, agent: Agent, words: str) -> Said:
    """Cancel or retry the messages of these ids."""
    ids = [_message_id(word, f"/{verb} ID") for word in words.split() or [""]]
    with agent.opened() as client:
        for said in change_each(client, ids, verb):
            yield remark(said)


def _message_id(word: str, hint: str) -> int:
    number = word.removeprefix("#")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise UsageError(f"not a message's id: {word!r}", hint)
    return int(number)


def _cancel(agent: Agent, words: str) -> Said:
    return _change("cancel", agent, words) if words else interrupt(agent)


def _does(act: Callable[[LocalClient], str]) -> Callable[[Agent, str], Said]:
    """Return a command that does something to the harness, or in its absence to the agent's files."""

    def run(agent: Agent, _: str) -> Said:
        yield remark(act(agent.steered()))

    return run


def _model(agent: Agent, words: str) -> Said:
    yield remark(choose_model(agent.steered(), words) if words else load_model(agent.paths.model_file))


def _budget(agent: Agent, words: str) -> Said:
    if words:
        verb, _, amount = words.partition(" ")
        limit = _dollars(amount)
        if verb != "raise" or limit is None:
            raise UsageError("not a valid limit", "/budget raise 5")
        yield remark(raise_to(agent.steered(), limit))
        return
    with agent.opened() as client:
        found = client.status()
    if found["budget"] is None:
        spent = text.dollars((found["today"] or {}).get("cost_usd")) or "$0"
        yield remark(f"today {spent}; {NO_LIMITS}")
    else:
        yield _rows(budget_to_rows(found["budget"]))


def _quota(agent: Agent, _: str) -> Said:
    with agent.opened() as client:
        windows = open_quota(client.status()["quota"], time.time())
    if windows:
        yield _rows(quota_to_rows(windows, time.time()))
    else:
        yield remark(f"{NOT_KNOWN}: {WHY_NOT_KNOWN}")


def _dollars(amount: str) -> float | None:
    """Return an amount that was typed, None if it is not a positive number."""
    try:
        limit = float(amount.strip().removeprefix("$"))
    except ValueError:
        return None
    return limit if 0 < limit < math.inf else None


def _compact(agent: Agent, _: str) -> Said:
    yield remark(COMPACTING)
    yield remark(compacted(agent.local.require("compact")))


def _doctor(agent: Agent, _: str) -> Said:
    """Examine the agent, and show the findings, each with what to do about it."""
    from hyperhive_cli.cli.doctor import SIGNS  # noqa: PLC0415 - trio

    if agent.examine is None:
        raise HyperhiveError("an agent of the table is not examined here", f"hyperhive -a {agent.paths.agent} doctor")
    yield remark("examining the agent and this machine")
    for one in agent.examine():
        yield remark(f"{one.what}: {one.finding}", SIGNS[one.level], "")
        if one.advice is not None:
            yield remark(one.advice, "→", "")


def _login(agent: Agent, _: str) -> Said:
    """Start or join a login, and show what claude prints until it is over. Its code comes by `enter_code`."""
    if agent.steered().ask("status") is None:
        raise HyperhiveError(f"no harness of {agent.paths.agent} runs here", "hyperhive login")
    with open_call(agent.paths.socket, "login"):
        shown = 0
        while True:
            found = agent.require("status")["login"]
            if found is None:
                raise HyperhiveError("the harness was restarted during the login", "/login")
            output = text.clean(found["output"])
            end = len(output) if found["finished"] else output.rfind("\n") + 1
            for line in filter(None, output[shown:end].splitlines()):
                yield remark(line, "!", "")
            shown = max(shown, end)
            if found["finished"]:
                break
            time.sleep(LOGIN_POLL_S)
    if not found["ok"]:
        raise HyperhiveError(f"not logged in: {found['note']}", "/login")
    yield remark("logged in", "✓", "fine")


def enter_code(agent: Agent, code: str) -> Said:
    """Pass a code on to the login under way."""
    agent.require("login_code", code=code)
    yield remark("the code was passed on")


def _logout(agent: Agent, _: str) -> Said:
    ended = agent.require("logout")["logout"]
    if not ended["ok"]:
        raise HyperhiveError(f"not logged out: {ended['note']}")
    yield remark("logged out")


def _show(agent: Agent, words: str) -> Said:
    """Return a turn, or one of its calls, whole."""
    asked = words.strip() or "last"
    named, number = tool_of(asked)
    found = find_turn(agent.paths, named)
    rows = turn_rows(agent.paths, found) if number is None else call_rows(agent.paths, found, asked, number)
    yield "".join(f"{line}\n" for line in rows_to_text(rows))


def nearest(name: str) -> str:
    """Return the command that was probably meant."""
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    return f"/{close[0]}" if close else "/help"


COMMANDS: Mapping[str, SlashCommand] = {
    "help": SlashCommand("", "list these commands", _help),
    "keys": SlashCommand("", "list the keys", keys),
    "status": SlashCommand("", "show the agent's status", _status),
    "inbox": SlashCommand("", "list what waits", _inbox),
    "show": SlashCommand("[TURN[.TOOL]]", "show a turn, or one of its tool calls, whole", _show),
    "at": SlashCommand("TIME TEXT", "send a message for later: 14:30, +2h, tomorrow 9:00", _at),
    "cancel": SlashCommand("[ID]", "interrupt the running turn, or cancel a waiting message", _cancel),
    "retry": SlashCommand("ID", "run a dead, held or cancelled message again", partial(_change, "retry")),
    "pause": SlashCommand("", "start no more turns until /resume", _does(steering.pause)),
    "resume": SlashCommand("", "continue after a pause, a limit, a failure or a wait", _does(end_wait)),
    "model": SlashCommand("[NAME]", "show or set the model of the next turn", _model),
    "budget": SlashCommand("[raise N]", "show today's dollars, or raise today's limit", _budget),
    "quota": SlashCommand("", "show how much of the account's plan is used", _quota),
    "compact": SlashCommand("", "summarise the conversation after the running turn", _compact, is_long=True),
    "new-session": SlashCommand("", "start a new conversation with the next turn", _does(steering.start_new_session)),
    "doctor": SlashCommand("", "check claude, the agent's files and this machine", _doctor, is_long=True),
    "login": SlashCommand("", "log claude in", _login, is_long=True),
    "logout": SlashCommand("", "log claude out", _logout, is_long=True),
}
