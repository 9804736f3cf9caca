// The feed's pure modules: records → entries → blocks, the words, the window, the diff. `node --test`.

import assert from "node:assert/strict";
import test from "node:test";
import { blocksOf } from "../../../hyperhive_cli/web/static/js/blocks.js";
import { diffLines } from "../../../hyperhive_cli/web/static/js/diff_lines.js";
import { addRecord, entriesOf, isOver, shownRecord, triesOf } from "../../../hyperhive_cli/web/static/js/entries.js";
import { FeedWindow } from "../../../hyperhive_cli/web/static/js/feed_window.js";
import {
  awayWords,
  bytesWords,
  footWords,
  resultWords,
  retriesWords,
  retryWords,
  thoughtWords,
  todoWords,
  tookWords,
  tryWords,
} from "../../../hyperhive_cli/web/static/js/feed_words.js";

const MAIN = { parent: "", depth: 0, task: "" };
const raw = (text) => ({ text, spans: null, cut: 0 });
let seq = 0;
/** Return a record with one row; the time goes on by a second a record. */
const record = (row, turn = 1) => {
  seq += 1;
  return { seq, ts: 1000 * seq, kind: "stream", rows: [{ seq, ts: 1000 * seq, turn, ...MAIN, ...row }] };
};
const head = (more = {}, turn = 1) => record({ kind: "head", sender: "ann", message: "7", attempt: 1, body: raw("go"), ...more }, turn);
const foot = (more = {}, turn = 1) => record({ kind: "foot", ok: true, tone: "fine", word: "ok", remarks: [], note: raw(""), ...more }, turn);
const text = (words, more = {}) => record({ kind: "text", text: words, ...more });
const call = (id, more = {}) => record({ kind: "call", call: id, name: "Bash", subject: id, input: raw(id), diff: [], prompt: null, todos: null, ...more });
const answer = (id, more = {}) => record({ kind: "answer", call: id, failed: false, label: "", output: raw("out"), diff: [], images: [], figures: {}, took_ms: 4200, advice: "", ...more });
const thought = (more = {}) => record({ kind: "thought", text: "hm", took_ms: 14_000, ...more });
const retry = (attempt, more = {}) => record({ kind: "retry", attempt, attempts: 10, until: 0, reason: "overloaded", status: "529", text: raw(""), ...more });
const note = (words, turn = null) => record({ kind: "note", topic: "note", tone: "quiet", source: "", text: raw(words) }, turn);
const shown = (records) => records.map(shownRecord).filter(Boolean);
const blocks = (...records) => {
  const entries = entriesOf(shown(records));
  return blocksOf(entries[0], isOver(entries[0], true));
};
const outline = (found) =>
  found.map((block) => {
    if (block.kind === "calls") return block.calls.map((one) => (one.kind === "call" ? `${one.row?.call ?? one.task}:${one.state}` : one.kind));
    return block.kind === "row" ? block.row.kind : block.kind;
  });

test("a run of calls is one card until the next prose, whatever is thought in between", () => {
  const found = blocks(head(), thought(), text("a"), call("1"), answer("1"), thought(), call("2"), answer("2", { failed: true }), call("3"), text("b"), call("4"));
  assert.deepEqual(outline(found), ["head", "thought", "text", ["1:ok", "thought", "2:bad", "3:live"], "text", ["4:live"]]);
});

test("an error that ended a turn is said once", () => {
  const ended = (note) => blocks(head(), record({ kind: "error", text: "Not logged in" }), foot({ ok: false, tone: "warn", note: raw(note) })).at(-1).row.note.text;
  assert.deepEqual(["Not logged in", "Something else"].map(ended), ["", "Something else"]);
});

