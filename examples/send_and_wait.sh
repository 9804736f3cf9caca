#!/bin/sh
# Give the agent of this folder a piece of work, wait for its end, and act on how it went.
#
#   examples/send_and_wait.sh 'fix the failing test'
#
# The key makes a second start of this script harmless: the same text is sent once a day.
set -u

text=${1:?usage: send_and_wait.sh TEXT}
key="$(date +%F) $text"

if answer=$(hyperhive send "$text" --from "${0##*/}" --key "$key" --wait --timeout "${TIMEOUT:-3600}"); then
    printf 'done:\n%s\n' "$answer"
else
    status=$?
    printf 'the agent did not finish; what it says of itself:\n' >&2
    hyperhive status >&2
    exit "$status"
fi
