"""`hyperhive`, and `python -m hyperhive_cli`."""

from hyperhive_cli.harness.signals import silent_ctrl_c

with silent_ctrl_c():  # the program takes some 100 ms to load
    from hyperhive_cli.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
