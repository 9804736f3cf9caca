"""One measurement in a process of its own: `python -m tests.benchmarks.worker MODULE:FUNCTION [ARGUMENT…]`."""

import importlib
import json
import sys


def main() -> None:
    """Call the function with its arguments, all texts, and print what it found as JSON."""
    module, function = sys.argv[1].split(":")
    found = getattr(importlib.import_module(f"tests.benchmarks.{module}"), function)(*sys.argv[2:])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
