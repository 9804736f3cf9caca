"""The soak: `python -m tests.soak [--minutes N] [--agents N] [--hive-agents N] [--seed N]`.

Agents get messages while harnesses, guards, claudes that run and that wait, and back ends of their database are
killed, signals come twice, clocks jump, outputs and disks fill up and locks are held, claudes stall, flood and crash
and the API refuses them. Afterwards the faults end, the inboxes are worked off, and everything is counted: each
accepted message is done once, or dead with a reason, run again only with a notice, and nothing is left behind. Exits
with 1 when anything was wrong.
"""

import argparse
import random
import sys

from tests.soak.soak import Plan, run_soak


def main() -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--agents", type=int, default=4, help="of a machine alone; every other one prewarms")
    parser.add_argument("--hive-agents", type=int, default=1, help="each with two machines and one database for all")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311
    options = parser.parse_args()
    soak = run_soak(Plan(options.minutes, options.agents, options.hive_agents, options.seed))
    return 1 if soak.figures.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
