"""The commands that are typed into a console: `/pause`, `/show 12.1`, … Each is the command of that name."""

import difflib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from hyperhive_cli.control.client import open_call
from hyperhive_cli.core import text
from hyperhive_cli.core.errors import HyperhiveError, NotRunningError, UnknownError, UsageError
from hyperhive_cli.core.outcomes import is_ok
from hyperhive_cli.core.settings import AgentPaths, check_model_name
from hyperhive_cli.harness import steering
from hyperhive_cli.harness.client import AgentClient, LocalClient
from hyperhive_cli.render.blocks import Block
from hyperhive_cli.render.console.cells import Span
from hyperhive_cli.render.console.remarks import listing, remark
from hyperhive_cli.render.document import rows_to_text
from hyperhive_cli.render.status_rows import status_to_rows
from hyperhive_cli.store.messages import View, check_message, new_uid
from hyperhive_cli.store.turns import find_turn, turn_pages
from hyperhive_cli.transcript.translate import Translator

LOGIN_POLL_S = 0.3
LISTED, LISTED_CHARS = 20, 400  # messages, and of each body
SENDER = "operator"

Said = Iterator[Block | str]  # a remark, or a long text for the pager


class Agent(NamedTuple):
    """The agent of a console: `local` asks its harness on this machine, `opened` reads and sends where its inbox is.

    `is_plain`: its console moves no cursor. `is_in_hive`: its files are not necessarily on this machine.
    """

    paths: AgentPaths
    local: LocalClient
    opened: Callable[[], AbstractContextManager[AgentClient]]
    is_plain: bool = False
    is_in_hive: bool = False

    def require(self, op: str, **arguments: Any) -> Mapping[str, Any]:  # noqa: ANN401 - JSON values
        """Ask the harness; raises NotRunningError without one."""
        reply = self.ask(op, **arguments)
        if reply is None:
            raise NotRunningError(self.paths.agent)
        return reply

    def ask(self, op: str, **arguments: Any) -> Mapping[str, Any] | None:  # noqa: ANN401 - JSON values
        """Ask the harness; None if the agent's files can be changed instead, because none runs."""
        reply = self.local.ask(op, **arguments)
        if reply is None and self.is_in_hive:
            raise HyperhiveError(
                f"no harness of {self.paths.agent} runs on this machine", "the same on the machine that runs it"
            )
        return reply


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
    agent.require("cancel")
    again = f"; /retry {message} runs its message again" if message else ""
    yield remark(f"the turn is being interrupted{again}")


def _help(_: Agent, __: str) -> Said:
    names = [(f"/{name} {command.arguments}".strip(), command.about) for name, command in COMMANDS.items()]
    yield listing([[(f"  {name:<20} ", "head"), (about, "")] for name, about in names])


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
    width = max(len(name) for name, _ in rows)
    yield listing([[(f"  {name:<{width}}  ", "quiet"), *spans] for name, spans in rows])


def _inbox(agent: Agent, _: str) -> Said:
    with agent.opened() as client:
        messages = client.messages(ended=False, view=View(LISTED_CHARS, LISTED + 1))
    if not messages:
        yield remark("no messages are waiting")
        return
    now = time.time()
    rows: list[list[Span]] = []
    for message in messages[:LISTED]:
        wait_s = message.not_before / 1000 - now
        when = f"in {text.duration(wait_s)}" if wait_s > 0 else text.ago(now - message.created / 1000)
        words = f"  {message.id:>4}  {message.state:<7}  {when:<12}  {text.one_line(message.sender, 16):<10}  "
        rows.append([(words, ""), (text.one_line(message.body, 200), ""), *_reason(message.reason)])
    if len(messages) > LISTED:
        rows.append([("  more: hyperhive inbox", "quiet")])
    yield listing(rows)


def _reason(reason: str | None) -> list[Span]:
    return [(f" ({text.one_line(reason, 200)})", "quiet")] if reason else []


def _retry(agent: Agent, words: str) -> Said:
    number = _message_id(words, "/retry ID")
    with agent.opened() as client, client.inbox(number, changes=True) as inbox:
        changed = inbox.retry(number, now_ms=int(time.time() * 1000))
        client.wake()
    yield remark(f"#{changed.id} is {changed.state}")


