/** What a search found, in the page's words: whose text it is, its sign, its line with the words marked. Pure. */

import { when } from "./figures.js";
import { count, oneLine, plural, string } from "./text.js";

/**
 * @typedef {{agent: string, seq: number, ts: number, turn: number | null, kind: string, part: string, failed: boolean, tool: string,
 *   subject: string, line: number | null, lines: number | null, text: string, marks: [number, number][]}} Hit
 * @typedef {{key: string, words: string, count: number}} Group
 */

const DAY_MS = 86_400_000;
/** @type {[string, number][]} */
export const TIMES = [
  ["Any time", 0],
  ["Last 24 hours", DAY_MS],
  ["Last 7 days", 7 * DAY_MS],
  ["Last 30 days", 30 * DAY_MS],
];
/** @type {Record<string, string>} */
const GROUP_OF = { message: "message", text: "says", thought: "says", call: "call", output: "output" };

/** @param {Hit} hit */
export function groupOf({ part }) {
  return GROUP_OF[part] ?? "note";
}

/** The kinds of texts that were found, with their counts; all of them first. @param {Hit[]} hits @param {string} agent @returns {Group[]} */
export function groupsOf(hits, agent) {
  const named = Object.entries({ message: "Messages", says: `${agent} says`, call: "Calls", output: "Output", note: "Notes" });
  const counted = named.map(([key, words]) => ({ key, words, count: hits.filter((hit) => groupOf(hit) === key).length }));
  return [{ key: "", words: "All", count: hits.length }, ...counted.filter((group) => group.count > 0)];
}

/** Tone and icon. @param {Hit} hit @returns {[string, string]} */
export function signOf({ failed, part }) {
  if (failed) return ["bad", "x"];
  if (part === "call" || part === "output") return ["fine", "check"];
  return ["quiet", { message: "queue", text: "spark", thought: "spark" }[part] ?? "info"];
}

/** Who or what says it. @param {Hit} hit */
export function nameOf({ tool, part, subject, agent, kind }) {
  if (tool) return tool;
  if (part === "message") return oneLine(subject, 64) || "Message";
  return part === "text" || part === "thought" ? agent : kind === "turn_end" ? "End of the turn" : "Note";
}

/** Where it is: `#39 · Wed 09:13`. @param {Hit} hit @param {number} now Unix ms @param {boolean} withAgent */
export function placeOf({ agent, turn, ts }, now, withAgent) {
  return [withAgent && agent, turn !== null && `#${turn}`, when(ts, now)].filter(Boolean).join(" · ");
}

/** What is known of it beside its line: `Line 2,998 of 3,004 · pytest -q`. @param {Hit} hit */
export function aboutOf({ line, lines, tool, subject, text }) {
  const place = count(lines) > 1 ? `Line ${count(line).toLocaleString("en-US")} of ${count(lines).toLocaleString("en-US")}` : "";
  return [place, tool && string(subject) !== text ? oneLine(subject, 200) : ""].filter(Boolean).join(" · ");
}

/** The line in pieces, every second of which is marked. The marks count code points. @param {Hit} hit @returns {string[]} */
export function piecesOf({ text, marks }) {
  const points = [...text];
  const bounds = [0, ...marks.flat(), points.length];
  return bounds.slice(1).map((end, at) => points.slice(bounds[at], end).join(""));
}

/** @param {number} at @param {number} total @param {boolean} isMore there may be more @param {boolean} isEmpty nothing was asked */
export function countWords(at, total, isMore, isEmpty) {
  if (isEmpty) return "";
  if (!total) return isMore ? "None yet" : "None";
  return at < 0 ? `${plural(total, "place")}${isMore ? " so far" : ""}` : `${at + 1} of ${total.toLocaleString("en-US")}${isMore ? "+" : ""}`;
}
