/** The inbox as a queue: which message belongs where, and what is said of it. Pure. */

import { ordinal } from "./composer_words.js";
import { span, when } from "./figures.js";
import { clock, count, number, oneLine, string, textOf } from "./text.js";

/** @typedef {Record<string, any>} Message as `inbox --json` has it; `cut`: its body is longer */
/** @typedef {"needs" | "waiting" | "scheduled" | "dead"} Section */
/** @typedef {"edit" | "schedule" | "now" | "retry" | "cancel"} Verb */

/** What can be done with a message of each part. @type {Record<Section, Verb[]>} */
export const VERBS = {
  needs: ["retry", "cancel"],
  waiting: ["edit", "schedule", "cancel"],
  scheduled: ["edit", "now", "schedule", "cancel"],
  dead: ["retry"],
};

/**
 * Return the messages as they may run: idle ones not before this moment, in which too little of the plan is left.
 * @param {Message[]} messages @param {unknown} idleUntil Unix s, null: now @returns {Message[]}
 */
export function heldForPlan(messages, idleUntil) {
  const start = (number(idleUntil) ?? 0) * 1000;
  const isHeld = (/** @type {Message} */ one) => one.state === "ready" && one.idle === true && count(one.not_before) < start;
  return messages.map((one) => (isHeld(one) ? { ...one, not_before: start, deliveries: 0, forPlan: true } : one));
}

/**
 * Sort messages, which are in the queue's order, into the parts of the inbox; one that runs is in the now bar.
 * @param {Message[]} messages @param {number} now Unix ms @returns {Record<Section, Message[]>}
 */
export function sectionsOf(messages, now) {
  /** @type {Record<Section, Message[]>} */
  const parts = { needs: [], waiting: [], scheduled: [], dead: [] };
  for (const one of messages) {
    const section = sectionOf(one, now);
    if (section) parts[section].push(one);
  }
  parts.scheduled.sort((one, other) => count(one.not_before) - count(other.not_before));
  return parts;
}

/** One that waits after a failure keeps its place among those that wait. @param {Message} message @param {number} now @returns {Section | null} */
function sectionOf({ state, not_before, deliveries }, now) {
  if (state === "held") return "needs";
  if (state === "dead") return "dead";
  if (state !== "ready") return null;
  return count(not_before) > now && !count(deliveries) ? "scheduled" : "waiting";
}

/** Whether its text can be changed: claude has not read it. @param {Message} message */
export function isEditable(message) {
  return message.state === "ready" && !count(message.deliveries);
}

/** @param {Message} message */
export function nameOf(message) {
  return `${oneLine(textOf(message.sender), 40)} #${count(message.id)}`;
}

/** Return the quiet line below a message's text. @param {Message} message @param {Section} section @param {number} now Unix ms */
export function metaOf(message, section, now) {
  const age = span((now - (number(message.created) ?? now)) / 1000);
  const name = nameOf(message);
  const idle = message.idle ? (message.forPlan ? "waits for the plan" : "idle") : "";
  if (section === "scheduled") return [when(message.not_before, now), name, idle].filter(Boolean).join(" · ");
  const tries = count(message.deliveries);
  const left = (count(message.not_before) - now) / 1000;
  const again = tries && section === "waiting" ? `${ordinal(tries + 1)} try${left > 0 ? ` in ${clock(Math.ceil(left))}` : ""}` : "";
  const tried = section === "dead" && tries ? `${tries === 1 ? "1 try" : `${tries} tries`}` : "";
  return [name, again || tried || age, message.edited ? "edited" : "", idle].filter(Boolean).join(" · ");
}

/** Why it is held or dead, or waits. @param {Message} message */
export function reasonOf(message) {
  return message.state === "ready" ? "" : oneLine(textOf(message.reason), 300);
}

/**
 * Return before which message of a list one is to be put, null for the end, to bring it to this place; undefined if it
 * is there already. Places are counted among all of them.
 * @param {number[]} ids @param {number} id @param {number} place @returns {number | null | undefined}
 */
export function targetOf(ids, id, place) {
  const others = ids.filter((one) => one !== id);
  const at = Math.max(0, Math.min(place, others.length));
  return ids.indexOf(id) === at ? undefined : (others[at] ?? null);
}

/** Put a message where the server has moved it. @param {Message[]} messages @param {number} id @param {number | null} before */
export function moved(messages, id, before) {
  const one = messages.find((message) => message.id === id);
  const others = messages.filter((message) => message.id !== id);
  const at = before === null ? others.length : others.findIndex((message) => message.id === before);
  return one && at >= 0 ? others.toSpliced(at, 0, one) : messages;
}

/** Put in what the server says of a message now; a new one goes to the end. @param {Message[]} messages @param {Message} message */
export function replaced(messages, message) {
  const known = messages.find(({ id }) => id === message.id);
  if (!known) return [...messages, message];
  const body = string(message.body);
  return messages.map((one) => (one === known ? { ...one, ...message, body, cut: false } : one));
}
