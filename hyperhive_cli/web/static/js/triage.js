/** Several agents in the order in which a person should look at them. Pure. */

import { nowOf } from "./now.js";
import { number, string } from "./text.js";
import { isNeutral, isOk } from "./vocabulary.js";

/** @import { AgentState } from "./agent_state.js" */
/** @import { Mark, Now } from "./now.js" */
/** @typedef {"needs" | "running" | "waiting" | "quiet"} Group */
/** @typedef {{agent: string, state: AgentState, now: Now, group: Group}} Standing */

/** The groups in their order, with their titles and how the summary counts them. @type {[Group, string, string][]} */
export const GROUPS = [
  ["needs", "Needs you", "need you"],
  ["running", "Running", "running"],
  ["waiting", "Waiting, goes on by itself", "waiting"],
  ["quiet", "Quiet", "quiet"],
];

/** @type {Record<Mark, Group>} */
const GROUP_OF = {
  need: "needs",
  failed: "needs",
  running: "running",
  wait: "waiting",
  idle: "quiet",
  paused: "quiet",
  stopped: "quiet",
};

/**
 * Return the agents by group, and within a group those that have stood like this for longest first.
 * @param {AgentState[]} agents @param {number} now Unix ms @returns {Standing[]}
 */
export function triaged(agents, now) {
  const order = GROUPS.map(([group]) => group);
  return agents
    .map((state) => standingOf(state, now))
    .sort(
      (one, other) =>
        order.indexOf(one.group) - order.indexOf(other.group) ||
        sinceOf(one.state) - sinceOf(other.state) ||
        one.agent.localeCompare(other.agent),
    );
}

/** @param {AgentState} state @param {number} now @returns {Standing} */
function standingOf(state, now) {
  const said = nowOf(state, null, now);
  return { agent: string(state.agent), state, now: said, group: GROUP_OF[said.mark] };
}

/** When the agent came to stand as it does, as far as its state tells (Unix ms). @param {AgentState} state */
function sinceOf(state) {
  const turned = number(state.since_unix);
  return state.state === "idle" || turned === null ? (number(state.last_event?.ts) ?? 0) : turned * 1000;
}

/**
 * What has happened to an agent that someone may want to be told of.
 * @param {AgentState | undefined} was @param {AgentState} state @param {number} now Unix ms
 * @returns {{kind: "needs" | "failed" | "idle", words: string} | null}
 */
export function newsOf(was, state, now) {
  if (!was) return null;
  const [before, after] = [standingOf(was, now), standingOf(state, now)];
  if (after.group === "needs" && before.group !== "needs") return { kind: "needs", words: after.now.title };
  const last = state.last_turn;
  const isNewTurn = last && last.turn_id !== was.last_turn?.turn_id;
  if (isNewTurn && !isOk(last.outcome) && !isNeutral(last.outcome)) {
    return { kind: "failed", words: `Turn ${last.turn_id}: ${string(last.outcome).replaceAll("_", " ")}` };
  }
  const isDone = state.status === "online" && state.state === "idle" && !state.unread;
  const wasBusy = was.state !== "idle" || was.unread;
  if (isDone && wasBusy && was.running) return { kind: "idle", words: "Nothing left to do" };
  return null;
}
