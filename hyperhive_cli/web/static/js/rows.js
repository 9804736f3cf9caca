/**
 * The rows of a transcript, as the gateway gives them with `?view=rows`. The server decides what a row says; the page
 * puts rows into blocks (blocks.js) and draws these.
 */

/** @import { Tone } from "./vocabulary.js" */

/**
 * @typedef {[string, string, boolean][] | null} Spans pieces of a text with their colour and whether they are bold; null
 *   for a text of one style
 * @typedef {{text: string, spans: Spans}} Piece
 * @typedef {Piece & {cut: number, tail?: Piece, lines?: number, bytes?: number}} RawText `cut` bytes in `lines` lines are
 *   left out between `text` and its `tail`; `bytes`: the size of it all
 * @typedef {{old_start: number, new_start: number, lines: string[], cut?: number}} Hunk `cut` lines are left off
 * @typedef {{type: string, bytes: number, name: string, number: number}} Picture
 * @typedef {{text: string, state: "open" | "doing" | "done"}} Todo
 * @typedef {{exit_status?: number, lines?: number, hits?: number, added?: number, removed?: number, tool_calls?: number,
 *   tokens?: number}} Figures
 * @typedef {{kind: "head", sender: string, message: string, attempt: number, waiting: number, body: RawText}} HeadRow
 * @typedef {{kind: "foot", outcome: string, ok: boolean, sign: string, tone: Tone, word: string, remarks: string[],
 *   exit_status: number | null, took_ms: number | null, tool_calls: number, usage: Record<string, number> | null,
 *   cost_usd: number | null, note: RawText}} FootRow
 * @typedef {{kind: "text" | "error", text: string, cut?: number}} TextRow
 * @typedef {{kind: "thought", text: string | null, cut?: number, took_ms: number | null}} ThoughtRow
 * @typedef {{kind: "call", call: string, name: string, subject: string, input: RawText, diff: Hunk[],
 *   prompt: RawText | null, todos: Todo[] | null}} CallRow
 * @typedef {{kind: "answer", call: string, name: string, failed: boolean, label: string, output: RawText, diff: Hunk[],
 *   images: Picture[], figures: Figures, took_ms: number | null, advice: string}} AnswerRow
 * @typedef {{kind: "note", topic: string, mark: string, tone: Tone, source: string, text: RawText}} NoteRow
 * @typedef {{kind: "retry", attempt: number, attempts: number, until: number | null, reason: string, status: string,
 *   tone: Tone, text: RawText}} RetryRow
 * @typedef {{kind: "compaction", before: number | null, after: number | null, text: RawText}} CompactionRow
 * @typedef {{kind: "quote", mark: string, tone: Tone, text: RawText, whole: RawText, images: Picture[]}} QuoteRow
 * @typedef {{seq: number | null, ts: number, turn?: number | null, parent: string, depth: number, task: string}} Origin
 *   `parent` is the call of the subagent that a row belongs to, `task` what that call was asked; "" in the main thread
 * @typedef {(HeadRow | FootRow | TextRow | ThoughtRow | CallRow | AnswerRow | NoteRow | RetryRow | CompactionRow | QuoteRow) & Origin} Row
 */

/** @param {string} text @returns {RawText} */
export function rawText(text) {
  return { text, spans: null, cut: 0 };
}

/** Return the row of a note of the page itself. @param {string} words @returns {any} */
export function pageNote(words) {
  const origin = { seq: null, ts: 0, parent: "", depth: 0, task: "" };
  return { kind: "note", topic: "page", mark: "!", tone: "warn", source: "", text: rawText(words), ...origin };
}
