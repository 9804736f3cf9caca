/**
 * The outcomes of a turn: tone, sign, and whether a person is needed, by the outcome's word. Written from
 * hyperhive_cli/outcomes.py by `python -m tests.outcomes_module`; change the table there.
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
