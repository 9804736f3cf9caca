"""The program's entry. It loads what a command line needs, and for a help page next to nothing."""

import sys

from hyperhive_cli.cli.help_pages import show_help


def main() -> None:
    """Run the program and exit."""
    if show_help(sys.argv[1:]):
        sys.exit(0)
    from hyperhive_cli.harness.signals import silent_ctrl_c  # noqa: PLC0415 - a help page needs none of this

    with silent_ctrl_c():  # the rest takes some 20 ms to load, and a command up to 100
        from hyperhive_cli.cli.boundary import run_program  # noqa: PLC0415 - as above
    run_program()