test("an answer belongs to its call wherever it comes, and without one it stands by itself", () => {
  const found = blocks(head(), call("1"), text("a"), answer("1"), answer("gone", { name: "Read" }));
  assert.deepEqual(outline(found), ["head", ["1:ok"], "text", [":ok"]]);
  const [, card] = found;
  assert.equal(card.calls[0].answer.took_ms, 4200);
  assert.equal(card.calls[0].seqs.length, 2);
});

test("what says how to allow a denied call stays when another answer comes", () => {
  const [, card] = blocks(head(), call("1"), answer("1", { failed: true, label: "denied: no", advice: "hyperhive allow" }), answer("1"));
  assert.deepEqual([card.calls[0].state, card.calls[0].answer.advice], ["bad", "hyperhive allow"]);
});

test("calls without an answer are over when the turn is", () => {
  assert.deepEqual(outline(blocks(head(), call("1"), foot())), ["head", ["1:plain"], "foot"]);
});

test("a subagent's rows are within the call that started it, and so are those of its own subagents", () => {
  const inner = { parent: "task", depth: 1, task: "look" };
  const deeper = { parent: "2", depth: 2, task: "deeper" };
  const found = blocks(head(), call("task", { name: "Task" }), text("in", inner), call("2", { ...inner, name: "Task" }), call("3", deeper), answer("3", deeper), answer("2", inner), answer("task"), text("end"));
  assert.deepEqual(outline(found), ["head", ["task:ok"], "text"]);
  const task = found[1].calls[0];
  assert.deepEqual(outline(task.blocks), ["text", ["2:ok"]]);
  assert.deepEqual(outline(task.blocks[1].calls[0].blocks), [["3:ok"]]);
  assert.equal(task.seqs.length, 7, "it counts everything within it");
});

test("a subagent whose call is not on the page has one by its task; a chain that bites itself ends", () => {
  assert.deepEqual(outline(blocks(text("in", { parent: "x", task: "look" }))), [["look:plain"]]);
  const found = blocks(head(), call("a", { parent: "b" }), call("b", { parent: "a" }), text("deep", { parent: "a" }));
  assert.ok(found.length > 0);
});

test("one block a turn holds the list of tasks, the newest one", () => {
  const todos = (...states) => states.map((state) => ({ text: state, state }));
  const found = blocks(head(), call("1", { todos: todos("doing", "open") }), answer("1"), call("x"), call("2", { todos: todos("done", "doing") }), answer("2"));
  assert.deepEqual(outline(found), ["head", ["2:plain", "x:live"]]);
  assert.equal(todoWords(found[1].calls[0].todos), "1 of 2 done");
});

test("equal retries are one line that counts, and says how it ended", () => {
  const line = (...records) => {
    const block = blocks(head(), ...records).find(({ kind }) => kind === "retries");
    return [block.count, retriesWords(block)];
  };
  assert.deepEqual(line(retry(1), retry(2), retry(3), retry(4), text("on")), [4, "tried 4 times in 4.0 s, then went on."]);
  assert.deepEqual(line(retry(5), retry(6)), [6, "tried 6 times in 1.0 s; trying again in "]);
  assert.deepEqual(line(retry(1), foot({ ok: false })), [1, "tried 1 time in 1.0 s, then gave up."]);
  const reasons = blocks(head(), retry(1), retry(2, { reason: "unknown" }), text("on")).filter(({ kind }) => kind === "retries");
  assert.deepEqual(reasons.map(({ first }) => retryWords(first.reason)), ["Overloaded", "No connection"]);
  assert.deepEqual(["", "authentication_failed"].map(retryWords), ["Failed", "Authentication failed"]);
});

test("a compaction has the summary that follows it", () => {
  const quote = (words) => record({ kind: "quote", text: raw(words), whole: raw(words), images: [] });
  const found = blocks(head(), record({ kind: "compaction", before: 168_000, after: 24_000, text: raw("") }), quote("long\nsummary"), quote("Compacted"), text("x"), quote("other"));
  assert.deepEqual(outline(found), ["head", "compaction", "text", "quote"]);
  assert.equal(found[1].summary.length, 2);
});

