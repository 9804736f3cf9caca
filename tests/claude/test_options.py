"""claude's options as the real binary lists and reads them."""

import re
import subprocess
from pathlib import Path

from hyperhive_cli.claude.options import Option, read_options
from tests.claude.conftest import MessagesApi
from tests.claude.test_binary import turn
from tests.conftest import LIMIT_S

OPTION = re.compile(r"^ {2}(-\w(?:, )?)?(--[\w-]+(?:, --[\w-]+)?)?(?: ([<\[][^>\]]*[>\]]))?(?= {2}|$)", re.MULTILINE)


def test_every_option_of_the_help_is_known_with_the_values_that_it_takes(
    claude_binary: Path, messages_api: MessagesApi
) -> None:
    environment = messages_api.start("text")
    done = subprocess.run(
        [claude_binary, "--help"], env=environment, capture_output=True, text=True, check=True, timeout=LIMIT_S
    )
    listed = done.stdout.partition("\nOptions:\n")[2].partition("\nCommands:\n")[0]
    found = {
        flag: value
        for short, long, value in OPTION.findall(listed)
        for flag in f"{short} {long}".replace(",", "").split()
    }
    assert len(found) > 50
    wrong = {}
    for flag, value in found.items():
        most = 0 if not value else 2 if "..." in value else 1
        least = 1 if value.startswith("<") else 0
        # What begins with a dash is taken only where a value must come; words until as many are there as may be.
        (first, *_), (second, *_) = read_options([flag, "--bare"]), read_options([flag, "a", "b"])
        if (len(first.values), len(second.values)) != (least, most) or first.flag != flag:
            wrong[flag] = value
    assert wrong == {}


def test_claude_reads_a_value_that_looks_like_an_option(claude_binary: Path, messages_api: MessagesApi) -> None:
    environment = messages_api.start("text")
    words = ["--append-system-prompt", "--help", "--allowedTools", "-p", "Read"]
    assert list(read_options(words)) == [
        Option("--append-system-prompt", ("--help",)),
        Option("--allowedTools", ("-p", "Read")),
    ]
    lines, status, _ = turn(claude_binary, messages_api, environment, *words)
    assert (lines[0]["subtype"], status) == ("init", 0)
    assert "--help" in str(messages_api.requests()[-1]["system"])
