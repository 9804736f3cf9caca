"""Models by name: which one answered, and whether it is the one that was asked for. Pure.

The names of one model differ by its provider: `claude-opus-4-8`, `us.anthropic.claude-opus-4-8-v1:0` (Bedrock),
`claude-opus-4-8@20260101` (Vertex), `anthropic/claude-opus-4.8` (gateways); claude's aliases name a family.
"""

import re
from collections.abc import Mapping
from typing import Any

_FAMILIES = ("opus", "sonnet", "haiku", "fable", "mythos")
_PLAN_FAMILIES = ("opus", "sonnet")  # of `opusplan`: the one plans, the other does
_ONE_MILLION = "[1m]"
_VERSION = re.compile(r"-v\d+(?::\d+)*$")  # Bedrock's
_DATE = re.compile(r"[-@](?:20\d{6}|latest)$")
_PROVIDER = re.compile(r"^(?:[a-z-]+\.)?anthropic\.")  # `us.anthropic.`


def answering_model(line: Mapping[str, Any]) -> str | None:
    """Return the model that wrote an `assistant` line of the main thread; None for any other line.

    A text of the binary's own (`<synthetic>`) is no model's.
    """
    if line.get("type") != "assistant" or line.get("parent_tool_use_id"):
        return None
    message = line.get("message")
    model = message.get("model") if isinstance(message, Mapping) else None
    return model if isinstance(model, str) and model and not model.startswith("<") else None


def is_asked_model(asked: str, answered: str) -> bool:
    """Return True if `answered` is the model that `asked` names, an alias or an id, or if that cannot be told.

    It cannot be told of a name that is none of Claude's: a gateway may call its models as it likes.
    """
    wanted, found = plain_model(asked), plain_model(answered)
    our_family, their_family = model_family(wanted), model_family(found)
    if wanted == found or our_family is None or their_family is None:
        return True
    if wanted == "opusplan":
        return their_family in _PLAN_FAMILIES
    return wanted == our_family == their_family  # else an id, and another one answered


def plain_model(name: str) -> str:
    """Return a model's name without its provider, the provider's version, the date and the size of the context."""
    found = name.strip().lower().removesuffix(_ONE_MILLION)
    found = _PROVIDER.sub("", found.rpartition("/")[2])
    found = _DATE.sub("", _VERSION.sub("", found)).replace(".", "-")
    # `claude-opus-4-0` and `claude-opus-4-20250514` are one model.
    return re.sub(r"^(claude-[a-z]+-\d+)-0$", r"\1", found)


def model_family(name: str) -> str | None:
    """Return the family in a model's name: `opus`, `sonnet`, `haiku`, …; None where none is named."""
    words = re.split(r"[^a-z]+", name.lower())
    return "opus" if "opusplan" in words else next((family for family in _FAMILIES if family in words), None)
