"""The errors that an operator sees: each carries a hint and an exit code.

One boundary (`cli.main`) prints them as `Error: …` and `Try: …`. Whoever raises one says what is wrong
in one line and, where something can be tried, what.
"""


class HyperhiveError(Exception):
    """Something the operator should know; `hint` is a command or a sentence to try next."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(HyperhiveError):
    """The words of the command are off."""

    exit_code = 2


class AgentConflictError(HyperhiveError):
    """The agent's name is bound to another workspace, or another harness holds its state folder."""


class NotRunningError(HyperhiveError):
    """The command needs a running harness and there is none."""

    def __init__(self, agent: str, hint: str | None = None) -> None:
        super().__init__(f"no harness is running for agent {agent!r}", hint or f"hyperhive -a {agent} run")
        self.agent = agent


class RefusedError(HyperhiveError):
    """The harness, or the inbox, understood the request and declined it."""


class UnknownError(RefusedError):
    """There is nothing of this name: no such message, no such turn."""


class StoreError(HyperhiveError):
    """A database that must work does not."""


class InboxFailedError(StoreError):
    """The inbox is of no use any more, or was tried for long enough: the harness cannot go on with it."""
