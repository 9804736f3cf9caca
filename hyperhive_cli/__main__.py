"""`hyperhive`, and `python -m hyperhive_cli`."""

from hyperhive_cli.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
