"""What the benchmarks compare with does what it says: a small run of each reference."""

import importlib.util
from pathlib import Path

import pytest

from tests.benchmarks import line_to_eye, pipeline
from tests.benchmarks.corpus import write_corpus
from tests.benchmarks.measure import UnavailableError, in_process

LINES = 400
HAS_SDK = importlib.util.find_spec("claude_agent_sdk") is not None


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.jsonl"
    write_corpus(path, "mixed", LINES)
    return path


@pytest.mark.parametrize("name", ["floor", "checked_floor", "same_sdk", "stored_sdk", "sdk", "ours"])
def test_each_reader_of_claudes_lines_stores_what_it_says(name: str, corpus: Path) -> None:
    is_partial = [b'"type":"stream_event"' in line for line in corpus.read_bytes().splitlines()]
    kept = {"floor": is_partial.count(False), "stored_sdk": LINES, "sdk": 0}
    kept |= {"checked_floor": kept["floor"], "same_sdk": kept["floor"], "ours": kept["floor"]}
    if name.endswith("sdk") and not HAS_SDK:
        with pytest.raises(UnavailableError, match="pip install"):
            in_process(f"pipeline:{name}", corpus, LINES)
    else:
        assert in_process(f"pipeline:{name}", corpus, LINES)["rows"] == kept[name]


def test_the_checked_floor_finds_a_secret(corpus: Path) -> None:
    with corpus.open("a") as file:
        file.write('{"type":"user","text":"ghp_0123456789abcdef"}\n')
    with pytest.raises(ValueError, match="secret"):
        pipeline.checked_floor(str(corpus), str(LINES))


def test_the_chain_relays_every_line_to_its_followers() -> None:
    assert line_to_eye.chain(1000, line_to_eye.WARM_UP + 20, 3)["p50"] > 0


@pytest.mark.parametrize("writer", ["write_by_loop", "write_by_uvloop"])
def test_a_bare_writer_serves_its_readers(writer: str) -> None:
    assert in_process(f"followers:{writer}", 3, 5)["us"] > 0
