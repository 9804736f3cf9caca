/**
 * The outcomes of a turn: tone, sign, and whether a person is needed, by the outcome's word. Written from
 * hyperhive_cli/core/outcomes.py by `python -m tests.outcomes_module`; change the table there.
 */

/** @typedef {{tone: "ok" | "warning" | "failure" | "neutral", sign: string, needs_person: boolean}} Outcome */

/** @type {Map<string, Outcome>} */
export const OUTCOMES = new Map([
  ["ok", {"tone": "ok", "sign": "✓", "needs_person": false}],
  ["blocked", {"tone": "failure", "sign": "✗", "needs_person": true}],
  ["deferred", {"tone": "warning", "sign": "?", "needs_person": true}],
  ["capped", {"tone": "failure", "sign": "✗", "needs_person": true}],
  ["budget", {"tone": "failure", "sign": "✗", "needs_person": true}],
  ["declined", {"tone": "failure", "sign": "✗", "needs_person": true}],
  ["bad_request", {"tone": "failure", "sign": "✗", "needs_person": true}],
  ["refused", {"tone": "failure", "sign": "✗", "needs_person": true}],
  ["bad_model", {"tone": "failure", "sign": "✗", "needs_person": true}],
  ["needs_login", {"tone": "warning", "sign": "·", "needs_person": true}],
  ["wrong_auth", {"tone": "failure", "sign": "✗", "needs_person": true}],
  ["billing", {"tone": "warning", "sign": "·", "needs_person": true}],
  ["rate_limited", {"tone": "warning", "sign": "·", "needs_person": false}],
  ["overloaded", {"tone": "warning", "sign": "·", "needs_person": false}],
  ["no_connection", {"tone": "warning", "sign": "·", "needs_person": false}],
  ["not_started", {"tone": "failure", "sign": "✗", "needs_person": false}],
  ["context_full", {"tone": "failure", "sign": "✗", "needs_person": false}],
  ["session_lost", {"tone": "failure", "sign": "✗", "needs_person": false}],
  ["failed", {"tone": "failure", "sign": "✗", "needs_person": false}],
  ["crashed", {"tone": "failure", "sign": "✗", "needs_person": false}],
  ["stalled", {"tone": "failure", "sign": "✗", "needs_person": false}],
  ["timed_out", {"tone": "failure", "sign": "✗", "needs_person": false}],
  ["interrupted", {"tone": "neutral", "sign": "·", "needs_person": false}],
  ["cancelled", {"tone": "neutral", "sign": "·", "needs_person": false}],
]);

/** The statuses of an agent, from hyperhive_cli/core/status.py. */

/** @typedef {{words: string, tone: "ok" | "warning" | "failure" | "neutral", advice: string,
 *   told_otherwise: boolean}} Status */

/** @type {Map<string, Status>} */
export const STATUSES = new Map([
  ["online", {"words": "online", "tone": "ok", "advice": "", "told_otherwise": false}],
  ["paused", {"words": "paused", "tone": "warning", "advice": "hyperhive resume", "told_otherwise": false}],
  ["retrying", {"words": "retrying", "tone": "warning", "advice": "", "told_otherwise": true}],
  ["backing_off", {"words": "backing off", "tone": "warning", "advice": "hyperhive resume", "told_otherwise": true}],
  ["rate_limited", {"words": "rate limited", "tone": "warning", "advice": "", "told_otherwise": false}],
  ["over_budget", {"words": "over budget", "tone": "warning", "advice": "hyperhive budget raise", "told_otherwise": false}],
  ["needs_login_idle", {"words": "needs login", "tone": "failure", "advice": "hyperhive login", "told_otherwise": false}],
  ["needs_login_in_progress", {"words": "login in progress", "tone": "warning", "advice": "", "told_otherwise": false}],
  ["waits_for_account", {"words": "waits for account", "tone": "warning", "advice": "", "told_otherwise": false}],
  ["bad_model", {"words": "bad model", "tone": "failure", "advice": "hyperhive model set NAME", "told_otherwise": false}],
  ["standby", {"words": "standby", "tone": "neutral", "advice": "", "told_otherwise": false}],
  ["failed", {"words": "failed", "tone": "failure", "advice": "hyperhive resume", "told_otherwise": false}],
  ["inbox_unavailable", {"words": "inbox unavailable", "tone": "failure", "advice": "fix the cause, for example a full disk; the agent then goes on by itself", "told_otherwise": false}],
  ["stopped", {"words": "stopped", "tone": "neutral", "advice": "hyperhive run", "told_otherwise": false}],
  ["unreachable", {"words": "unreachable", "tone": "failure", "advice": "hyperhive doctor", "told_otherwise": false}],
]);
