#!/usr/bin/env bash
# The first hour with Outrider, in curl: from nothing to a campaign that you can explain.
#
#     make up                        in one terminal
#     bash examples/first_hour.sh    in another
#
# Nothing leaves the machine: the accounts and the people live in the mail sandbox of `make up`.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
if [ -z "${OUTRIDER_URL:-}" ]; then # what `make up` wrote for us
  set -a
  . "$here/../.outrider/env"
  set +a
fi

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
# call VERB PATH [JSON]: prints the answer; ends the script where the answer is an error, which curl then shows.
call() {
  local verb=$1 path=$2
  shift 2
  [ $# -eq 0 ] || set -- --header 'Content-Type: application/json' --data "$1"
  curl --silent --show-error --fail-with-body --request "$verb" --header "Authorization: Bearer $KEY" "$@" "$OUTRIDER_URL$path"
}
# field NAME: of the JSON that comes in: `id`, `api_key.plaintext`, or `0.id` of a list's first.
field() {
  python3 -c 'import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1].split("."): value = value[int(name) if isinstance(value, list) else name]
print(value)' "$1"
}
pretty() { python3 -m json.tool --no-ensure-ascii; }
# wait_for PATH FIELD VALUE: until the resource says so, for two minutes at most.
wait_for() {
  local found=
  for _ in $(seq 240); do
    found=$(call GET "$1" | field "$2")
    [ "$found" != "$3" ] || return 0
    sleep 0.5
  done
  echo "$1: $2 is $found, not $3, after two minutes" >&2
  return 1
}

say 'An account of your own. The operator opens it; its key is shown this once.'
KEY=$OUTRIDER_OPERATOR_TOKEN
KEY=$(call POST /accounts '{"account": {"name": "First hour", "monthly_limit": 1000}}' | field api_key.plaintext)
call PATCH /account '{"account": {"postal_address": "Example Ltd, 1 High Street, London"}}' | pretty

say 'People, as a CSV file. One is there twice, and one row is no address: both are counted, neither sinks the rest.'
IMPORT=$(curl --silent --show-error --fail-with-body --header "Authorization: Bearer $KEY" --header 'Content-Type: text/csv' \
  --data-binary "@$here/people.csv" "$OUTRIDER_URL/contact_imports?name=First+list" | field id)
call GET "/contact_imports/$IMPORT" | pretty
call GET "/contact_imports/$IMPORT/rejects" | pretty

say 'Somebody who must never be written to.'
call POST /suppressions '{"suppression": {"value": "@competitor.example", "reason": "asked by phone"}}' | pretty

say 'A campaign: a mail account and two steps. A misspelt field is refused, and named:'
MAIL_ACCOUNT='{
  "label": "Ann", "from_name": "Ann Larsson", "daily_limit": 200,
  "smtp_host": "127.0.0.1", "smtp_port": '"$OUTRIDER_SMTP_PORT"', "smtp_security": "none",
  "smtp_username": "ann@firsthour.example", "smtp_password": "sandbox",
  "imap_host": "127.0.0.1", "imap_port": '"$OUTRIDER_IMAP_PORT"', "imap_security": "none",
  "imap_username": "ann@firsthour.example", "imap_password": "sandbox"}'
STEPS='[
  {"position": 1, "delay_minutes": 0, "subject": "Hi {{ first_name | default: \"there\" }}",
   "body_html": "<p>Who at {{ company | default: \"your place\" }} reads this?</p>"},
  {"position": 2, "delay_minutes": 4320, "subject": "Re: Hi",
   "body_html": "<p>{% if custom.role %}As {{ custom.role }}, you{% else %}You{% endif %} may have missed my mail.</p>"}]'
call POST /campaigns '{"campaign": {"name": "First hour", "sequence_stepz": []}}' | pretty || true
CAMPAIGN=$(call POST /campaigns '{"campaign": {"name": "First hour", "min_wait_seconds": 0, "max_wait_seconds": 1,
  "bounce_rate_threshold": 50, "unsubscribe_footer": true,
  "smtp_credentials": ['"$MAIL_ACCOUNT"'], "sequence_steps": '"$STEPS"'}}' | field id)

say 'Does the mail account let us in? What would Ada read? What would go out when?'
ACCOUNT_ID=$(call GET "/campaigns/$CAMPAIGN/smtp_credentials" | field 0.id)
call POST "/campaigns/$CAMPAIGN/smtp_credentials/$ACCOUNT_ID/verify" | pretty
call GET "/campaigns/$CAMPAIGN/preview" | pretty
call POST "/campaigns/$CAMPAIGN/enroll" '{"contact_import_id": "'"$IMPORT"'"}' | pretty

say 'Send. With an Idempotency-Key a call may be sent again after a broken connection: it is done once.'
for _ in 1 2; do
  curl --silent --show-error --fail-with-body --request POST --header "Authorization: Bearer $KEY" \
    --header "Idempotency-Key: first-hour-$CAMPAIGN" "$OUTRIDER_URL/campaigns/$CAMPAIGN/dispatch" | pretty
done
call GET "/campaigns/$CAMPAIGN/send_forecast?days=7" | pretty
wait_for "/campaigns/$CAMPAIGN" totals.sent 4
wait_for "/campaigns/$CAMPAIGN" totals.replied 1
call GET "/campaigns/$CAMPAIGN" | pretty
call GET "/campaigns/$CAMPAIGN/replies" | pretty

say 'Why does Ben get no second mail?'
BEN=$(call GET "/campaigns/$CAMPAIGN/enrollments?status=replied" | field 0.id)
call GET "/enrollments/$BEN/explain" | pretty
call GET "/enrollments/$BEN/history" | pretty

say 'Everything that happened, from the first event on. Without Accept it is a live stream.'
curl --silent --show-error --fail-with-body --header "Authorization: Bearer $KEY" --header 'Accept: application/json' \
  "$OUTRIDER_URL/events?after=0" | pretty

say 'Pause, go on, take it home, and forget a person.'
call POST "/campaigns/$CAMPAIGN/pause" | pretty
call POST "/campaigns/$CAMPAIGN/resume" | pretty
call GET "/campaigns/$CAMPAIGN/export"
ADA=$(call GET '/contacts?email=ada@first.example' | field 0.id)
call POST "/contacts/$ADA/erase" | pretty
call GET "/contacts/$ADA/erasure" | pretty
say 'Done.'
