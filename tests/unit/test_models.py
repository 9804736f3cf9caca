"""Models by name: which one answered, and whether it is the one that was asked for."""

from typing import Any

import pytest

from hyperhive_cli.claude.models import answering_model, is_asked_model, model_family, plain_model


@pytest.mark.parametrize(
    ("asked", "answered", "same"),
    [
        ("haiku", "claude-haiku-4-5-20251001", True),
        ("haiku", "claude-3-5-haiku-20241022", True),
        ("Haiku", "us.anthropic.claude-haiku-4-5-20251001-v1:0", True),
        ("opus", "claude-haiku-4-5", False),
        ("sonnet[1m]", "claude-sonnet-5-5", True),
        ("opus[1m]", "claude-sonnet-5-5", False),
        ("opusplan", "claude-opus-5-5", True),
        ("opusplan", "claude-sonnet-5-5", True),
        ("opusplan[1m]", "claude-opus-5-5", True),
        ("opusplan", "claude-haiku-4-5", False),
        ("default", "claude-sonnet-5-5", True),
        ("best", "claude-opus-5-5", True),
        ("fable", "claude-fable-5-2", True),
        ("claude-opus-4-8", "claude-opus-4-8", True),
        ("claude-opus-4-8", "claude-opus-4-8-20260101", True),
        ("claude-opus-4-8[1m]", "claude-opus-4-8", True),
        ("claude-opus-4-0", "claude-opus-4-20250514", True),
        ("claude-opus-5", "claude-opus-5-5", False),
        ("claude-opus-4-8", "claude-opus-5", False),
        ("claude-opus-4-8", "claude-sonnet-5", False),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022", True),
        ("claude-opus-4-8", "us.anthropic.claude-opus-4-8-v1:0", True),
        ("us.anthropic.claude-opus-4-8", "claude-opus-4-8", True),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5", True),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-opus-4-8-v1:0", "claude-opus-4-8", True),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123", "claude-opus-4-8", True),
        ("claude-opus-4-1@20250805", "claude-opus-4-1", True),
        ("anthropic/claude-opus-4.8", "claude-opus-4-8", True),
        ("anthropic/claude-opus-4.8", "claude-haiku-4-5", False),
        ("haiku", "glm-4.6", True),
        ("my-deployment", "claude-sonnet-5-5", True),
        ("qwen3", "qwen3", True),
    ],
)
def test_a_model_is_known_by_all_its_names(asked: str, answered: str, *, same: bool) -> None:
    assert is_asked_model(asked, answered) is same


@pytest.mark.parametrize(
    ("line", "model"),
    [
        ({"type": "assistant", "message": {"model": "claude-haiku-4-5"}}, "claude-haiku-4-5"),
        (
            {"type": "assistant", "message": {"model": "claude-haiku-4-5"}, "parent_tool_use_id": None},
            "claude-haiku-4-5",
        ),
        ({"type": "assistant", "message": {"model": "claude-haiku-4-5"}, "parent_tool_use_id": "toolu_1"}, None),
        ({"type": "assistant", "message": {"model": "<synthetic>"}}, None),
        ({"type": "assistant", "message": {"model": 7}}, None),
        ({"type": "assistant", "message": {}}, None),
        ({"type": "assistant", "message": "x"}, None),
        ({"type": "result", "message": {"model": "claude-haiku-4-5"}}, None),
    ],
)
def test_only_the_main_thread_and_no_text_of_the_binary_names_the_model(
    line: dict[str, Any], model: str | None
) -> None:
    assert answering_model(line) == model


@pytest.mark.parametrize("name", ["", " ", "[1m]", "arn:", "/", "-v1:0", "@20250101", "claude-", "🐝"])
def test_odd_names_do_no_harm(name: str) -> None:
    assert is_asked_model(name, "claude-opus-5") is True
    assert is_asked_model("opus", name) is True
    assert isinstance(plain_model(name), str)
    assert model_family(name) is None
