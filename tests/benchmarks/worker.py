"""One measurement in a process of its own: `python -m tests.benchmarks.worker MODULE:FUNCTION [ARGUMENT…]`."""

import importlib
import json
import sys

from tests.benchmarks.measure import UnavailableError


def main() -> None:
    """Call the function with its arguments, all texts, and print what it found as JSON."""
    module, function = sys.argv[1].split(":")
    try:
        found = getattr(importlib.import_module(f"tests.benchmarks.{module}"), function)(*sys.argv[2:])
    except UnavailableError as error:
        found = {"unavailable": str(error)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
