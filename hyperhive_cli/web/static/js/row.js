/** The rows of the transcript, as plain values. */

/** @import { Tone } from "./facts.js" */

/**
 * @typedef {{kind: "head", from: string, id: string, attempt: number, waiting: number, ts: number, body: string}} Head
 * @typedef {{kind: "foot", ok: boolean, sign: string, tone: Tone, word: string, figures: string[], note: string}} Foot
 * @typedef {{kind: "remark", mark: string, tone: Tone, text: string, rest?: string}} Remark
 * @typedef {{kind: "text", text: string}} Prose
 * @typedef {{kind: "error", text: string}} Failure
 * @typedef {{kind: "thought", text: string | null}} Thought
 * @typedef {{kind: "call", id: string, name: string, subject: string, given: unknown}} Call
 * @typedef {{kind: "answer", call: string, name: string, answer: import("./tool.js").Answer}} AnswerRow
 * @typedef {(Head | Foot | Remark | Prose | Failure | Thought | Call | AnswerRow) & {parent?: string, under?: string}} Row
 *   `parent` is the call of the subagent that a row belongs to, `under` its task's name where a reader could lose track
 */

/** @param {string} text @param {Tone} tone @param {string} mark @param {string} [rest] @returns {Remark} */
export function remark(text, tone = "quiet", mark = "·", rest) {
  return { kind: "remark", mark, tone, text, ...(rest ? { rest } : {}) };
}
