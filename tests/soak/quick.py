"""`hyperhive` with some of its times changed: `python -m tests.soak.quick '{"hive.lease.LEASE_S": 8}' WORDS…`."""

import importlib
import json
import select
import sys
import time

from hyperhive_cli.__main__ import main
from hyperhive_cli.harness.signals import silent_ctrl_c

# A lease of 8 s, so that a machine that is gone is replaced while the soak still lasts.
QUICK = {
    "hive.lease.LEASE_S": 8.0,
    "hive.owner_sql.LEASE_S": 8.0,
    "hive.lease.RENEW_EVERY_S": 1.5,
    "hive.lease.ENDING_S": 3.0,
    "hive.relay.POLL_S": 0.5,
    "hive.feed.POLL_S": 0.5,
    "hive.shared_account.STAGGER_S": 0.1,
}


def sleep(seconds: float, /) -> None:
    """Sleep as `time.sleep`, which fails below libfaketime 0.9.10: of a sleep until a moment it makes EINVAL."""
    select.select([], [], [], seconds)


if __name__ == "__main__":
    time.sleep = sleep  # type: ignore[assignment]
    with silent_ctrl_c():  # as while the program itself is loaded
        for name, value in json.loads(sys.argv.pop(1)).items():
            module, _, constant = name.rpartition(".")
            owner = importlib.import_module(f"hyperhive_cli.{module}")
            if not hasattr(owner, constant):
                raise AttributeError(name)
            setattr(owner, constant, value)
    main()
