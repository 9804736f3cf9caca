#!/bin/sh
# Mail the report of each day, for
#     hyperhive run --report-at 08:00 --on-event 'examples/mail_report.sh you@example.org' --on-event-kind report
#
# It gets one event as JSON on stdin and needs a sendmail, as most mail programs bring one (msmtp, postfix, …).
set -eu

to=${1:?usage: mail_report.sh ADDRESS}
sendmail=$(command -v sendmail || echo /usr/sbin/sendmail)

# No jq needed. What a model or a tool wrote is only ever data here: it cannot add a header or an address.
mail=$(python3 -c '
import email.message, json, re, sys
event = json.load(sys.stdin)
if event["kind"] != "report":
    sys.exit("only reports are mailed: --on-event-kind report")
mail = email.message.EmailMessage()
mail["To"] = sys.argv[1]
mail["Subject"] = "hyperhive: " + " ".join(event["text"].split())[:200]
mail.set_content(re.sub(r"\\(\W)", r"\1", event["markdown"]))  # as plain text, Markdown needs no escapes
print(mail.as_string())
' "$to")
printf '%s\n' "$mail" | "$sendmail" -t
