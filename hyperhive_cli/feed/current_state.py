"""`CurrentState`: what the agent is doing now. Changes are published; only the choice of model is stored."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hyperhive_cli.claude.stream import text_field, tool_names
from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.events import LiveEvent, ModelChanged, Note, StatusChanged, TokenUsageChanged, TurnStateChanged
from hyperhive_cli.core.settings import DEFAULT_MODEL
from hyperhive_cli.core.status import Status, StatusInputs, TurnState, status_of
from hyperhive_cli.core.usage import TokenUsage, context_of
from hyperhive_cli.store.model import load_model, read_model, write_model


class CurrentState:
    """Status, turn state, model, tokens and tool calls. `now` returns Unix seconds."""

    def __init__(
        self, publish: Callable[[LiveEvent], None], now: Callable[[], float], model_file: Path | None = None
    ) -> None:
        self.standing = StatusInputs()
        self.state = TurnState.IDLE
        self.since_unix = int(now())
        self.usage = TokenUsage()
        self.context_tokens: int | None = None
        self.context_window: int | None = None
        self.permission_mode: str | None = None  # as claude said last, or as it was chosen
        self.model = DEFAULT_MODEL if model_file is None else read_model(model_file)
        self._publish = publish
        self._now = now
        self._shown = status_of(self.standing)
        self._model_file = model_file
        self._model_trouble: str | None = None  # why the choice of model cannot be read, as it was last said
        self._tool_calls: Counter[str] = Counter()

    def restore(self, context_tokens: str | None, context_window: str | None) -> None:
        """Take over what an earlier life knew of the context, as facts. Nothing changes, so nothing is published."""
        self.context_tokens = int(context_tokens) if context_tokens else None
        self.context_window = int(context_window) if context_window else None

    def set_state(self, state: TurnState) -> None:
        """Set the turn state, and publish it if it is another one."""
        if state is not self.state:
            self.state, self.since_unix = state, int(self._now())
            self._publish(TurnStateChanged(state=state.value, since_unix=self.since_unix))

    def know(self, **fields: Any) -> None:  # noqa: ANN401 - those of StatusInputs
        """Set what one owner knows, by the fields of `StatusInputs`; publish the status if it changes."""
        self.standing = self.standing._replace(**fields)
        before, self._shown = self._shown, status_of(self.standing)
        if self._shown != before:
            self._publish(StatusChanged(**self._shown._asdict()))

    @property
    def status(self) -> Status:
        """The agent's status, derived from everything that its owners know."""
        return self._shown.status

    @property
    def waits_until(self) -> int | None:
        """When the status ends by itself, Unix s; None if it does not, or if that is not known."""
        return self._shown.until_unix

    def set_model(self, model: str) -> None:
        """Store the choice of model and publish it; raises StoreError when it cannot be stored."""
        if self._model_file is not None:
            write_model(self._model_file, model)
        self.model = model
        self._publish(ModelChanged(model=model))

    def refresh_model(self) -> str:
        """Read the choice of model again and return it; publish it if another process changed the file."""
        model = self.model if self._model_file is None else self._load_model(self._model_file)
        if model != self.model:
            self.model = model
            self._publish(ModelChanged(model=model))
        return model

    def _load_model(self, path: Path) -> str:
        """Read the choice. If it is unreadable, say so once and go on with the last one."""
        try:
            model, trouble = load_model(path), None
        except StoreError as error:
            model, trouble = self.model, error.message
        if trouble is not None and trouble != self._model_trouble:
            self._publish(Note(text=f"{trouble}; going on with {model}", level="warning"))
        self._model_trouble = trouble
        return model

    def record_usage(self, usage: TokenUsage, context_tokens: int | None, context_window: int | None) -> None:
        """Publish the tokens of a turn and the size of the context that it left (None: as it was)."""
        self.usage = usage
        self.context_tokens = context_tokens if context_tokens is not None else self.context_tokens
        self.context_window = context_window or self.context_window
        self._publish(
            TokenUsageChanged(usage=usage, context_tokens=self.context_tokens, context_window=self.context_window)
        )

    def observe_stream(self, line: Mapping[str, Any]) -> None:
        """Take the tool calls, the context's size and the permission mode from a line of claude's stdout."""
        kind = line.get("type")
        if kind == "assistant":
            if names := tool_names(line):
                self._tool_calls.update(names)
            self.context_tokens = context_of(line) or self.context_tokens
        elif kind == "system" and line.get("subtype") == "compact_boundary":
            self.context_tokens = context_of(line)  # None: it does not say how large it is
        elif kind == "system" and line.get("subtype") == "init":
            self.permission_mode = text_field(line, "permissionMode") or self.permission_mode

    def take_tool_calls(self) -> dict[str, int]:
        """Return the tool calls since the last take, by name."""
        taken, self._tool_calls = dict(self._tool_calls), Counter()
        return taken

    def to_dict(self) -> dict[str, Any]:
        """Return the state's part of a snapshot."""
        return {
            "status": self.status,
            "waits_until": self.waits_until,
            "why": self._shown.why,
            "state": self.state.value,
            "since_unix": self.since_unix,
            "model": self.model,
            "permission_mode": self.permission_mode,
            "usage": self.usage.to_dict(),
            "context_tokens": self.context_tokens,
            "context_window": self.context_window,
        }
