"""`hyperhive model`."""

from typing import TYPE_CHECKING

from hyperhive_cli.cli import completers
from hyperhive_cli.cli.declared import argument, group, option, pass_invocation
from hyperhive_cli.cli.invocation import Invocation, print_json
from hyperhive_cli.cli.streams import echo
from hyperhive_cli.core.settings import check_model_name
from hyperhive_cli.harness import steering
from hyperhive_cli.store.model import load_model

if TYPE_CHECKING:
    from hyperhive_cli.harness.client import LocalClient


@group(alone="show")
def model() -> None:
    """Show or set the model of the next turn.

    \b
    Examples: hyperhive model set opus
              hyperhive model
    """  # noqa: D301 - click's own mark


@model.command("set")
@argument("name", shell_complete=completers.models)
@pass_invocation
def set_model(invocation: Invocation, name: str) -> None:
    """Use model NAME from the next turn on. The setting survives restarts.

    \b
    Example: hyperhive model set opus
    """  # noqa: D301 - click's own mark
    echo(choose_model(invocation.local(changes=True), name))


def choose_model(client: "LocalClient", name: str) -> str:
    """Set the model, through the harness if one runs; return its name."""
    checked = check_model_name(name)
    steering.set_model(client, checked)
    return checked


@model.command("show")
@option("--json", "as_json", is_flag=True, help='{"agent": …, "model": …}')
@pass_invocation
def show_model(invocation: Invocation, *, as_json: bool) -> None:
    """Print the model of the next turn.

    \b
    Example: hyperhive model show --json
    """  # noqa: D301 - click's own mark
    paths = invocation.paths()
    name = load_model(paths.model_file)
    if as_json:
        print_json({"agent": paths.agent, "model": name})
    else:
        echo(name)
