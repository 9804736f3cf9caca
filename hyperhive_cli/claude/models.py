"""Names of models: which one answered, and whether it is the requested one. Pure.

Providers name the same model differently: `claude-opus-4-8`, `us.anthropic.claude-opus-4-8-v1:0` (Bedrock),
`claude-opus-4-8@20260101` (Vertex), `anthropic/claude-opus-4.8` (gateways); claude's aliases name a family.
"""

import re
from collections.abc import Mapping
from typing import Any

FAMILIES = ("opus", "sonnet", "haiku", "fable", "mythos")
_PLAN_FAMILIES = ("opus", "sonnet")  # of `opusplan`: one plans, the other does the work
_ONE_MILLION = "[1m]"
_VERSION = re.compile(r"-v\d+(?::\d+)*$")  # Bedrock's
_DATE = re.compile(r"[-@](?:20\d{6}|latest)$")
_PROVIDER = re.compile(r"^(?:[a-z-]+\.)?anthropic\.")  # `us.anthropic.`


def answering_model(line: Mapping[str, Any]) -> str | None:
    """Return the model that wrote an `assistant` line of the main thread; None for any other line."""
    # Text of the binary itself (`<synthetic>`) has no model.
    if line.get("type") != "assistant" or line.get("parent_tool_use_id"):
        return None
    message = line.get("message")
    model = message.get("model") if isinstance(message, dict) else None
    return model if isinstance(model, str) and model and not model.startswith("<") else None


def is_asked_model(asked: str, answered: str) -> bool:
    """Return True if `answered` is the model that `asked` names (an alias or an id), or if that is unknown."""
    # Unknown without one of Claude's families in both names: a gateway may name its models freely.
    wanted, found = plain_model(asked), plain_model(answered)
    our_family, their_family = model_family(wanted), model_family(found)
    if wanted == found or our_family is None or their_family is None:
        return True
    if wanted == "opusplan":
        return their_family in _PLAN_FAMILIES
    return wanted == our_family == their_family  # False for an id: another one answered


def plain_model(name: str) -> str:
    """Return a model's name without provider, provider's version, date and context size."""
    found = name.strip().lower().removesuffix(_ONE_MILLION)
    found = _PROVIDER.sub("", found.rpartition("/")[2])
    found = _DATE.sub("", _VERSION.sub("", found)).replace(".", "-")
    # `claude-opus-4-0` and `claude-opus-4-20250514` are the same model.
    return re.sub(r"^(claude-[a-z]+-\d+)-0$", r"\1", found)


def model_family(name: str) -> str | None:
    """Return the family in a model's name: `opus`, `sonnet`, `haiku`, …; None if there is none."""
    words = re.split(r"[^a-z]+", name.lower())
    return "opus" if "opusplan" in words else next((family for family in FAMILIES if family in words), None)
