"""`hyperhive`, and `python -m hyperhive_cli`."""

import signal

# A Ctrl-C while the program is still being loaded, which takes some 100 ms, ends it without a traceback.
_is_usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _is_usual:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from hyperhive_cli.cli.main import main  # noqa: E402 - as said above

if _is_usual:
    signal.signal(signal.SIGINT, signal.default_int_handler)

__all__ = ["main"]

if __name__ == "__main__":
    main()
