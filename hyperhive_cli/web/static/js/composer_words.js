/** What the message field says: when a message is read, its place in line, what has become of one that was sent. Pure. */

import { isInTurn } from "./now.js";
import { count } from "./text.js";

/** @import { AgentState } from "./agent_state.js" */
/** @import { Pending } from "./outbox.js" */

const SLOW_MS = 3000;

/**
 * @param {string} agent @param {AgentState} state @param {boolean} isLive
 * @returns {{placeholder: string, verb: string, hint: string}} `hint` is "" where the page says how to run commands
 */
export function fieldWords(agent, state, isLive) {
  const message = `Message ${agent}`;
  if (!isLive) return { placeholder: "You can write; it is sent when the server is back", verb: "Send", hint: "" };
  if (state.hive && state.capabilities?.send === false) {
    return { placeholder: "You can write; it is sent when the hive is back", verb: "Send", hint: "" };
  }
  if (!state.running) {
    const start = state.hive ? "a machine runs it" : `${agent} starts`;
    return {
      placeholder: `${message}: it is read at the next start`,
      verb: "Send",
      hint: `Kept in the inbox until ${start}`,
    };
  }
  const waits = count(state.queued ?? state.unread); // `queued`: without those that are scheduled
  if (state.paused) return { placeholder: `${message}: it is read after you resume`, verb: "Queue", hint: "" };
  if (["needs_login_idle", "needs_login_in_progress"].includes(state.status)) {
    return { placeholder: `${message}: it is read once you log in`, verb: "Queue", hint: "" };
  }
  if (isInTurn(state)) {
    const place = waits ? `, ${ordinal(waits + 1)} in line` : "";
    return { placeholder: message, verb: "Queue", hint: `Runs after this turn${place}` };
  }
  return { placeholder: message, verb: waits ? "Queue" : "Send", hint: waits ? `${ordinal(waits + 1)} in line` : "" };
}

/** @param {number} place from 1 */
export function ordinal(place) {
  const tens = place % 100;
  const ending = tens > 10 && tens < 14 ? "th" : (["th", "st", "nd", "rd"][place % 10] ?? "th");
  return `${place}${ending}`;
}

/**
 * Say what has become of the texts that the server has not acknowledged; "" if there are none.
 * @param {Pending[]} pending @param {number} now Unix ms
 */
export function pendingWords(pending, now) {
  if (!pending.length) return "";
  const { reason, retryAt, made } = pending[0];
  const what = pending.length === 1 ? "" : `${pending.length} messages: `;
  if (retryAt > now) return `${what}Not sent yet, ${reason}; trying again in ${Math.ceil((retryAt - now) / 1000)} s`;
  if (now - made > SLOW_MS) return `${what}No answer for ${Math.floor((now - made) / 1000)} s, still trying`;
  return `${what}Sending…`;
}
