"""Errors that an operator sees: each carries a hint and an exit code.

`cli.boundary` alone prints them, as `Error: …` and `Try: …`. The message says in one line what is wrong; the hint, if
there is one, says what to try.
"""


class HyperhiveError(Exception):
    """Something the operator should know; `hint` is a command or a sentence to try next."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(HyperhiveError):
    """The command was called with wrong arguments."""

    exit_code = 2


class AgentConflictError(HyperhiveError):
    """The agent's name is bound to another workspace, or another harness holds its state folder."""


class NotRunningError(HyperhiveError):
    """The command needs a running harness and there is none."""

    def __init__(self, agent: str) -> None:
        super().__init__(f"no harness is running for agent {agent!r}", f"hyperhive -a {agent} run")


class RefusedError(HyperhiveError):
    """The harness or the inbox understood the request and declined it."""


class UnknownError(RefusedError):
    """The named thing does not exist: no such message, turn or agent."""


class StoreError(HyperhiveError):
    """A database that must work cannot be used."""


class InboxFailedError(StoreError):
    """The inbox cannot be used, even after retries, so the harness must stop."""


def innermost(error: BaseException) -> BaseException:
    """Return the only error of a group: trio wraps what a task raises."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
