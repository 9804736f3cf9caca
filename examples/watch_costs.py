#!/usr/bin/env python3
"""Follow an agent and print a line for each ended turn: outcome, tools, seconds, and what was spent so far.

    examples/watch_costs.py [--since SEQ] [ARGUMENTS OF hyperhive tail …]

It reads `hyperhive tail --json`, which goes on over the harness's restarts; Ctrl-C ends it.
"""

import json
import subprocess
import sys
from collections import Counter

command = ["hyperhive", "tail", "--json", *(sys.argv[1:] or ["--since", "0"])]
spent_usd = 0.0
tools: Counter[str] = Counter()

with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tail:
    try:
        for line in tail.stdout or ():
            event = json.loads(line)
            if event["kind"] == "stream" and event.get("type") == "assistant":
                blocks = event["message"]["content"]
                tools.update(block["name"] for block in blocks if block["type"] == "tool_use")
            elif event["kind"] == "turn_end":
                spent_usd += event["cost_usd"] or 0.0
                used = ", ".join(f"{name} x{count}" for name, count in tools.most_common()) or "no tools"
                seconds = event["duration_ms"] / 1000
                print(f"{event['outcome']:<12} {seconds:6.1f} s  ${spent_usd:.4f} so far  {used}", flush=True)
                tools.clear()
    except KeyboardInterrupt:
        pass
sys.exit(tail.returncode if tail.returncode and tail.returncode > 0 else 0)
