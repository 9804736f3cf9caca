"""`hyperhive send`."""

import codecs
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from hyperhive_cli.cli.declared import argument, command, option, pass_invocation
from hyperhive_cli.cli.hints import addressed
from hyperhive_cli.cli.invocation import Invocation, check_known, hive_option, now_ms, try_to_print
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.settings import MESSAGE_LIMIT_BYTES
from hyperhive_cli.store.messages import Sent, check_message

if TYPE_CHECKING:
    import click


def _duration() -> "click.ParamType[float]":
    from hyperhive_cli.cli.amount import Duration  # noqa: PLC0415 - click

    return Duration(min=0)


@command()
@argument("text", required=False)
@option("--from", "sender", default="operator", metavar="NAME", show_default=True, help="Sender of the message.")
@option("--key", metavar="KEY", help="Deduplicate: sending the same key and text again has no effect.")
@option("--at", metavar="TIME", help="Do not run it before this time: 14:30, +2h30m, tomorrow 9:00, …")
@option("--idle", is_flag=True, help="Run it only on what is left of the plan above `run --reserve`.")
@option("--raw", is_flag=True, help="Pass the text unchanged: slash commands and @files work.")
@option("--wait", is_flag=True, help="Wait until its turn has ended and print the result.")
@option("--timeout", make_type=_duration, metavar="DURATION", help="With --wait: stop waiting after this time.")
@option("--json", "as_json", is_flag=True, help="Print id, state, outcome and result as JSON.")
@option("--new", is_flag=True, help="Create the agent that -a names if there is none.")
@hive_option
@pass_invocation
def send(
    invocation: Invocation,
    text: str | None,
    sender: str,
    key: str | None,
    at: str | None,
    timeout: float | None,
    hive: str | None,
    *,
    idle: bool,
    raw: bool,
    new: bool,
    wait: bool,
    as_json: bool,
) -> int:
    """Send TEXT to the agent's inbox and print the message's id. No harness needs to run.

    Without TEXT, or with -, the text is read from stdin.

    \b
    Examples: hyperhive send 'fix the failing test' --wait
              git diff | hyperhive send - --from reviewer
    """  # noqa: D301 - click's own mark
    if timeout is not None and not wait:
        raise UsageError("--timeout needs --wait", "hyperhive send TEXT --wait --timeout 10m")
    sender, body = check_message(sender, read_stdin() if text in {None, "-"} else str(text))
    not_before, when = start_of(at)
    with invocation.client(hive, changes=True, may_be_new=True) as client:
        if invocation.is_by_name and not new:
            check_known(client)
        sent, remarks = client.send(sender, body, now_ms=now_ms(), key=key, raw=raw, not_before=not_before, idle=idle)
        # From here on the message is stored: a later failure must not look as if it were not.
        for remark in (sent.remark or when, None if raw else _command_hint(body), *remarks):
            _remark(remark)
        if wait:
            from hyperhive_cli.cli.waiting import wait_for_end  # noqa: PLC0415 - most do not wait: 2 ms

            with client.ends() as ends:
                return wait_for_end(ends, sent.id, timeout, as_json=as_json)
    _print_sent(sent, as_json=as_json)  # without another look: the last reader of an inbox leaves a -wal behind
    return 0


# claude's commands that have one of ours: claude's own would not reach the agent's session or settings.
_OWN = {
    "/clear": "hyperhive new-session", "/new": "hyperhive new-session", "/reset": "hyperhive new-session",
    "/compact": "hyperhive compact", "/model": "hyperhive model set NAME", "/login": "hyperhive login",
    "/logout": "hyperhive logout", "/cost": "hyperhive stats", "/usage": "hyperhive stats",
}  # fmt: skip


def _command_hint(body: str) -> str | None:
    """Return a remark on a text that looks like a command of claude's; it is sent as text all the same."""
    word = body.split(None, 1)[0]
    if not word.startswith("/") or not word[1:].replace("-", "").replace(":", "").isalnum():
        return None
    instead = f"{_OWN[word]} does that" if word in _OWN else "`send --raw` runs it"
    return f"{word} is sent as text, not as a command; {instead}"


def start_of(at: str | None) -> tuple[int, str | None]:
    """Return a message's `not_before` (Unix ms, 0: none) and a remark; raises UsageError for an invalid time."""
    if at is None:
        return 0, None
    from hyperhive_cli.core.times import text_to_start  # noqa: PLC0415 - most messages run immediately
    from hyperhive_cli.core.zone import LocalZone, utc_now  # noqa: PLC0415 - as above

    return text_to_start(at, utc_now(), LocalZone())


def _remark(text: str | None) -> None:
    """Print a remark on stderr; it is not an error if stderr is full or closed."""
    if text is not None:
        with suppress(OSError):
            echo(addressed(text), err=True)


def read_stdin() -> str:
    """Return the text of a message from stdin; raises UsageError if it is too long or not UTF-8."""
    if sys.stdin.isatty():
        echo("type the message, then Ctrl-D", err=True)
    content = sys.stdin.buffer.read(len(codecs.BOM_UTF8) + MESSAGE_LIMIT_BYTES + 1).removeprefix(codecs.BOM_UTF8)
    if len(content) > MESSAGE_LIMIT_BYTES:  # the rest is not read: it may be endless
        raise UsageError(
            f"a message has at most {MESSAGE_LIMIT_BYTES:,} bytes, and stdin has more",
            "put the text into a file of the workspace and name it in the message",
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"stdin is not UTF-8 text: byte {error.start:,} (0x{content[error.start]:02x}), counted from 0",
            "iconv -f ENCODING -t UTF-8 FILE | hyperhive send -; or name the file in the message",
        ) from error


def _print_sent(sent: Sent, *, as_json: bool) -> None:
    """Print the id; if stdout is full or closed, the message is stored all the same."""
    why = try_to_print(sent.to_dict() if as_json else str(sent.id))
    if why is not None:
        _remark(f"message {sent.id} is stored, but its id could not be printed: {why}")
