"""`TurnPlan`: how the next turn is run: its session, its limits, its command line and its prompt. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from hyperhive_cli.agent.config import AgentConfig
from hyperhive_cli.agent.session import Session
from hyperhive_cli.claude.argv import Launch, turn_argv
from hyperhive_cli.claude.prompt import message_to_prompt
from hyperhive_cli.claude.turn_limits import TurnLimits
from hyperhive_cli.claude.turn_request import TurnRequest
from hyperhive_cli.core.events import TurnStart
from hyperhive_cli.store.messages import Message

COMPACT_SENDER = "hyperhive"


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """The plan of one turn. A turn without a message runs a command such as `/compact`."""

    launch: Launch
    model: str
    session: Session
    limits: TurnLimits
    continues_newest: bool = False  # the folder's newest conversation, even if another program started it
    prompt: str = ""
    message: Message | None = None

    def argv(self, *, waits: bool = False) -> list[str]:
        """Return the command line of a claude; one that `waits` is started before its prompt is known."""
        return turn_argv(
            self.launch,
            model=self.model,
            session_id=self.session.id,
            newest=self.continues_newest,
            stream_input=waits,
            cost_cap_usd=self.limits.cost_usd,
        )

    def request(self, config: AgentConfig) -> TurnRequest:
        """Return what one run of claude is given."""
        return TurnRequest(
            self.argv(),
            self.prompt.encode(),
            config.workspace,
            config.environment,
            config.limits,
            config.kept,
            session_id=self.session.id,
            expect_auth=config.expect_auth,
            turn_limits=self.limits,
            redact=config.redactor,
        )


def prompt_of(message: Message) -> str:
    """Return the prompt of a message's turn, which says so if an earlier attempt has already acted."""
    delivery = message.deliveries if message.acted else 1
    return message_to_prompt(message.sender, message.body, raw=message.raw, delivery=delivery)


def compact_command(instructions: str | None) -> str:
    """Return the prompt of a compaction."""
    return f"/compact {instructions}" if instructions else "/compact"


def turn_start(
    turn_id: int, message: Message | None, command: str, *, unread: int, model: str, redact: Callable[[str], str]
) -> TurnStart:
    """Return the event that announces the turn of a message, or of a command."""
    start = TurnStart(sender=COMPACT_SENDER, body=redact(command), unread=unread, turn_id=turn_id, model=model)
    if message is None:
        return start
    body = redact(message.body)
    return replace(
        start,
        sender=message.sender,
        body=body,
        message_id=message.id,
        attempt=message.attempts,
        delivery=message.deliveries,
    )
