#!/bin/sh
# Send the event to a web address, for `hyperhive run --on-event 'examples/webhook.sh ADDRESS'`.
#
# An address that is a secret belongs into a file, as curl's own configuration reads it, for arguments can be seen
# in `ps`:    url = "https://hooks.example/T0/B0/…"
# and then:   --on-event 'examples/webhook.sh FILE', the file with its whole path.
set -eu

target=${1:?usage: webhook.sh ADDRESS|FILE}
if [ -f "$target" ]; then
    set -- --config "$target"
else
    set -- --url "$target"
fi
# The body is the event from stdin, as it is; within the ten seconds that a hook has.
exec curl --silent --show-error --fail --max-time 8 --header 'Content-Type: application/json' \
    --header "X-Hyperhive-Agent: ${HYPERHIVE_AGENT:-}" --data-binary @- --output /dev/null "$@"
