"""`hyperhive completion`: the script by which a shell asks this program for completions."""

import click
from click.shell_completion import get_completion_class

from hyperhive_cli.cli.commands import COMPLETE
from hyperhive_cli.cli.declared import argument, command, pass_context
from hyperhive_cli.cli.streams import echo

PROGRAM = "hyperhive"
SHELLS = ("bash", "zsh", "fish")
_HEADS = {
    "bash": 'hyperhive and bash: put this line into ~/.bashrc:\n#   eval "$(hyperhive completion bash)"',
    "zsh": 'hyperhive and zsh: put this line into ~/.zshrc, after compinit:\n#   eval "$(hyperhive completion zsh)"',
    "fish": "hyperhive and fish: put this line into ~/.config/fish/config.fish:\n"
    "#   hyperhive completion fish | source",
}


@command()
@argument("shell", type=click.Choice(SHELLS), metavar="bash|zsh|fish")
@pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    It completes commands, options, agents, models, messages and turns.

    \b
    Examples: eval "$(hyperhive completion bash)"   # in ~/.bashrc
              eval "$(hyperhive completion zsh)"    # in ~/.zshrc
              hyperhive completion fish | source    # in config.fish
    """  # noqa: D301 - click's own mark
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - click knows all three
    script = found(ctx.find_root().command, {}, PROGRAM, COMPLETE)
    # Not `source()`, which starts a bash to ask for its version; 4.4 is ten years old.
    echo(f"# {_HEADS[shell]}\n{script.source_template % script.source_vars()}")
