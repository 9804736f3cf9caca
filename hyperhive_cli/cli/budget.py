"""`hyperhive budget`."""

from collections.abc import Mapping
from typing import Any

from hyperhive_cli.cli.amount import DOLLARS, NUMBER
from hyperhive_cli.cli.declared import argument, group, option, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, now_ms, paint, print_json, print_lines
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.cli.tables import UNCUT, is_piped
from hyperhive_cli.cli.width import columns
from hyperhive_cli.core.budget import shown as in_words
from hyperhive_cli.core.errors import NotRunningError, StoreError, UsageError
from hyperhive_cli.harness.client import LocalClient
from hyperhive_cli.render.status_rows import amount_words, budget_to_rows, fit
from hyperhive_cli.store.inbox import open_inbox
from hyperhive_cli.store.spending import raise_limits, read_budget

NO_LIMITS = "no limits are set; set them with hyperhive run --max-day-cost USD, …"
as_json_option = option("--json", "as_json", is_flag=True, help="Print JSON; its fields: hyperhive help budgets.")


@group(alone="show")
def budget() -> None:
    """Show how much of each limit is used, or raise a limit.

    \b
    Examples: hyperhive budget
              hyperhive budget raise 5
    """  # noqa: D301 - click's own mark


@budget.command()
@as_json_option
@pass_invocation
def show(invocation: Invocation, *, as_json: bool) -> None:
    """Show how much of each limit is used, today and by the running turn.

    \b
    Example: hyperhive budget show --json
    """  # noqa: D301 - click's own mark
    status = invocation.local().status()
    found = status["budget"]
    if found is None and status["problems"]:
        raise StoreError(status["problems"][0], "hyperhive doctor")
    if as_json:
        print_json(found)
    elif found is None:
        echo(NO_LIMITS, err=True)
    else:
        rows = budget_to_rows(found)
        width = UNCUT if is_piped() else columns()
        print_lines(paint(fit(row, max(len(name) for name, _ in rows), width)) for row in rows)


@budget.command("raise")
@argument("dollars", type=DOLLARS, metavar="[USD]", required=False)
@option("--day-cost", type=DOLLARS, metavar="USD", help="Today's limit.")
@option("--message", "message_id", type=NUMBER, metavar="ID", help="The message that the limits below apply to.")
@option("--turn-cost", type=DOLLARS, metavar="USD", help="Cost limit of the message's next turn.")
@option("--turn-tokens", type=NUMBER, metavar="N", help="Token limit of its turn.")
@option("--tool-calls", type=NUMBER, metavar="N", help="Tool call limit of its turn.")
@pass_invocation
def raise_limit(
    invocation: Invocation,
    /,
    dollars: float | None,
    day_cost: float | None,
    message_id: int | None,
    **given: float | None,
) -> None:
    """Raise a limit to a new value: today's to USD, or one named by an option.

    The day's limit is raised until midnight, a message's limits until the message has ended. Tokens and tool calls also
    apply to its running turn; the cost limit does not, because claude was started with it.

    \b
    Examples: hyperhive budget raise 5
              hyperhive budget raise --message 7 --tool-calls 400
    """  # noqa: D301 - click's own mark
    if dollars is not None and day_cost is not None:
        raise UsageError("today's limit was given twice", "hyperhive budget raise USD")
    day_cost = dollars if day_cost is None else day_cost
    limits = {name: limit for name, limit in given.items() if limit is not None}
    if day_cost is None and not limits:
        raise UsageError("no limit was given", "hyperhive budget raise USD")
    if bool(limits) != (message_id is not None):
        raise UsageError("the limits of a turn need --message", "--message ID --tool-calls N")
    echo(raise_to(invocation.local(changes=True), day_cost, message_id, limits))


def raise_to(
    client: LocalClient,
    day_cost: float | None,
    message_id: int | None = None,
    limits: Mapping[str, float] | None = None,
) -> str:
    """Raise today's limit, or those of a message's turns; return the new ones in words."""
    limits = limits or {}
    asked: dict[str, Any] = {"day_cost": day_cost, "message_id": message_id, **limits}
    answer = client.ask("budget_raise", **asked)
    if answer is None:
        if client.is_new:
            raise NotRunningError(client.agent)
        with open_inbox(client.paths.inbox_db) as inbox:
            known = read_budget(inbox.fact)
            raise_limits(inbox, known, day_cost=day_cost, message_id=message_id, limits=limits, now_ms=now_ms())
    new = [] if day_cost is None else [f"today's limit is now {in_words('day_cost', day_cost)}"]
    if limits:
        allowed = ", ".join(amount_words(name, limit) for name, limit in limits.items())
        new.append(f"a turn of message {message_id} may use {allowed}")
    turn, in_dollars = (answer or {}).get("turn") or {}, day_cost is not None or "turn_cost" in limits
    return _raised("; ".join(new), turn, in_dollars=in_dollars)


def _raised(new: str, turn: Mapping[str, Any], *, in_dollars: bool) -> str:
    """Return the new limits, and what they mean for the running turn."""
    said = f"{new}, also for the running turn" if turn.get("lifted") else new
    if in_dollars and (kept := turn.get("kept_usd")) is not None:
        return f"{said}; claude was started with {in_words('turn_cost', kept)}, which still limits this turn"
    return said