test("the same rows give the same blocks, however they came", () => {
  const records = shown([head(), thought(), call("1"), answer("1"), retry(1), retry(2), text("x"), call("2"), foot(), note("between"), head({ message: "8" }, 2)]);
  const whole = entriesOf(records);
  for (let at = 0; at <= records.length; at += 1) {
    const later = entriesOf(records.slice(at));
    for (const one of later) blocksOf(one, true); // starts within a turn: must not fail
    const entries = entriesOf(records.slice(0, at));
    for (const one of records.slice(at)) addRecord(entries, one);
    assert.deepEqual(entries, whole);
  }
  assert.deepEqual(whole.map(({ turn, rows }) => [turn, rows.length]), [[1, 9], [null, 1], [2, 1]]);
});

test("a changed block has another version, and only that", () => {
  const records = shown([head(), text("a"), call("1"), answer("1"), foot()]);
  const versions = (count) => {
    const [entry] = entriesOf(records.slice(0, count));
    const flat = blocksOf(entry, isOver(entry, true)).flatMap((block) => [block, ...(block.calls ?? [])]);
    return new Map(flat.map(({ key, version }) => [key, version]));
  };
  for (let count = 1; count < records.length; count += 1) {
    const [before, after] = [versions(count), versions(count + 1)];
    const changed = [...before].filter(([key, version]) => after.get(key) !== version);
    assert.equal(changed.length, count === 3 ? 1 : 0, `record ${count}`); // the answer changes its call
  }
});

