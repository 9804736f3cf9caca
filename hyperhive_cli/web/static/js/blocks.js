/**
 * The rows of a turn → its blocks, as one reads them: the message, prose, a card for each run of calls, retries that
 * count themselves, the end. Pure: the same rows give the same blocks, whether they came one by one or as a page.
 */

import { endedWords, retryWords } from "./feed_words.js";

/** @import { AnswerRow, CallRow, Row, Todo } from "./rows.js" */
/** @import { Entry, KeyedRow } from "./entries.js" */

/**
 * @typedef {{kind: string, key: string, version: string, seqs: (number | null)[]}} Base `version`: changes with the
 *   content; `seqs`: the numbers of the records that it shows
 * @typedef {Base & {kind: "row", row: any}} RowBlock
 * @typedef {Base & {kind: "thought", row: any}} ThoughtBlock
 * @typedef {Base & {kind: "calls", calls: (CallBlock | ThoughtBlock)[]}} CallsBlock a card
 * @typedef {Base & {kind: "call", row: (CallRow & KeyedRow) | null, answer: (AnswerRow & KeyedRow) | null,
 *   state: "ok" | "bad" | "live" | "plain", since: number, parent: string, task: string, todos: Todo[] | null,
 *   ended: string | null, blocks: Block[]}} CallBlock `row` is null for a call that is not shown; `ended`: how, without
 *   an answer; `blocks`: those of its subagent
 * @typedef {Base & {kind: "retries", first: any, last: any, count: number, until: number | null, tookMs: number, end: "on" | "over" | "gone"}} RetriesBlock
 *   `end`: the run goes on with it, has gone on after it, or ended with it
 * @typedef {Base & {kind: "compaction", row: any, summary: any[]}} CompactionBlock
 * @typedef {RowBlock | ThoughtBlock | CallsBlock | CallBlock | RetriesBlock | CompactionBlock} Block
 */

const NOTHING = { text: "", spans: null, cut: 0 }; // of an end whose reason is the error just above it

/** @param {Entry} entry @param {boolean} isOver nothing more is to come @returns {Block[]} */
export function blocksOf({ rows, foot }, isOver) {
  const turn = new TurnBlocks();
  for (const row of rows) turn.add(row);
  return turn.finish(isOver, foot);
}

class TurnBlocks {
  constructor() {
    /** @type {Map<string, any>} */
    this.calls = new Map(); // by id
    /** @type {any} */
    this.todos = null;
    /** @type {any[]} */
    this.main = [];
  }

  /** @param {KeyedRow} row */
  add(row) {
    const home = this.threadOf(row);
    const last = home.at(-1);
    if (last?.kind === "retries" && row.kind !== "retry") close(last, row);
    switch (row.kind) {
      case "call":
        return this.addCall(row, home);
      case "answer":
        return this.addAnswer(row, home);
      case "thought":
        return last?.kind === "calls"
          ? void last.calls.push(rowBlock("thought", row))
          : void home.push(rowBlock("thought", row));
      case "retry":
        return addRetry(row, home);
      case "compaction":
        return void home.push({ ...rowBlock("compaction", row), summary: [] });
      case "quote":
        if (last?.kind === "compaction") return void (last.summary.push(row), note(last, row));
        break;
      case "foot":
        if (last?.row?.kind === "error" && last.row.text.trim() === row.note.text.trim()) row = { ...row, note: NOTHING };
    }
    home.push(rowBlock("row", row));
  }

  /** The blocks of the thread that a row belongs to; its calls up to the main thread count it. @param {KeyedRow} row */
  threadOf(row) {
    if (!row.parent) return this.main;
    let call = this.calls.get(row.parent);
    if (!call) {
      call = newCall(null, `s${row.parent}`, { ...row, parent: "" });
      this.calls.set(row.parent, call);
      runOf(this.main, call.key).calls.push(call);
    }
    const seen = new Set();
    for (let up = call; up && !seen.has(up); up = this.calls.get(up.parent)) {
      note(up, row);
      seen.add(up);
    }
    return call.blocks;
  }

