/** What fills the context, and which machine runs the agent, for the header and the overview. Pure. */

import { count, duration, number, oneLine, textOf, tokens } from "./text.js";

/** @typedef {Record<string, any>} AgentState the fields of `status --json` and those that the gateway adds; {}: not known yet */

const NEARLY_FULL = 0.8;
const FULL = 0.97;

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
