"""`hyperhive schedule`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.declared import argument, group, option, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, check_known, now_ms, print_json, print_lines, say_if_new
from hyperhive_cli.cli.send import read_stdin
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.cli.tables import is_piped, no_header_option, print_piped, print_spans
from hyperhive_cli.cli.width import columns
from hyperhive_cli.core.errors import UnknownError, UsageError
from hyperhive_cli.core.schedules import MISSED, OVERLAP, Schedule
from hyperhive_cli.core.zone import local_zone_name
from hyperhive_cli.render.schedule_table import (
    PIPED_SCHEDULE,
    next_words,
    schedule_to_lines,
    schedules_to_spans,
    schedules_to_values,
    upcoming,
)

if TYPE_CHECKING:
    import click

    from hyperhive_cli.harness.client import AgentClient
    from hyperhive_cli.store.schedules import Schedules

NAMED = argument("name", metavar="NAME", shell_complete=completers.schedules)
EACH_NAMED = argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=completers.schedules)


def _duration() -> "click.ParamType[float]":
    from hyperhive_cli.cli.amount import Duration  # noqa: PLC0415 - click

    return Duration(min=0)


def _how(command: Any) -> Any:  # noqa: ANN401 - as the decorators of `declared`
    """Add the options that `add` and `edit` have in common."""
    for one in (
        option("--from", "sender", metavar="NAME", help="Sender of its messages (default: operator)."),
        option("--jitter", make_type=_duration, metavar="DURATION", help="Run each message up to so much later: 5m."),
        option(
            "--overlap", choices=OVERLAP, metavar="skip|queue",
            help="While an earlier message has not ended: skip the slot (default), or queue its message.",
        ),
        option(
            "--missed", choices=MISSED, metavar="skip|once|all",
            help="Slots that passed while no harness ran: skip them, send the newest (default), or all.",
        ),
        option(
            "--zone", metavar="ZONE", shell_complete=completers.zones,
            help="Time zone: Europe/Berlin (default: this machine's).",
        ),
    ):  # fmt: skip
        command = one(command)
    return command


@group(alone="list")
def schedule() -> None:
    """Send a message again and again, by a cron expression; list, change, pause or remove schedules.

    A harness sends the messages while it runs. What is missed while none runs follows at its next start.

    \b
    Examples: hyperhive schedule add nightly '0 2 * * *' 'audit the dependencies'
              hyperhive schedule
              hyperhive schedule pause nightly
    """  # noqa: D301 - click's own mark


@schedule.command("add")
@argument("name", metavar="NAME")
@argument("expression", metavar="WHEN")
@argument("text", required=False, metavar="[TEXT]")
@_how
@option("--raw", is_flag=True, help="Pass the text unchanged: slash commands and @files work.")
@option("--json", "as_json", is_flag=True, help="Print the schedule as JSON.")
@pass_invocation
def add_schedule(
    invocation: Invocation, name: str, expression: str, text: str | None, *, raw: bool, as_json: bool,
    **options: Any,  # noqa: ANN401 - those of `_how`
) -> None:  # fmt: skip
    """Add a schedule that sends TEXT whenever WHEN says so.

    WHEN is a cron expression (minute hour day month weekday), @hourly, @daily, @weekly, @monthly or @yearly. Without
    TEXT, or with -, the text is read from stdin.

    \b
    Examples: hyperhive schedule add morning '0 6 * * 1-5' 'triage new issues'
              hyperhive schedule add sweep @hourly 'look for red builds'
    """  # noqa: D301 - click's own mark
    changes = {"sender": "operator", "zone": _zone(options["zone"]), **_given(options)}
    body = read_stdin() if text in {None, "-"} else str(text)
    with invocation.client(changes=True, may_be_new=True) as client:
        if invocation.is_by_name:
            check_known(client)
        new = Schedule(0, name, expression, body=body, raw=raw, **changes)
        with client.schedules(changes=True) as schedules:
            added = schedules.add_schedule(new, now_ms=now_ms())
    _print_changed(added, as_json=as_json)


def _zone(given: str | None) -> str:
    zone = given or local_zone_name()
    if zone is None:
        raise UsageError("the name of this machine's time zone is not known", "--zone Europe/Berlin, or --zone UTC")
    return zone


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given, as fields of a schedule."""
    found = {name: value for name, value in options.items() if value is not None}
    if "jitter" in found:
        found["jitter_s"] = round(found.pop("jitter"))
    return found


def _print_changed(changed: Schedule, *, as_json: bool = False) -> None:
    if as_json:
        print_json(changed.to_dict())
    else:
        echo(f"{changed.name}: next {next_words(changed, now_ms() / 1000)}" if not changed.paused else changed.name)


