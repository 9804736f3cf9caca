/** The agent's state in words, for the header and the overview. Pure. */

import { clock, count, duration, number, oneLine, string, textOf, timeOfDay, tokens } from "./text.js";
import { statusWords } from "./vocabulary.js";

/** @import { Tone } from "./vocabulary.js" */
/** @typedef {Record<string, any>} AgentState the fields of `status --json` and those that the gateway adds; {}: not known yet */
/** @typedef {{words: string, tone: Tone, countdown: string, hint: string}} StatusBadge */

const NEARLY_FULL = 0.8;
const FULL = 0.97;

/**
 * Say whether the agent is alive. While the connection is down, or is tried again, its last known status is not shown as current.
 * @param {AgentState} state @param {string} phase of the connection @param {number} now Unix s @returns {StatusBadge}
 */
export function statusBadge(state, phase, now) {
  if (phase === "refused") return { words: "no access", tone: "bad", countdown: "", hint: "" };
  if (phase === "gone") return { words: "no such agent", tone: "bad", countdown: "", hint: "" };
  const isKnown = "running" in state;
  const isHiveAway = state.hive && state.capabilities?.send === false; // an agent of another machine is known by the hive
  if (!isKnown || phase === "reconnecting" || phase === "connecting" || isHiveAway) {
    return { words: isKnown ? "reconnecting" : "connecting", tone: "quiet", countdown: "", hint: "" };
  }
  if (!state.running) {
    const [words, tone] = statusWords("stopped");
    const hint = state.hive ? "No machine runs it." : "No harness runs. Its last state is shown from its files.";
    return { words, tone, countdown: "", hint };
  }
  const [words, tone] = statusWords(state.status);
  const left = (number(state.waits_until) ?? 0) - now;
  const why = state.status === "paused" ? "No turn starts until you resume." : oneLine(textOf(state.why), 300);
  const hint = left > 0 ? `${why ? `${why}. ` : ""}Continues at ${timeOfDay(state.waits_until * 1000)}.` : why;
  return { words, tone, countdown: left > 0 ? clock(Math.ceil(left)) : "", hint };
}

/** Return a share as `95%`; 100% and 0% mean exactly that. @param {number} share */
function percent(share) {
  return share === 0 || share === 1 ? `${share * 100}%` : `${Math.min(99, Math.max(1, Math.round(share * 100)))}%`;
}

/**
 * Return how full the context window is.
 * @param {AgentState} state @returns {{share: number | null, words: string, sizes: string, tone: string}}
 */
export function contextBadge(state) {
  const used = number(state.context_tokens);
  const window = count(state.context_window);
  if (used === null) return { share: null, words: "–", sizes: "not known yet", tone: "" };
  if (!window) return { share: null, words: tokens(used), sizes: tokens(used), tone: "" };
  const share = Math.min(1, Math.max(0, used / window));
  const tone = share >= FULL ? "full" : share >= NEARLY_FULL ? "warm" : "";
  return { share, words: percent(share), sizes: `${tokens(used)} of ${tokens(window)}`, tone };
}

/**
 * Return the machine of an agent of a hive and the age of its last report, "" for an agent of this machine.
 * @param {AgentState} state @returns {{machine: string, report: string}}
 */
export function machineWords(state) {
  if (!state.hive) return { machine: "", report: "" };
  const age = number(state.hive.report_age_s);
  const machine = state.running ? oneLine(textOf(state.hive.machine), 40) : "none";
  return { machine, report: age === null ? "none yet" : `${duration(Math.round(age))} ago` };
}