def _message_id(words: str, hint: str) -> int:
    number = words.strip().removeprefix("#")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise UsageError(f"not a message's id: {words.strip()!r}", hint)
    return int(number)


def _cancel(agent: Agent, words: str) -> Said:
    if not words:
        yield from interrupt(agent)
        return
    number = _message_id(words, "/cancel, or /cancel ID")
    with agent.opened() as client, client.inbox(number, changes=True) as inbox:
        changed = inbox.cancel(number, now_ms=int(time.time() * 1000))
    yield remark(f"#{changed.id} is {changed.state}")


def _pause(agent: Agent, _: str) -> Said:
    steering.pause(agent)
    yield remark("paused; the running turn goes on · /resume to continue")


def _resume(agent: Agent, _: str) -> Said:
    yield remark(steering.resume(agent))


def _model(agent: Agent, words: str) -> Said:
    if not words:
        raise UsageError("a model's name is needed", "/model opus")
    name = check_model_name(words)
    if not steering.set_model(agent, name):
        yield remark(f"model: {name}, from the next turn on", "◆", "accent")


def _budget(agent: Agent, words: str) -> Said:
    if words:
        verb, _, amount = words.partition(" ")
        try:
            limit = float(amount.strip().removeprefix("$"))
        except ValueError:
            limit = 0.0
        if verb != "raise" or not limit > 0:
            raise UsageError("not a valid limit", "/budget raise 5")
        agent.require("budget_raise", day_cost=limit)
        yield remark(f"today's limit is {text.dollars(limit)} now")
        return
    with agent.opened() as client:
        found = client.status()
    today, limits = found["today"] or {}, (found["budget"] or {}).get("today", {})
    limit_words = f" of {text.dollars(limits['limit_usd'])}" if limits.get("limit_usd") else ", no limit for the day"
    yield remark(f"today {text.dollars(today.get('cost_usd')) or '$0'}{limit_words}")


def _compact(agent: Agent, _: str) -> Said:
    yield remark("the conversation is compacted after the running turn")
    reply = agent.local.require("compact")
    if is_ok(str(reply["outcome"])) and reply["note"] is None:
        yield remark(
            "compacted" if reply["context_tokens"] is None else f"compacted to {reply['context_tokens']:,} tokens"
        )
    else:
        raise HyperhiveError(f"nothing was compacted: {reply['note'] or reply['outcome']}")


def _new_session(agent: Agent, _: str) -> Said:
    steering.start_new_session(agent)
    yield remark("the next turn starts a new session")


def _login(agent: Agent, _: str) -> Said:
    """Start or join a login, and show what claude prints until it is over. Its code comes by `enter_code`."""
    if agent.ask("status") is None:
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
    named, dot, number = (words.strip() or "last").partition(".")
    if dot and not (number.isascii() and number.isdigit()):
        raise UsageError(f"not a valid tool call: {words.strip()!r}", "/show TURN.TOOL, such as /show 17.3")
    pages = turn_pages(agent.paths, find_turn(agent.paths, named))
    translator = Translator()
    rows = [row for page in pages for record in page for row in translator.rows(record)]
    if not rows:
        raise UnknownError("this turn is no longer in the history", f"hyperhive show {named}")
    wanted = [row for row in rows if getattr(row, "number", None) == int(number)] if dot else rows
    if not wanted:
        raise UnknownError(f"there is no tool call {words.strip()}", f"/show {named}")
    yield "".join(f"{line}\n" for line in rows_to_text(wanted))


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
    "retry": SlashCommand("ID", "run a dead, held or cancelled message again", _retry),
    "pause": SlashCommand("", "start no more turns until /resume", _pause),
    "resume": SlashCommand("", "continue after a pause, a limit, a failure or a wait", _resume),
    "model": SlashCommand("NAME", "set the model of the next turn", _model),
    "budget": SlashCommand("[raise N]", "show today's dollars, or raise today's limit", _budget),
    "compact": SlashCommand("", "summarise the conversation after the running turn", _compact, is_long=True),
    "new-session": SlashCommand("", "start a new conversation with the next turn", _new_session),
    "login": SlashCommand("", "log claude in", _login, is_long=True),
    "logout": SlashCommand("", "log claude out", _logout, is_long=True),
}