test("failed tries of one message fold below the last one", () => {
  const failed = { ok: false, tone: "bad" };
  const entries = entriesOf(shown([
    head({}, 1), foot(failed, 1), head({ attempt: 2 }, 2), foot(failed, 2), head({ attempt: 3 }, 3), foot({}, 3),
    head({ attempt: 4 }, 4), foot(failed, 4), head({ message: "8" }, 5), foot(failed, 5), note("later"), head({ message: "8", attempt: 2 }, 6),
  ]));
  assert.deepEqual(triesOf(entries).map(({ entry, earlier }) => [entry.turn, earlier.map(({ turn }) => turn)]), [[3, [1, 2]], [4, []], [6, [5, null]]]);
  assert.deepEqual([2, 3, 4, 11, 12, 13, 21, 22, 101, 111].map(tryWords).map((words) => words.split(" ")[0]), ["2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "101st", "111th"]);
});

test("the window is bounded, and what leaves it can come back", () => {
  seq = 0;
  const turn = (n) => [head({ message: String(n) }, n), ...Array.from({ length: 8 }, (_, i) => record({ kind: "text", text: `${n}.${i}` }, n)), foot({}, n)];
  const all = [1, 2, 3, 4, 5, 6, 7, 8].flatMap(turn);
  const numbers = (window) => window.records.map((one) => one.seq);
  const follow = new FeedWindow(20, 5);
  for (const one of all) {
    follow.append(one, true);
    follow.trim();
    assert.ok(follow.records.length <= 26);
  }
  assert.deepEqual(numbers(follow).slice(-1), [80]);
  assert.equal(follow.entries[0].head?.kind, "head", "the turn in which it starts has its head");
  const start = follow.oldest;
  follow.prepend(all.slice(start - 11, start - 1), false);
  assert.deepEqual(numbers(follow), numbers(follow).toSorted((a, b) => a - b), "in order");
  assert.equal(new Set(numbers(follow)).size, numbers(follow).length, "each once");
  assert.equal(follow.oldest, start - 10);
});

test("a window that starts within a turn has the head that it is told, until the true one comes", () => {
  seq = 0;
  const all = [head({ message: "7" }), ...Array.from({ length: 30 }, (_, i) => text(String(i))), foot()];
  const heads = (window) => window.entries.map((entry) => [entry.turn, entry.head?.message, entry.rows.length]);
  const window = new FeedWindow(20, 5);
  window.setHead(all[0]);
  for (const one of all.slice(20)) window.append(one, true);
  assert.deepEqual([heads(window), window.oldest], [[[1, "7", 13]], 21]);
  window.prepend(all.slice(10, 20), false, all[0]);
  assert.deepEqual([heads(window), window.oldest], [[[1, "7", 23]], 11]);
  window.prepend(all.slice(0, 10), true);
  assert.deepEqual([heads(window), window.records.length, window.isStart], [[[1, "7", 32]], 32, true]);
  const other = new FeedWindow(20, 5);
  other.setHead(all[0]);
  other.append(note("between turns"), true);
  assert.deepEqual(heads(other).map(([turn, message]) => [turn, message]), [[null, undefined]], "of another turn");
});

test("what comes while the reader is far up is held, and shown at the end", () => {
  seq = 0;
  const all = [head(), ...Array.from({ length: 200 }, (_, i) => text(String(i)))];
  const window = new FeedWindow(20, 5);
  for (const one of all.slice(0, 20)) window.append(one, true);
  for (const one of all.slice(20, 50)) window.append(one, false);
  assert.deepEqual([window.records.length, window.held.length, window.newest], [40, 10, 50]);
  window.toEnd();
  assert.deepEqual([window.records.length, window.held.length], [50, 0]);
  for (const one of all.slice(50)) window.append(one, false);
  assert.ok(window.held.length <= 25);
  assert.equal(window.isBroken, true);
  window.toEnd();
  assert.deepEqual([window.isBroken, window.records.at(-1).seq, window.oldest, window.isStart], [false, 201, window.records[0].seq, false]);
});

test("scrolling back through the history lets the newest records go, and they are there again at the end", () => {
  seq = 0;
  const all = [head(), ...Array.from({ length: 99 }, (_, i) => text(String(i)))];
  const window = new FeedWindow(20, 5);
  for (const one of all.slice(90)) window.append(one, true);
  for (let at = 90; at > 0; at -= 10) window.prepend(all.slice(at - 10, at), at === 10);
  assert.deepEqual([window.records[0].seq, window.records.length, window.isStart, window.isBroken], [1, 40, true, true]);
  window.toEnd();
  assert.equal(window.records.at(-1).seq, 100);
  assert.equal(window.isStart, false);
});

test("an old turn is shown alone, while what comes is held", () => {
  seq = 0;
  const all = [head(), text("a"), foot(), head({}, 2), record({ kind: "text", text: "b" }, 2)];
  const window = new FeedWindow(20, 5);
  for (const one of all.slice(3)) window.append(one, true);
  window.showAlone(all.slice(0, 3));
  window.append(record({ kind: "text", text: "c" }, 2), false);
  assert.deepEqual([window.entries.map(({ turn }) => turn), window.held.length, window.newest], [[1], 3, 6]);
  window.toEnd();
  assert.deepEqual(window.entries.map(({ turn, rows }) => [turn, rows.length]), [[2, 3]]);
});

test("records without rows are nothing to show, and rows of any shape are kept", () => {
  assert.equal(shownRecord({ seq: 1, ts: 0, kind: "stream", rows: [] }), null);
  assert.equal(shownRecord({ seq: 1, ts: 0, kind: "stream" }), null);
  const odd = [{ kind: "constructor", turn: 1 }, { kind: "answer", call: "__proto__", turn: 1 }, { kind: "call", call: "__proto__", turn: 1 }, {}];
  const entries = entriesOf(shown([{ seq: 1, ts: 0, kind: "stream", rows: odd }]));
  for (const entry of entries) blocksOf(entry, true);
});

test("both numbers of a line, and the words that differ", () => {
  const lines = diffLines([{ old_start: 3, new_start: 3, lines: [" class Q:", "-    row = db.run('a', 1).one()", "-    return row[0]", "+    sql = 'x'", "+    row = db.run(sql, 1).one()", "+    return row[0] if row else None", " end"] }]);
  assert.deepEqual(lines.map(({ old, fresh, kind }) => [old, fresh, kind]), [
    [3, 3, "kept"], [4, null, "del"], [5, null, "del"], [null, 4, "add"], [null, 5, "add"], [null, 6, "add"], [6, 7, "kept"],
  ]);
  const marked = ({ text, mark }) => mark && text.slice(...mark);
  assert.deepEqual(lines.map(marked), [null, "'a'", null, null, "sql", " if row else None", null]);
  const other = diffLines([{ old_start: 0, new_start: 0, lines: ["-abc def", "+xyz"] }, { old_start: 0, new_start: 1, lines: ["+new"] }]);
  assert.deepEqual(other.map(({ old, fresh, mark, kind }) => [old, fresh, mark, kind]), [
    [null, null, null, "del"], [null, null, null, "add"], [null, null, null, "hunk"], [null, 1, null, "add"],
  ]);
});

test("a call's result in words", () => {
  const words = (more) => resultWords({ failed: false, label: "", images: [], figures: {}, took_ms: 4200, ...more }).map(([said]) => said).join(" · ");
  assert.equal(words({ failed: true, label: "exit 1", figures: { exit_status: 1 } }), "exit 1 · 4.2 s");
  assert.equal(words({ label: "84 lines", figures: { lines: 84 }, took_ms: 20 }), "84 lines");
  assert.equal(words({ figures: { hits: 7 }, took_ms: 140 }), "7 hits · 0.1 s");
  assert.equal(words({ figures: { added: 4, removed: 3 }, took_ms: 30 }), "+4 · −3");
  assert.equal(words({ figures: { tool_calls: 3, tokens: 1294 }, took_ms: 41_000 }), "3 tools · 1.3k tokens · 41 s");
  assert.equal(words({ images: [1, 2], took_ms: null }), "2 images");
  assert.equal(words({ failed: true, label: "denied: no", took_ms: null }), "denied");
  assert.equal(words({ label: "x".repeat(100), took_ms: 0 }).length, 60);
});

test("times, sizes and the foot of a turn in words", () => {
  assert.deepEqual([200, 4200, 12_000, 68_000, 252_000, 7_500_000, 200_000_000].map(tookWords), ["0.2 s", "4.2 s", "12 s", "1 min 08 s", "4 min 12 s", "2 h 05 min", "2 days"]);
  assert.deepEqual([0, 842, 8200, 214_000, 3_100_000].map(bytesWords), ["0 B", "842 B", "8.2 kB", "214 kB", "3.1 MB"]);
  const usage = { input_tokens: 400, cache_read_input_tokens: 38_800, cache_creation_input_tokens: 2000, output_tokens: 3100 };
  const done = { remarks: [], exit_status: null, ok: true, took_ms: 252_000, tool_calls: 23, usage, cost_usd: 0.31 };
  assert.deepEqual(footWords(done), ["4 min 12 s", "23 tools", "41.2k in, 94 % cached", "3.1k out", "$0.31"]);
  assert.deepEqual(footWords({ remarks: ["2 denied"], exit_status: 1, ok: false, took_ms: null, tool_calls: 0, usage: null, cost_usd: null }), ["2 denied", "exit 1"]);
  assert.deepEqual([{ took_ms: 14_200 }, { took_ms: null }, { took_ms: 300 }, { took_ms: 6000 }].map(thoughtWords), ["Thought for 14 s", "Thought", "Thought", "Thought for 6 s"]);
  const turns = [{ foot: { ok: true, tone: "fine", cost_usd: 2 } }, { foot: { ok: false, tone: "bad", cost_usd: 0.14 } }, { foot: null }];
  assert.equal(awayWords(turns, 3 * 3_600_000), "3 h: 3 turns, 1 ok, 1 failed, $2.14");
});
