"""`hyperhive help`: the list of pages, a page in a pipe, on a terminal and in a pager, and a command's help."""

import os
import re
from pathlib import Path

import pytest

from hyperhive_cli.cli.commands import COMMANDS
from hyperhive_cli.cli.help import TOPICS, WIDEST
from tests.harness import Hive, on_a_terminal
from tests.pages import page

CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_help_lists_the_pages_with_a_line_each(hive: Hive) -> None:
    lines = hive.call("help").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    listed = [line.split(maxsplit=1) for line in lines if line.startswith("  ")]
    assert listed == [[topic, page(topic).splitlines()[2].replace("`", "")] for topic in TOPICS]


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_in_a_pipe_is_its_markdown_with_commands_for_links(topic: str, hive: Hive) -> None:
    done = hive.call("help", topic)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:3] == page(topic).splitlines()[:3]
    assert ".md)" not in done.stdout
    for other in re.findall(r"\]\(([a-z-]+)\.md", page(topic)):
        assert f"(`hyperhive help {other}`)" in done.stdout


@pytest.mark.parametrize(("words", "usage"), [("send", "hyperhive send"), ("inbox retry", "hyperhive inbox retry")])
def test_a_command_shows_its_own_help(words: str, usage: str, hive: Hive) -> None:
    done = hive.call("help", *words.split())
    assert done.stdout == hive.call(*words.split(), "-h").stdout
    assert f"Usage: {usage}" in done.stdout


def test_each_command_that_is_no_topic_has_its_help(hive: Hive) -> None:
    assert COMMANDS.keys() & set(TOPICS) == {"hive"}
    assert "Usage: hyperhive hive init" in hive.call("help", "hive", "init").stdout


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        ("evnts", "hyperhive help events"),
        ("statu", "hyperhive help status"),
        ("inbox retyr", "hyperhive help inbox retry"),
        ("zzz", "hyperhive help"),
        ("events zzz", "hyperhive help events"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(words: str, nearest: str, hive: Hive) -> None:
    done = hive.call("help", *words.split())
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr == f"Error: there is no topic or command {words!r}\nTry: {nearest}\n"


@pytest.fixture
def unpaged(hive: Hive) -> Hive:
    hive.environment = {**hive.environment, "PAGER": "cat"}
    return hive


def test_a_terminal_gets_a_page_with_colours_that_fits_its_width(unpaged: Hive) -> None:
    shown = on_a_terminal(unpaged, "help", "budgets")
    text = CODES.sub("", shown)
    assert CODES.search(shown)
    assert max(map(len, text.splitlines())) <= WIDEST
    assert text.splitlines()[0] == "Budgets"
    assert "**" not in text
    assert "max-day-cost" in text


def test_no_color_and_plain_are_heeded(unpaged: Hive) -> None:
    assert "# Budgets" in on_a_terminal(unpaged, "--plain", "help", "budgets")
    unpaged.environment = {**unpaged.environment, "NO_COLOR": "1"}
    shown = on_a_terminal(unpaged, "help", "budgets")
    assert "Budgets" in shown
    assert not CODES.search(shown)


def test_a_terminal_s_page_goes_through_the_pager(hive: Hive, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text('#!/bin/sh\necho "LESS=$LESS"\nexec sed "s/^/> /"\n')
    pager.chmod(0o700)
    hive.environment = {**hive.environment, "PAGER": str(pager)}
    for words in (["help", "budgets"], ["help", "inbox", "retry"]):
        lines = on_a_terminal(hive, *words).splitlines()
        assert lines[0] == "LESS=FRX"
        assert {line[:2] for line in lines[1:]} == {"> "}
    assert "Usage: hyperhive inbox retry" in lines[1]


def test_a_page_in_a_pipe_needs_no_pager(hive: Hive) -> None:
    hive.environment = {**hive.environment, "PAGER": os.devnull}
    assert "# Budgets" in hive.call("help", "budgets").stdout
