"""The commands of the program and the options that all of them have. Static: `--help` imports no command."""

from collections.abc import Mapping
from typing import Any

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.declared import Parameter

# title → name → (module, what it does)
SECTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Start": {
        "run": ("run", "Run the agent of this folder, one turn per message"),
        "attach": ("attach", "Join a running agent from another terminal"),
        "demo": ("demo", "Watch a recorded agent; no claude or login needed"),
    },
    "Messages": {
        "send": ("send", "Send a message, now or at a time; --wait for the result"),
        "inbox": ("inbox", "List, edit, move, schedule, cancel and retry messages"),
        "schedule": ("schedule", "Send a message again and again, as cron would"),
    },
    "Watch": {
        "status": ("status", "Show the agent's current status"),
        "agents": ("agents", "List all agents in one table"),
        "tail": ("tail", "Show the newest events and follow"),
        "show": ("show", "Replay a finished turn"),
        "report": ("report", "What the agent did overnight: results, failures, money, commits"),
        "search": ("search", "Find words in weeks of messages, prose and output"),
        "stats": ("stats", "Turns, tokens, dollars and tools, by day or model"),
        "web": ("web", "Serve the web panel of one agent, or of all"),
    },
    "Control": {
        "cancel": ("session", "Interrupt the running turn"),
        "stop": ("session", "Stop the harness after its turn, or now"),
        "restart": ("session", "Restart the harness with the same command line"),
        "pause": ("session", "Start no new turns until `resume`"),
        "resume": ("session", "Continue after a pause, limit, failure or retry wait"),
        "model": ("model", "Show or set the model of the next turn"),
        "budget": ("budget", "Show the limits and what is used, or raise one"),
        "compact": ("session", "Compact the conversation between two turns"),
        "new-session": ("session", "Start a new conversation with the next turn"),
    },
    "Account": {
        "login": ("login", "Log claude in"),
        "logout": ("login", "Log claude out"),
        "quota": ("quota", "Show how much of the plan's limits is used"),
    },
    "Maintain": {
        "doctor": ("doctor", "Check the setup and suggest fixes"),
        "config": ("config", "Show the settings and where each comes from"),
        "history": ("history", "Show what is kept of the history, day by day"),
        "export": ("export", "Write a transcript: JSON lines, Markdown or HTML"),
        "backup": ("backup", "Save the whole agent to one file"),
        "restore": ("backup", "Unpack a backup into a new agent, checked"),
        "completion": ("completion", "Print the completion script for bash, zsh or fish"),
        "help": ("help", "Read the manual, or a command's help"),
    },
    "Many agents": {
        "host": ("host", "Run several agents in one process"),
        "hive": ("hive", "Run agents on several machines (PostgreSQL)"),
    },
}
COMMANDS: Mapping[str, tuple[str, str]] = {
    name: found for section in SECTIONS.values() for name, found in section.items()
}
OF_NO_AGENT = {"agents", "completion", "config", "demo", "help", "hive", "host"}  # -a means nothing to them
# What other programs call it.
OTHER_NAMES = {
    "cost": "stats", "costs": "stats", "cron": "schedule", "crontab": "schedule", "find": "search", "grep": "search",
    "list": "agents", "log": "tail", "logs": "tail", "ls": "agents", "ps": "agents", "queue": "inbox",
    "schedules": "schedule", "start": "run", "usage": "stats",
}  # fmt: skip


def _option(*words: str, **settings: Any) -> Parameter:  # noqa: ANN401 - as click has it
    return Parameter(words, settings, is_option=True)


# Before the command, or behind it.
GLOBALS = (
    _option(
        "-a", "--agent", metavar="NAME", shell_complete=completers.agents,
        help="Which agent (default: named after this folder)",
    ),
    _option(
        "--state-dir", metavar="DIR", shell_complete=completers.folders,
        help="Its state folder (default: ~/.local/state/hyperhive/NAME)",
    ),
    _option("--hive", metavar="URL", help="Its hive: postgresql://…"),
    _option("--plain", is_flag=True, help="No colours, no drawing, nothing that moves"),
    _option("--debug", is_flag=True, help="Show a traceback with an error"),
)  # fmt: skip
COMPLETE = "_HYPERHIVE_COMPLETE"  # click's variable, by which a shell asks for completions
NOT_FOR_PLAIN_CALLS = (COMPLETE, "HYPERHIVE_PLAIN", "HYPERHIVE_DEBUG")
