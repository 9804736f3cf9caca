#!/bin/sh
# Show a notice on the desktop, for `hyperhive run --on-event examples/notify.sh`.
#
# It gets one event as JSON on stdin. Where the desktop is not found, pass its address to the agent as well:
# --pass-env DBUS_SESSION_BUS_ADDRESS --pass-env DISPLAY.
set -eu

# No jq needed. What a model or a tool wrote is only ever data here: an argument, never a part of a program.
text=$(python3 -c '
import json, sys
event = json.load(sys.stdin)
words = [event.get(name) for name in ("status", "outcome", "message_state", "note", "text")]
words += ["(calls were denied)"] if event.get("denied") else []
print(" ".join([event["kind"].replace("_", " ") + ":", *(str(word)[:200] for word in words if word)]))
')
title="hyperhive: ${HYPERHIVE_AGENT:-agent}"

if command -v osascript > /dev/null; then
    exec osascript -e 'on run argv' -e 'display notification (item 2 of argv) with title (item 1 of argv)' \
        -e 'end run' -- "$title" "$text"
fi
exec notify-send --app-name=hyperhive -- "$title" "$text"
