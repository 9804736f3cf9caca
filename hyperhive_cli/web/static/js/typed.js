/** What was typed for each agent: the draft, and the texts sent before. Kept over restarts of the browser; no secrets. */

import { prefix } from "./api.js";

const SENT_TEXTS = 20;
const SENT_CHARS = 20_000; // a longer text is not offered again

/** Return where the texts of this server's agents are kept. @param {string} kind @param {string} agent */
export function textPlace(kind, agent) {
  return `hyperhive-${kind}:${prefix()}:${agent}`;
}

/** Keep what is typed for an agent; "" removes it. @param {string} agent @param {string} text */
export function keepDraft(agent, text) {
  if (text && !isSecret(text)) putText(textPlace("draft", agent), text);
  else localStorage.removeItem(textPlace("draft", agent));
}

/** Return what was typed for an agent and not sent, or "". @param {string} agent */
export function draftOf(agent) {
  return localStorage.getItem(textPlace("draft", agent)) ?? "";
}

/** Remember that a text was sent. @param {string} agent @param {string} text */
export function keepSent(agent, text) {
  if (isSecret(text) || text.length > SENT_CHARS) return;
  const others = sentBefore(agent).filter((one) => one !== text);
  putText(textPlace("sent", agent), JSON.stringify([text, ...others].slice(0, SENT_TEXTS)));
}

/** Return the texts that were sent to an agent from this browser, newest first. @param {string} agent @returns {string[]} */
export function sentBefore(agent) {
  try {
    const found = JSON.parse(localStorage.getItem(textPlace("sent", agent)) ?? "[]");
    return Array.isArray(found) ? found.filter((one) => typeof one === "string") : [];
  } catch {
    return [];
  }
}

/** Return true for a text that may hold the code of a login. @param {string} text */
function isSecret(text) {
  return text.trimStart().startsWith("/login");
}

/** @param {string} place @param {string} value */
function putText(place, value) {
  try {
    localStorage.setItem(place, value);
  } catch {
    // The storage is full: the page works without this.
  }
}
