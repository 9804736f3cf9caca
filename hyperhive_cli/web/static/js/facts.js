/** What the header says: a reducer over the agent's state and its events, and the words for it. Pure. */

import { activityWords, observeActivity } from "./activity.js";
import { OUTCOMES, STATUSES } from "./outcomes.js";
import { clock, count, duration, mapping, number, oneLine, string, textOf, timeOfDay, tokens } from "./text.js";

/** @typedef {"fine" | "warn" | "bad" | "quiet" | ""} Tone */
/** @typedef {{words: string, tone: Tone, countdown: string, hint: string}} Badge */

const NEAR_FULL = 0.7;
const FULL = 0.9;

/** The tones of outcomes.js → those of the page. @type {Map<string, Tone>} */
const TONES = new Map([
  ["ok", "fine"],
  ["warning", "warn"],
  ["failure", "bad"],
  ["neutral", "quiet"],
]);

/**
 * Give the words and the tone of a status; an unknown one is shown as it is.
 * @param {unknown} status
 * @returns {[string, Tone]}
 */
export function statusWords(status) {
  const known = STATUSES.get(string(status));
  if (known) return [known.words, TONES.get(known.tone) ?? "quiet"];
  return [string(status).replaceAll("_", " ") || "unknown", "quiet"];
}

/**
 * Whether other rows tell of a status, so that one of its own would be the second.
 * @param {string} status
 */
export function isToldOtherwise(status) {
  return STATUSES.get(status)?.told_otherwise === true;
}

/**
 * Whether an outcome says that the turn did what it was asked.
 * @param {unknown} outcome
 */
export function isOk(outcome) {
  return OUTCOMES.get(string(outcome))?.tone === "ok";
}

/**
 * Give an outcome's sign and tone; one that is not known counts as a failure. A turn that is ok, but in which tool
 * calls were denied, is a warning.
 * @param {unknown} outcome @param {unknown} [denied] how many calls
 * @returns {[string, Tone]}
 */
export function signOf(outcome, denied) {
  const { sign, tone } = OUTCOMES.get(string(outcome)) ?? { sign: "✗", tone: "failure" };
  return [sign, (tone === "ok" && count(denied) ? TONES.get("warning") : TONES.get(tone)) ?? "bad"];
}

/** What became of a message, if the outcome's word does not say it. */
const TOLD_STATES = new Set(["dead", "held"]);

/**
 * Say what the outcome of a turn's end does not: how many tool calls were denied, that the message is dead or held.
 * @param {Record<string, any>} event
 * @returns {string[]}
 */
export function endRemarks(event) {
  const denied = count(event.denied);
  return [denied ? `${denied} denied` : "", TOLD_STATES.has(event.message_state) ? event.message_state : ""].filter(
    Boolean,
  );
}

/**
 * Take over what an event says about the agent.
 * @param {Record<string, any>} facts
 * @param {Record<string, any>} event
 */
export function observe(facts, event) {
  return observeFields(observeActivity(facts, event), event);
}

/** @param {Record<string, any>} facts @param {Record<string, any>} event */
function observeFields(facts, event) {
  switch (event.kind) {
    case "status_changed":
      return { ...facts, status: event.status, waits_until: event.until_unix ?? null, why: event.why ?? null };
    case "turn_state_changed":
      return { ...facts, state: event.state, since_unix: event.since_unix };
    case "model_changed":
      return { ...facts, model: event.model };
    case "turn_start":
      return { ...facts, unread: count(event.unread) };
    case "token_usage_changed":
      return {
        ...facts,
        usage: event.usage,
        context_tokens: event.context_tokens ?? facts.context_tokens,
        context_window: event.context_window ?? facts.context_window,
      };
    case "stream":
      return observeLine(facts, event);
    default:
      return facts;
  }
}

/**
 * The context's size as it grows in a turn: that of the main thread's newest line.
 * @param {Record<string, any>} facts
 * @param {Record<string, any>} line
 */