@schedule.command("list")
@option("--json", "as_json", is_flag=True, help="Print one JSON object per schedule.")
@no_header_option
@pass_invocation
def list_schedules(invocation: Invocation, *, as_json: bool, no_header: bool) -> None:
    """List the schedules by name. In a pipe: a line for each, tabs between the values, nothing cut.

    \b
    Example: hyperhive schedule list --json
    """  # noqa: D301 - click's own mark
    with invocation.client() as client:
        found = _all_of(client)
    if as_json:
        for one in found:
            print_json(one.to_dict())
    elif is_piped():
        print_piped(PIPED_SCHEDULE, schedules_to_values(found), no_header=no_header)
    elif found:
        lines = schedules_to_spans(found, now_ms() / 1000, columns(), local_zone_name())
        print_spans(lines, no_header=no_header)
    if not found:
        echo("no schedules yet; to add one: hyperhive schedule add NAME '0 6 * * 1-5' TEXT", err=True)
        say_if_new(client)


def _all_of(client: "AgentClient") -> list[Schedule]:
    if client.is_new:
        return []
    with client.schedules() as schedules:
        return schedules.schedules()


@schedule.command("show")
@NAMED
@option("--json", "as_json", is_flag=True, help="Print the schedule as JSON, with its `upcoming` moments.")
@pass_invocation
def show_schedule(invocation: Invocation, name: str, *, as_json: bool) -> None:
    """Show a schedule in full, with the next five moments at which it sends.

    \b
    Example: hyperhive schedule show nightly
    """  # noqa: D301 - click's own mark
    with invocation.client() as client:
        if client.is_new:
            say_if_new(client)
            raise UnknownError(f"there is no schedule {name!r}", "hyperhive schedule list")
        with client.schedules() as schedules:
            found = schedules.find_schedule(name)
    now = now_ms() / 1000
    if as_json:
        print_json(found.to_dict() | {"upcoming": upcoming(found, now)})
    else:
        print_lines(schedule_to_lines(found, now))


@schedule.command("edit")
@NAMED
@argument("text", required=False, metavar="[TEXT]")
@option("--when", "expression", metavar="WHEN", help="A cron expression, as of `add`.")
@_how
@option("--json", "as_json", is_flag=True, help="Print the schedule as JSON.")
@pass_invocation
def edit_schedule(
    invocation: Invocation, name: str, text: str | None, expression: str | None, *, as_json: bool,
    **options: Any,  # noqa: ANN401 - those of `_how`
) -> None:  # fmt: skip
    """Change the text, the time or the options of a schedule. With -, the new text is read from stdin.

    \b
    Examples: hyperhive schedule edit nightly --when '30 3 * * *'
              hyperhive schedule edit nightly 'audit the dependencies and the licences'
    """  # noqa: D301 - click's own mark
    changes = _given({**options, "expression": expression, "body": read_stdin() if text == "-" else text})
    if not changes:
        raise UsageError("nothing to change", f"hyperhive schedule edit {name} TEXT, or --when '0 6 * * *'")
    with invocation.client(changes=True) as client, client.schedules(changes=True) as schedules:
        changed = schedules.edit_schedule(name, now_ms=now_ms(), **changes)
    _print_changed(changed, as_json=as_json)


@schedule.command("pause")
@EACH_NAMED
@pass_invocation
def pause_schedules(invocation: Invocation, names: tuple[str, ...]) -> None:
    """Send nothing until `schedule resume`; the slots until then do not count as missed.

    \b
    Example: hyperhive schedule pause nightly
    """  # noqa: D301 - click's own mark
    _change_each(invocation, names, lambda schedules, name: schedules.pause_schedule(name, now_ms=now_ms()), "paused")


@schedule.command("resume")
@EACH_NAMED
@pass_invocation
def resume_schedules(invocation: Invocation, names: tuple[str, ...]) -> None:
    """Send again, from the next slot on.

    \b
    Example: hyperhive schedule resume nightly
    """  # noqa: D301 - click's own mark
    _change_each(invocation, names, lambda schedules, name: schedules.resume_schedule(name, now_ms=now_ms()), None)


@schedule.command("remove")
@EACH_NAMED
@pass_invocation
def remove_schedules(invocation: Invocation, names: tuple[str, ...]) -> None:
    """Delete schedules. Messages that they have sent stay in the inbox.

    \b
    Example: hyperhive schedule remove nightly
    """  # noqa: D301 - click's own mark
    _change_each(invocation, names, lambda schedules, name: schedules.remove_schedule(name), "removed")


def _change_each(
    invocation: Invocation, names: tuple[str, ...], change: "Callable[[Schedules, str], Schedule]", word: str | None
) -> None:
    """Change schedules and print what each is now: `word`, or when it sends next."""
    with invocation.client(changes=True) as client, client.schedules(changes=True) as schedules:
        for name in names:
            changed = change(schedules, name)
            if word is None:
                _print_changed(changed)
            else:
                echo(f"{changed.name} is {word}")


@schedule.command("run")
@NAMED
@pass_invocation
def run_schedule(invocation: Invocation, name: str) -> None:
    """Send a schedule's message now, beside its slots, and print the message's id.

    \b
    Example: hyperhive schedule run nightly
    """  # noqa: D301 - click's own mark
    with invocation.client(changes=True) as client:
        with client.schedules(changes=True) as schedules:
            number = schedules.run_schedule(name, now_ms=now_ms())
        client.wake(ends_wait=False)
    echo(str(number))