  /** @param {any} row @param {any[]} home */
  addCall(row, home) {
    const isList = Array.isArray(row.todos) && !row.parent;
    if (isList && this.todos) {
      // One block a turn: a later list takes the place of the one before.
      Object.assign(this.todos, { row, todos: row.todos, answer: null });
      note(this.todos, row);
      this.calls.set(row.call, this.todos);
      return;
    }
    const call = newCall(row, row.key, row);
    if (isList) this.todos = Object.assign(call, { todos: row.todos });
    this.calls.set(row.call || row.key, call);
    runOf(home, row.key).calls.push(call);
  }

  /** @param {any} row @param {any[]} home */
  addAnswer(row, home) {
    let call = this.calls.get(row.call);
    if (!call) {
      call = newCall(null, row.key, row);
      if (row.call) this.calls.set(row.call, call);
      runOf(home, row.key).calls.push(call);
    }
    // What says how to allow a denied call stays.
    if (!call.answer?.advice) call.answer = row;
    note(call, row);
  }

  /** @param {boolean} isOver @param {any} foot */
  finish(isOver, foot) {
    const isOk = foot?.ok ?? true;
    for (const call of new Set(this.calls.values())) {
      call.state = stateOf(call, isOver);
      if (!call.answer && foot) call.ended = endedWords(foot, call.since);
      call.version += call.state;
    }
    for (const home of [this.main, ...[...this.calls.values()].map((call) => call.blocks)]) {
      const last = home.at(-1);
      if (last?.kind === "retries" && last.end === "on" && isOver) last.end = isOk ? "over" : "gone";
      for (const block of home) if (block.kind === "retries") block.version += block.end;
      for (const block of home) if (block.kind === "calls") block.version = String(block.calls.length);
    }
    return this.main;
  }
}

/** Count a row as shown by a block. @param {any} block @param {any} row */
function note(block, row) {
  block.seqs.push(row.seq);
  block.version = `${block.seqs.length}`;
}

/** @param {string} kind @param {any} row @returns {any} */
function rowBlock(kind, row) {
  return { kind, key: row.key, version: "1", seqs: [row.seq], row };
}

/** @param {any} row the row of the call, null if it is not shown @param {string} key @param {any} first the first row about it */
function newCall(row, key, first) {
  const seqs = row ? [row.seq] : [];
  const task = row ? "" : (first.task ?? "");
  const about = { row, answer: null, state: "live", since: first.ts, parent: first.parent, task, todos: null, ended: null };
  return { kind: "call", key, version: "1", seqs, ...about, blocks: [] };
}

/** Return the card at the end of a thread; it is there until the next prose. @param {any[]} home @param {string} key */
function runOf(home, key) {
  const last = home.at(-1);
  if (last?.kind === "calls") return last;
  const run = { kind: "calls", key: `r${key}`, version: "", seqs: [], calls: [] };
  home.push(run);
  return run;
}

/** @param {any} row @param {any[]} home */
function addRetry(row, home) {
  const last = home.at(-1);
  if (last?.kind === "retries" && retryWords(last.last.reason) === retryWords(row.reason)) {
    last.last = row;
    note(last, row);
  } else {
    home.push({ ...rowBlock("retries", row), first: row, last: row, end: "on" });
  }
  const block = home.at(-1);
  block.count = Math.max(row.attempt, block.seqs.length);
  block.tookMs = Math.max(0, row.ts - block.first.ts);
  block.until = row.until ?? null;
}

/** The run went on after these retries, or ended. @param {any} block @param {any} row what comes after them */
function close(block, row) {
  block.end = row.kind === "foot" && !row.ok ? "gone" : "over";
  block.tookMs = Math.max(0, row.ts - block.first.ts);
}

/** @param {any} call @param {boolean} isOver */
function stateOf({ row, answer, todos }, isOver) {
  if (answer?.failed) return "bad";
  if (todos) return "plain";
  if (answer) return "ok";
  return isOver || !row ? "plain" : "live";
}