function observeLine(facts, line) {
  if (line.type === "assistant" && !line.parent_tool_use_id) {
    const usage = mapping(mapping(line.message).usage);
    const used = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]
      .map((name) => count(usage[name]))
      .reduce((sum, figure) => sum + figure, 0);
    return used ? { ...facts, context_tokens: used } : facts;
  }
  if (line.type === "system" && line.subtype === "compact_boundary") {
    return { ...facts, context_tokens: number(mapping(line.compact_metadata).post_tokens) }; // not all releases say
  }
  return facts;
}

/**
 * Say whether the agent is alive, and how sure that is: what is known while the connection is down is not said
 * as if it were so now.
 * @param {Record<string, any> | null} facts @param {string} phase of the connection @param {number} now Unix s
 * @returns {Badge}
 */
export function aliveBadge(facts, phase, now) {
  if (phase === "refused") return { words: "no access", tone: "bad", countdown: "", hint: "" };
  if (phase === "gone") return { words: "no such agent", tone: "bad", countdown: "", hint: "" };
  const isAway = facts?.hive && facts.capabilities?.send === false; // the hive is, which alone knows of it
  if (!facts || phase === "reconnecting" || isAway) {
    return { words: facts ? "reconnecting" : "connecting", tone: "quiet", countdown: "", hint: "" };
  }
  if (!facts.running) {
    const [words, tone] = statusWords("stopped");
    return {
      words,
      tone,
      countdown: "",
      hint: facts.hive ? "No machine runs it." : "No harness runs: what is shown is from the agent's files.",
    };
  }
  const [words, tone] = statusWords(facts.status);
  const left = (number(facts.waits_until) ?? 0) - now;
  const why = facts.status === "paused" ? "No turn starts until you resume." : oneLine(textOf(facts.why), 300);
  const until = left > 0 ? `${why ? `${why}. ` : ""}Goes on at ${timeOfDay(facts.waits_until * 1000)}.` : why;
  return { words, tone, countdown: left > 0 ? clock(Math.ceil(left)) : "", hint: until };
}

/**
 * Give the turn's state and for how long it lasts: `idle`, `0:42`; in a turn what is being done: `Bash 0:42 make`.
 * @param {Record<string, any> | null} facts
 * @param {number} now Unix s
 */
export function turnState(facts, now) {
  const isKnown = facts?.running && facts.status !== "unreachable";
  const state = isKnown ? string(facts.state) || "idle" : "";
  const doing = activityWords(state && state !== "idle" ? facts?.activity : null, now);
  if (doing.words) return { state, doing: doing.words, elapsed: doing.elapsed };
  const since = number(facts?.since_unix);
  return { state, doing: "", elapsed: state && since !== null ? clock(Math.max(0, now - since)) : "" };
}

/**
 * Give the fill of the context window.
 * @param {Record<string, any> | null} facts
 * @returns {{share: number | null, words: string, sizes: string, tone: Tone}}
 */
export function contextBadge(facts) {
  const used = number(facts?.context_tokens);
  const window = count(facts?.context_window);
  if (used === null) return { share: null, words: "–", sizes: "not known yet", tone: "quiet" };
  if (!window) return { share: null, words: tokens(used), sizes: `${tokens(used)} tokens`, tone: "quiet" };
  const share = Math.min(1, Math.max(0, used / window));
  const tone = share >= FULL ? "bad" : share >= NEAR_FULL ? "warn" : "fine";
  return { share, words: `${Math.round(share * 100)}%`, sizes: `${tokens(used)} / ${tokens(window)}`, tone };
}

/**
 * Give where an agent of a hive runs and how old what it says of itself is, "" for one of this machine.
 * @param {Record<string, any> | null} facts
 * @returns {{machine: string, report: string}}
 */
export function whereabouts(facts) {
  if (!facts?.hive) return { machine: "", report: "" };
  const age = number(facts.hive.report_age_s);
  const machine = facts.running ? oneLine(textOf(facts.hive.machine), 40) : "none";
  return { machine, report: age === null ? "none yet" : `${duration(Math.round(age))} ago` };
}
